//! Mocks of providers that follow their documentation and remember what was done. Each is a real local server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

/// One request.
pub struct MockRequest {
    pub method: String,
    /// Without the query.
    pub path: String,
    query: String,
    /// With lower-case names.
    headers: Vec<(String, String)>,
    pub body: String,
}

/// The response to it.
pub struct MockReply {
    status: u16,
    headers: String,
    body: String,
}

impl MockReply {
    pub fn json(status: u16, body: &Value) -> Self {
        Self { status, headers: "content-type: application/json\r\n".to_owned(), body: body.to_string() }
    }

    /// An empty response.
    pub fn nothing(status: u16) -> Self {
        Self { status, headers: String::new(), body: String::new() }
    }
}

impl MockRequest {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// A query parameter.
    pub fn query(&self, name: &str) -> String {
        pair(&self.query, name).unwrap_or_default()
    }

    pub fn parts(&self) -> Vec<&str> {
        self.path.trim_matches('/').split('/').collect()
    }
}

/// The decoded value of a name in `a=1&b=2`.
pub fn pair(text: &str, name: &str) -> Option<String> {
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(known, _)| decoded(known) == name)
        .map(|(_, value)| decoded(value))
}

fn decoded(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digits = [bytes.next().expect("a digit"), bytes.next().expect("a digit")];
                u8::from_str_radix(std::str::from_utf8(&digits).expect("digits"), 16).expect("digits")
            }
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8(decoded).expect("UTF-8")
}

/// Applies a request to the state of a provider.
pub type MockHandler = fn(&mut Value, &MockRequest) -> MockReply;

/// A provider that runs until the test ends.
pub struct MockProvider {
    pub url: String,
    world: Arc<Mutex<MockProviderState>>,
}

struct MockProviderState {
    value: Value,
    /// `METHOD path` of each request.
    asked: Vec<String>,
    /// The next request with this prefix is performed, but not answered.
    drop_answer_to: Option<&'static str>,
}

impl MockProvider {
    pub fn start(world: Value, serves: MockHandler) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let world = Arc::new(Mutex::new(MockProviderState { value: world, asked: Vec::new(), drop_answer_to: None }));
        let ours = world.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // The client may be gone.
                answer(stream, &ours, serves).ok();
            }
        });
        Self { url, world }
    }

    fn world(&self) -> MutexGuard<'_, MockProviderState> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn state_value(&self) -> Value {
        self.world().value.clone()
    }

    /// The number of requests with this prefix, such as `POST /invitees`.
    pub fn asked(&self, what: &str) -> usize {
        self.world().asked.iter().filter(|asked| asked.starts_with(what)).count()
    }

    /// Performs the next request with this prefix and drops its response.
    pub fn drop_next_answer(&self, what: &'static str) {
        self.world().drop_answer_to = Some(what);
    }
}

fn answer(mut stream: TcpStream, world: &Mutex<MockProviderState>, serves: MockHandler) -> std::io::Result<()> {
    let asked = read(&stream)?;
    let says = {
        let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = format!("{} {}", asked.method, asked.path);
        let is_lost = world.drop_answer_to.is_some_and(|what| shown.starts_with(what));
        world.asked.push(shown);
        let says = serves(&mut world.value, &asked);
        if is_lost {
            world.drop_answer_to = None;
            return Ok(());
        }
        says
    };
    let MockReply { status, headers, body } = says;
    let head =
        format!("HTTP/1.1 {status} Said\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes())
}

fn read(stream: &TcpStream) -> std::io::Result<MockRequest> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut words = first.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let mut asked = MockRequest {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: String::new(),
    };
    let mut body = vec![0; asked.header("content-length").parse().unwrap_or(0)];
    reader.read_exact(&mut body)?;
    asked.body = String::from_utf8(body).unwrap_or_default();
    Ok(asked)
}

