//! Providers as their documentation describes them, with a memory of what was done: a real server each, on this machine.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

/// One request.
pub struct Asked {
    pub method: String,
    /// Without the query.
    pub path: String,
    query: String,
    /// Lower-case names.
    headers: Vec<(String, String)>,
    pub body: String,
}

/// What it is answered with.
pub struct Says {
    status: u16,
    headers: String,
    body: String,
}

impl Says {
    pub fn json(status: u16, body: &Value) -> Self {
        Self { status, headers: "content-type: application/json\r\n".to_owned(), body: body.to_string() }
    }
}

impl Asked {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// A parameter of the query.
    pub fn query(&self, name: &str) -> String {
        pair(&self.query, name).unwrap_or_default()
    }

    pub fn parts(&self) -> Vec<&str> {
        self.path.trim_matches('/').split('/').collect()
    }
}

/// The value of a name in `a=1&b=2`, decoded.
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

/// What a provider makes of a request to its world.
pub type Serves = fn(&mut Value, &Asked) -> Says;

/// A provider that is there until the test ends.
pub struct Provider {
    pub url: String,
    world: Arc<Mutex<World>>,
}

struct World {
    holds: Value,
    /// `METHOD path` of what was asked.
    asked: Vec<String>,
    /// The next request that begins so is done and not answered.
    loses: Option<&'static str>,
}

impl Provider {
    pub fn start(world: Value, serves: Serves) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let world = Arc::new(Mutex::new(World { holds: world, asked: Vec::new(), loses: None }));
        let ours = world.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Whoever asked may have gone away.
                answer(stream, &ours, serves).ok();
            }
        });
        Self { url, world }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn holds(&self) -> Value {
        self.world().holds.clone()
    }

    /// How often something that begins so was asked: `POST /invitees`.
    pub fn asked(&self, what: &str) -> usize {
        self.world().asked.iter().filter(|asked| asked.starts_with(what)).count()
    }

    /// The next request that begins so is done, and its answer gets lost.
    pub fn loses_an_answer(&self, what: &'static str) {
        self.world().loses = Some(what);
    }
}

fn answer(mut stream: TcpStream, world: &Mutex<World>, serves: Serves) -> std::io::Result<()> {
    let asked = read(&stream)?;
    let says = {
        let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = format!("{} {}", asked.method, asked.path);
        let is_lost = world.loses.is_some_and(|what| shown.starts_with(what));
        world.asked.push(shown);
        let says = serves(&mut world.holds, &asked);
        if is_lost {
            world.loses = None;
            return Ok(());
        }
        says
    };
    let Says { status, headers, body } = says;
    let head =
        format!("HTTP/1.1 {status} Said\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes())
}

fn read(stream: &TcpStream) -> std::io::Result<Asked> {
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
    let mut asked = Asked {
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

/// Calendly's API v2: an event type that is free at every time that is asked about, and takes one invitee a time.
pub fn calendly(events: &mut Value, asked: &Asked) -> Says {
    const API: &str = "https://api.calendly.com";
    if asked.header("authorization") != "Bearer t0k3n" {
        return Says::json(401, &json!({"title": "Unauthenticated", "message": "The access token is invalid"}));
    }
    let all = events.as_object_mut().expect("events");
    let is_taken = |all: &serde_json::Map<String, Value>, at: &str| {
        all.values().any(|event| event["status"] == "active" && event["start_time"] == at)
    };
    let page = |items: Vec<Value>| json!({"pagination": {"count": items.len()}, "collection": items});
    let missing = || Says::json(404, &json!({"title": "Resource Not Found", "message": "there is none"}));
    match (asked.method.as_str(), &asked.parts()[..]) {
        ("GET", ["event_type_available_times"]) => {
            let start = asked.query("start_time");
            let free = !is_taken(all, &start);
            let time = json!({"status": "available", "invitees_remaining": 1, "start_time": start});
            Says::json(200, &page(free.then_some(time).into_iter().collect()))
        }
        ("POST", ["invitees"]) => {
            let told = asked.json();
            let start = told["start_time"].as_str().expect("a start");
            if is_taken(all, start) {
                return Says::json(409, &json!({"title": "Conflict", "message": "The time is no longer available."}));
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
            Says::json(201, &json!({"resource": invitee}))
        }
        ("GET", ["users", "me"]) => Says::json(200, &json!({"resource": {"uri": format!("{API}/users/ME")}})),
        ("GET", ["scheduled_events"]) => {
            let (from, to) = (asked.query("min_start_time"), asked.query("max_start_time"));
            let is_it = |event: &&Value| {
                let start = event["start_time"].as_str().unwrap_or_default();
                event["status"] == asked.query("status") && *from <= *start && *start <= *to
            };
            Says::json(200, &page(all.values().filter(is_it).cloned().collect()))
        }
        ("GET", ["scheduled_events", id]) => match all.get(*id) {
            Some(event) => Says::json(200, &json!({"resource": event})),
            None => missing(),
        },
        ("GET", ["scheduled_events", id, "invitees"]) => match all.get(*id) {
            Some(event) => Says::json(200, &page(vec![event["invitee"].clone()])),
            None => missing(),
        },
        ("POST", ["scheduled_events", id, "cancellation"]) => match all.get_mut(*id) {
            Some(event) if event["status"] == "active" => {
                event["status"] = json!("canceled");
                Says::json(201, &json!({"resource": {"canceled_by": "Baton", "canceler_type": "host"}}))
            }
            Some(_) => Says::json(403, &json!({"title": "Permission Denied", "message": "Event is already canceled"})),
            None => missing(),
        },
        _ => missing(),
    }
}
