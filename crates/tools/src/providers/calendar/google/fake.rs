//! A fake server that responds as Google documents: tokens, `freeBusy.query`, `events.insert`, `get`, `list` and
//! `delete`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::testing::service::{CannedResponse, FakeService, RecordedRequest, json as answer};

#[derive(Default)]
pub(super) struct FakeGoogleState {
    /// By calendar and id.
    pub(super) events: BTreeMap<(String, String), Value>,
    /// The number of access tokens issued; only the last is valid.
    pub(super) tokens: usize,
    /// Responses for the next requests whose method and path start with a prefix; with `after`, the request is
    /// performed first.
    pub(super) faults: VecDeque<FakeGoogleFault>,
    /// Another party's event, added right after the next insert.
    pub(super) rival: Option<Value>,
    /// Rises with each event; serves as the clock of the service.
    made: u32,
}

pub(super) struct FakeGoogleFault {
    pub(super) on: &'static str,
    pub(super) says: CannedResponse,
    pub(super) after: bool,
}

pub(super) struct FakeGoogle {
    pub(super) service: FakeService,
    pub(super) state: Arc<Mutex<FakeGoogleState>>,
}

impl FakeGoogle {
    pub(super) async fn start() -> Self {
        let state = Arc::new(Mutex::new(FakeGoogleState::default()));
        let own = state.clone();
        let service = FakeService::start(move |asked| own.lock().unwrap().answer(asked)).await;
        Self { service, state }
    }

    pub(super) fn fails(&self, on: &'static str, says: CannedResponse) {
        self.state.lock().unwrap().faults.push_back(FakeGoogleFault { on, says, after: false });
    }

    /// Performs the request, and then returns this response.
    pub(super) fn fails_after(&self, on: &'static str, says: CannedResponse) {
        self.state.lock().unwrap().faults.push_back(FakeGoogleFault { on, says, after: true });
    }

    pub(super) fn events(&self) -> Vec<Value> {
        let state = self.state.lock().unwrap();
        state.events.values().filter(|event| event["status"] != "cancelled").cloned().collect()
    }

    /// Adds an event that a person created.
    pub(super) fn has(&self, calendar: &str, id: &str, start: &str, end: &str) {
        let event = json!({"id": id, "start": {"dateTime": start}, "end": {"dateTime": end}});
        self.state.lock().unwrap().put(calendar, event);
    }

    pub(super) fn asked(&self, path: &str) -> Vec<RecordedRequest> {
        self.service.received().into_iter().filter(|asked| asked.target.contains(path)).collect()
    }
}

impl FakeGoogleState {
    fn answer(&mut self, asked: &RecordedRequest) -> CannedResponse {
        let shown = format!("{} {}", asked.method, asked.target);
        let fault = self.faults.iter().position(|fault| shown.starts_with(fault.on));
        match fault.and_then(|at| self.faults.remove(at)) {
            Some(FakeGoogleFault { says, after: false, .. }) => says,
            Some(FakeGoogleFault { says, .. }) => {
                self.act(asked);
                says
            }
            None => self.act(asked),
        }
    }

    fn act(&mut self, asked: &RecordedRequest) -> CannedResponse {
        let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
        if path == "/token" {
            self.tokens += 1;
            let token = format!("ya29.token-{}", self.tokens);
            return answer(200, &json!({"access_token": token, "expires_in": 3599, "token_type": "Bearer"}));
        }
        if asked.header("authorization") != Some(&format!("Bearer ya29.token-{}", self.tokens)) {
            return error(401, "authError", "Invalid Credentials");
        }
        let parts: Vec<String> = path.trim_start_matches('/').split('/').map(decoded).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match (asked.method.as_str(), parts.as_slice()) {
            ("POST", ["freeBusy"]) => self.free_busy(&asked.json()),
            ("GET", ["calendars", calendar, "events"]) => self.list(calendar, query),
            ("POST", ["calendars", calendar, "events"]) => self.insert(calendar, asked.json()),
            ("GET", ["calendars", calendar, "events", id]) => match self.find(calendar, id) {
                Some(event) => answer(200, &event),
                None => error(404, "notFound", "Not Found"),
            },
            ("DELETE", ["calendars", calendar, "events", id]) => match self.find(calendar, id) {
                Some(event) if event["status"] == "cancelled" => error(410, "deleted", "Resource has been deleted"),
                Some(mut event) => {
                    event["status"] = "cancelled".into();
                    self.events.insert(((*calendar).to_owned(), (*id).to_owned()), event);
                    CannedResponse::Answer(204, String::new(), String::new())
                }
                None => error(404, "notFound", "Not Found"),
            },
            _ => error(404, "notFound", "Not Found"),
        }
    }