/// Calendly's API v2: one event type that is free at every requested time, and accepts one invitee per time.
pub fn calendly(events: &mut Value, asked: &MockRequest) -> MockReply {
    const API: &str = "https://api.calendly.com";
    if asked.header("authorization") != "Bearer t0k3n" {
        return MockReply::json(401, &json!({"title": "Unauthenticated", "message": "The access token is invalid"}));
    }
    let all = events.as_object_mut().expect("events");
    let is_taken = |all: &serde_json::Map<String, Value>, at: &str| {
        all.values().any(|event| event["status"] == "active" && event["start_time"] == at)
    };
    let page = |items: Vec<Value>| json!({"pagination": {"count": items.len()}, "collection": items});
    let missing = || MockReply::json(404, &json!({"title": "Resource Not Found", "message": "there is none"}));
    match (asked.method.as_str(), &asked.parts()[..]) {
        ("GET", ["event_type_available_times"]) => {
            let start = asked.query("start_time");
            let free = !is_taken(all, &start);
            let time = json!({"status": "available", "invitees_remaining": 1, "start_time": start});
            MockReply::json(200, &page(free.then_some(time).into_iter().collect()))
        }
        ("POST", ["invitees"]) => {
            let told = asked.json();
            let start = told["start_time"].as_str().expect("a start");
            if is_taken(all, start) {
                return MockReply::json(
                    409,
                    &json!({"title": "Conflict", "message": "The time is no longer available."}),
                );
            }
            let id = format!("EVENT{:011}", all.len());
            let uri = format!("{API}/scheduled_events/{id}");
            let invitee = json!({
                "uri": format!("{uri}/invitees/1"), "event": uri, "status": "active",
                "email": told["invitee"]["email"], "tracking": told["tracking"],
            });
            let event = json!({
                "uri": uri, "status": "active", "start_time": start, "event_type": told["event_type"], "invitee": invitee,
            });
            all.insert(id, event);
            MockReply::json(201, &json!({"resource": invitee}))
        }
        ("GET", ["users", "me"]) => MockReply::json(200, &json!({"resource": {"uri": format!("{API}/users/ME")}})),
        ("GET", ["scheduled_events"]) => {
            let (from, to) = (asked.query("min_start_time"), asked.query("max_start_time"));
            let is_it = |event: &&Value| {
                let start = event["start_time"].as_str().unwrap_or_default();
                event["status"] == asked.query("status") && *from <= *start && *start <= *to
            };
            MockReply::json(200, &page(all.values().filter(is_it).cloned().collect()))
        }
        ("GET", ["scheduled_events", id]) => match all.get(*id) {
            Some(event) => MockReply::json(200, &json!({"resource": event})),
            None => missing(),
        },
        ("GET", ["scheduled_events", id, "invitees"]) => match all.get(*id) {
            Some(event) => MockReply::json(200, &page(vec![event["invitee"].clone()])),
            None => missing(),
        },
        ("POST", ["scheduled_events", id, "cancellation"]) => match all.get_mut(*id) {
            Some(event) if event["status"] == "active" => {
                event["status"] = json!("canceled");
                MockReply::json(201, &json!({"resource": {"canceled_by": "Baton", "canceler_type": "host"}}))
            }
            Some(_) => {
                MockReply::json(403, &json!({"title": "Permission Denied", "message": "Event is already canceled"}))
            }
            None => missing(),
        },
        _ => missing(),
    }
}

/// Stripe's API, version 1: one saved payment method, PaymentIntents that succeed, and their refunds, once per key.
pub fn stripe(world: &mut Value, asked: &MockRequest) -> MockReply {
    let wrong = |status: u16, code: &str, message: &str| {
        MockReply::json(status, &json!({"error": {"type": "invalid_request_error", "code": code, "message": message}}))
    };
    if asked.header("authorization") != "Bearer sk_test_s3cr3t" {
        return wrong(401, "api_key_invalid", "Invalid API Key provided");
    }
    let field = |name: &str| pair(&asked.body, name);
    let key = asked.header("idempotency-key").to_owned();
    if let Some(known) = world["keys"].get(&key) {
        return MockReply::json(200, known);
    }
    let made = match (asked.method.as_str(), &asked.parts()[..]) {
        ("POST", ["v1", "payment_intents"]) => {
            let (Some(amount), Some("pm_1")) = (field("amount"), field("payment_method").as_deref()) else {
                return wrong(400, "resource_missing", "No such PaymentMethod");
            };
            let amount: i64 = amount.parse().expect("an amount");
            let id = format!("pi_{}", world["charges"].as_object().map_or(0, serde_json::Map::len));
            let charge = json!({
                "id": id.replace("pi", "ch"), "object": "charge", "amount": amount, "amount_refunded": 0, "currency": field("currency"),
            });
            world["charges"][&id] = charge;
            json!({
                "id": id, "object": "payment_intent", "status": "succeeded", "amount": amount, "currency": field("currency"),
                "created": 1_736_931_600, "metadata": {"baton_key": field("metadata[baton_key]")},
            })
        }
        ("POST", ["v1", "refunds"]) => {
            let id = field("payment_intent").unwrap_or_default();
            let Some(charge) = world["charges"].get_mut(&id) else {
                return wrong(404, "resource_missing", "No such payment_intent");
            };
            let left = charge["amount"].as_i64().unwrap_or(0) - charge["amount_refunded"].as_i64().unwrap_or(0);
            let amount = field("amount").map_or(left, |amount| amount.parse().expect("an amount"));
            if left == 0 || amount > left {
                return wrong(400, "charge_already_refunded", "Charge has already been refunded.");
            }
            charge["amount_refunded"] = json!(charge["amount_refunded"].as_i64().unwrap_or(0) + amount);
            json!({
                "id": "re_1", "object": "refund", "status": "succeeded", "amount": amount, "currency": charge["currency"],
                "charge": charge, "metadata": {"baton_key": field("metadata[baton_key]")},
            })
        }
        _ => return wrong(404, "resource_missing", "Unrecognized request URL"),
    };
    if !key.is_empty() {
        world["keys"][&key] = made.clone();
    }
    MockReply::json(200, &made)
}