    fn find(&self, calendar: &str, id: &str) -> Option<Value> {
        self.events.get(&(calendar.to_owned(), id.to_owned())).cloned()
    }

    fn put(&mut self, calendar: &str, mut event: Value) -> Value {
        self.made += 1;
        event["kind"] = "calendar#event".into();
        event["etag"] = format!("\"{}\"", self.made).into();
        event["status"] = "confirmed".into();
        if event["created"].is_null() {
            event["created"] = format!("2025-01-15T09:00:{:02}.000Z", self.made % 60).into();
        }
        let id = event["id"].as_str().unwrap().to_owned();
        self.events.insert((calendar.to_owned(), id), event.clone());
        event
    }

    fn insert(&mut self, calendar: &str, event: Value) -> CannedResponse {
        let id = event["id"].as_str().unwrap();
        assert!((5..=1024).contains(&id.len()));
        assert!(id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'v').contains(&byte)), "base32hex: {id}");
        if self.find(calendar, id).is_some() {
            return error(409, "duplicate", "The requested identifier already exists.");
        }
        let made = self.put(calendar, event);
        if let Some(rival) = self.rival.take() {
            self.put(calendar, rival);
        }
        answer(200, &made)
    }

    fn of(&self, calendar: &str) -> impl Iterator<Item = &Value> {
        let own = calendar.to_owned();
        self.events.iter().filter(move |((of, _), event)| *of == own && event["status"] != "cancelled").map(|(_, e)| e)
    }

    fn free_busy(&self, asked: &Value) -> CannedResponse {
        let (from, to) = (instant(&asked["timeMin"]), instant(&asked["timeMax"]));
        let of = |id: &str| {
            if id == "gone" {
                return json!({"errors": [{"domain": "global", "reason": "notFound"}], "busy": []});
            }
            let busy = self.of(id).filter(|event| overlaps(event, from, to));
            let busy = busy.map(|event| json!({"start": utc(&event["start"]), "end": utc(&event["end"])}));
            json!({"busy": busy.collect::<Vec<_>>()})
        };
        let ids = asked["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap());
        let calendars: serde_json::Map<_, _> = ids.map(|id| (id.to_owned(), of(id))).collect();
        let (min, max) = (&asked["timeMin"], &asked["timeMax"]);
        answer(200, &json!({"kind": "calendar#freeBusy", "timeMin": min, "timeMax": max, "calendars": calendars}))
    }

    fn list(&self, calendar: &str, query: &str) -> CannedResponse {
        let pairs: BTreeMap<String, String> =
            query.split('&').filter_map(|pair| pair.split_once('=')).map(|(n, v)| (n.to_owned(), decoded(v))).collect();
        let (from, to) = (instant(&json!(pairs["timeMin"])), instant(&json!(pairs["timeMax"])));
        let ours = pairs.contains_key("privateExtendedProperty");
        let items = self.of(calendar).filter(|event| overlaps(event, from, to));
        let items = items.filter(|event| !ours || event["extendedProperties"]["private"]["baton"] == "1");
        let mut items: Vec<&Value> = items.collect();
        // One event per page, to test paging.
        let at: usize = pairs.get("pageToken").map_or(0, |page| page.parse().unwrap());
        let next = (at + 1 < items.len()).then(|| (at + 1).to_string());
        items = items.into_iter().skip(at).take(1).collect();
        let mut body = json!({"kind": "calendar#events", "items": items});
        if let Some(next) = next {
            body["nextPageToken"] = next.into();
        }
        answer(200, &body)
    }
}

/// An error in the documented format.
pub(super) fn error(status: u16, reason: &str, message: &str) -> CannedResponse {
    let error = json!({"domain": "global", "reason": reason, "message": message});
    answer(status, &json!({"error": {"errors": [error], "code": status, "message": message}}))
}

fn overlaps(event: &Value, from: i64, to: i64) -> bool {
    instant(&event["start"]["dateTime"]) < to && from < instant(&event["end"]["dateTime"])
}

fn instant(text: &Value) -> i64 {
    text.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

fn utc(end: &Value) -> String {
    end["dateTime"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().to_string()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let hex = [rest.next().unwrap(), rest.next().unwrap()];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
            }
            b'+' => bytes.push(b' '),
            plain => bytes.push(plain),
        }
    }
    String::from_utf8(bytes).unwrap()
}