/// Google Calendar's API v3 with its tokens and one calendar.
pub fn google(events: &mut Value, asked: &MockRequest) -> MockReply {
    let wrong = |status: u16, reason: &str| {
        let error = json!({"domain": "global", "reason": reason, "message": reason});
        MockReply::json(status, &json!({"error": {"errors": [error], "code": status, "message": reason}}))
    };
    let parts = asked.parts();
    if parts == ["token"] {
        return match pair(&asked.body, "refresh_token").as_deref() {
            Some("r3fr3sh") => {
                MockReply::json(200, &json!({"access_token": "ya29.1", "expires_in": 3599, "token_type": "Bearer"}))
            }
            _ => MockReply::json(400, &json!({"error": "invalid_grant", "error_description": "Bad Request"})),
        };
    }
    if asked.header("authorization") != "Bearer ya29.1" {
        return wrong(401, "authError");
    }
    let all = events.as_object_mut().expect("events");
    let live = |event: &&Value| event["status"] != "cancelled";
    match (asked.method.as_str(), &parts[..]) {
        ("POST", ["freeBusy"]) => {
            let time = |event: &Value| json!({"start": event["start"]["dateTime"], "end": event["end"]["dateTime"]});
            let busy: Vec<Value> = all.values().filter(live).map(time).collect();
            let asked = asked.json();
            let of = |item: &Value| (item["id"].as_str().unwrap_or_default().to_owned(), json!({"busy": busy}));
            let calendars: serde_json::Map<String, Value> =
                asked["items"].as_array().into_iter().flatten().map(of).collect();
            MockReply::json(200, &json!({"kind": "calendar#freeBusy", "calendars": calendars}))
        }
        ("GET", ["calendars", "primary", "events"]) => {
            let items: Vec<&Value> = all.values().filter(live).collect();
            MockReply::json(200, &json!({"kind": "calendar#events", "items": items}))
        }
        ("POST", ["calendars", "primary", "events"]) => {
            let mut event = asked.json();
            let id = event["id"].as_str().expect("an id of ours").to_owned();
            if all.contains_key(&id) {
                return wrong(409, "duplicate");
            }
            event["created"] = json!("2025-01-15T09:00:00.000Z");
            event["etag"] = json!("\"1\"");
            all.insert(id, event.clone());
            MockReply::json(200, &event)
        }
        ("GET", ["calendars", "primary", "events", id]) => match all.get(*id) {
            Some(event) => MockReply::json(200, event),
            None => wrong(404, "notFound"),
        },
        ("DELETE", ["calendars", "primary", "events", id]) => match all.get_mut(*id) {
            Some(event) if event["status"] == "cancelled" => wrong(410, "deleted"),
            Some(event) => {
                event["status"] = json!("cancelled");
                MockReply::nothing(204)
            }
            None => wrong(404, "notFound"),
        },
        _ => wrong(404, "notFound"),
    }
}

/// A CalDAV server (RFC 4791) with one collection of objects.
pub fn caldav(objects: &mut Value, asked: &MockRequest) -> MockReply {
    if !asked.header("authorization").starts_with("Basic ") {
        return MockReply::nothing(401);
    }
    let all = objects.as_object_mut().expect("objects");
    let tagged = |status: u16, body: &str| MockReply {
        status,
        headers: "etag: \"1\"\r\ncontent-type: text/calendar; charset=utf-8\r\n".to_owned(),
        body: body.to_owned(),
    };
    match asked.method.as_str() {
        "REPORT" => {
            let response = |(path, object): (&String, &Value)| {
                format!(
                    "<response><href>{path}</href><propstat><prop><C:calendar-data>{}</C:calendar-data></prop>\
                     <status>HTTP/1.1 200 OK</status></propstat></response>",
                    object.as_str().unwrap_or_default()
                )
            };
            let found: String = all.iter().map(response).collect();
            let body = format!(
                "<?xml version='1.0' encoding='utf-8'?>\n<multistatus xmlns=\"DAV:\" \
                 xmlns:C=\"urn:ietf:params:xml:ns:caldav\">{found}</multistatus>"
            );
            MockReply { status: 207, headers: "content-type: text/xml; charset=utf-8\r\n".to_owned(), body }
        }
        "PUT" if all.contains_key(&asked.path) && asked.header("if-none-match") == "*" => MockReply::nothing(412),
        "PUT" => {
            all.insert(asked.path.clone(), json!(asked.body));
            tagged(201, "")
        }
        "GET" => match all.get(&asked.path) {
            Some(object) => tagged(200, object.as_str().unwrap_or_default()),
            None => MockReply::nothing(404),
        },
        "DELETE" => match all.remove(&asked.path) {
            Some(_) => MockReply::nothing(204),
            None => MockReply::nothing(404),
        },
        _ => MockReply::nothing(405),
    }
}
