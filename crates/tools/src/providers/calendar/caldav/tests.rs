//! Tests against recorded bytes; `radicale.rs` tests against a real server.

use std::sync::Mutex;
use std::time::Duration;

use baton_core::tool::ToolOutcome;
use serde_json::{Value, json};

use crate::testing::service::{CannedResponse, FakeService, RecordedRequest};
use crate::testing::{ToolsFixture, done, not_done, unknown};

/// A response as Radicale 3.9 sends it.
fn multistatus(objects: &[&str]) -> CannedResponse {
    let response = |object: &&str| {
        format!(
            "<response><href>/clinic/room/x.ics</href><propstat><prop><C:calendar-data>{object}</C:calendar-data></prop>\
             <status>HTTP/1.1 200 OK</status></propstat></response>"
        )
    };
    let body: String = objects.iter().map(response).collect();
    CannedResponse::Answer(
        207,
        "content-type: text/xml; charset=utf-8\r\n".to_owned(),
        format!(
            "<?xml version='1.0' encoding='utf-8'?>\n<multistatus xmlns=\"DAV:\" \
             xmlns:C=\"urn:ietf:params:xml:ns:caldav\">{body}</multistatus>"
        ),
    )
}

fn event(lines: &str) -> String {
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:other\r\n{lines}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")
}

fn says(status: u16) -> CannedResponse {
    CannedResponse::Answer(status, String::new(), String::new())
}

fn world(service: &FakeService) -> ToolsFixture {
    let caldav = json!({
        "url": service.url(""), "calendars": {"main": "/clinic/room"}, "username": "clinic", "password": "s3cr3t",
    });
    ToolsFixture::with(json!({"zone": "Europe/Madrid", "calendar": {"provider": "caldav", "caldav": caldav}}))
}

async fn outcome(world: &ToolsFixture, key: &str, arguments: Value) -> ToolOutcome {
    world.send(&world.call(key, "google_calendar", arguments)).await.outcome
}

fn booking() -> Value {
    json!({"action": "create_booking", "date": "2025-01-20", "time": "10:00", "treatment": "Botox"})
}

fn checked() -> Value {
    json!({"action": "check_availability", "date": "2025-01-20"})
}

/// A server that stores one object, and returns `first` for the first request of a method.
async fn keeping(method: &'static str, first: CannedResponse) -> FakeService {
    let (kept, first) = (Mutex::new(None::<String>), Mutex::new(Some(first)));
    FakeService::start(move |asked: &RecordedRequest| {
        let mut kept = kept.lock().unwrap();
        let said = if asked.method == method { first.lock().unwrap().take() } else { None };
        let answer = match asked.method.as_str() {
            "REPORT" => multistatus(&kept.as_deref().into_iter().collect::<Vec<_>>()),
            "PUT" if kept.is_some() => says(412),
            "PUT" => {
                assert_eq!(asked.header("if-none-match"), Some("*"));
                *kept = Some(asked.body.clone());
                CannedResponse::Answer(201, "etag: \"1\"\r\n".to_owned(), String::new())
            }
            "GET" => kept
                .clone()
                .map_or(says(404), |object| CannedResponse::Answer(200, "etag: \"1\"\r\n".to_owned(), object)),
            "DELETE" if asked.header("if-match") == Some("\"1\"") => {
                *kept = None;
                says(204)
            }
            _ => says(405),
        };
        said.unwrap_or(answer)
    })
    .await
}

#[tokio::test]
async fn what_the_server_says_is_busy_is_not_offered() {
    let busy = event("DTSTART;TZID=Europe/Madrid:20250120T113000\r\nDTEND;TZID=Europe/Madrid:20250120T123000");
    let free = event("DTSTART;VALUE=DATE:20250120\r\nTRANSP:TRANSPARENT");
    let service = FakeService::start(move |_| multistatus(&[&busy, &free])).await;
    let output = done(outcome(&world(&service), "k", checked()).await);
    assert_eq!(output["available_slots"], json!(["09:00", "10:00", "13:00", "14:00", "15:00", "16:00", "17:00"]));
    let asked = &service.received()[0];
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("REPORT", "/clinic/room/"));
    assert_eq!((asked.header("depth"), asked.header("authorization")), (Some("1"), Some("Basic Y2xpbmljOnMzY3IzdA==")));
    assert!(asked.body.contains("<C:expand start=\"20250120T080000Z\" end=\"20250120T170000Z\"/>"), "{}", asked.body);
}

#[tokio::test]
async fn recurrences_that_a_server_does_not_expand_are_asked_for_as_busy_times() {
    let weekly = event("DTSTART:20250106T100000Z\r\nDTEND:20250106T110000Z\r\nRRULE:FREQ=WEEKLY");
    let service = FakeService::start(move |asked| match asked.body.contains("free-busy-query") {
        true => {
            let text = "BEGIN:VCALENDAR\r\nBEGIN:VFREEBUSY\r\nFREEBUSY:20250120T100000Z/PT1H\r\nEND:VFREEBUSY\r\nEND:VCALENDAR\r\n";
            CannedResponse::Answer(200, String::new(), text.to_owned())
        }
        false => multistatus(&[&weekly]),
    })
    .await;
    let output = done(outcome(&world(&service), "k", checked()).await);
    assert!(!output["available_slots"].as_array().unwrap().contains(&json!("11:00")), "{output}");
    assert_eq!(output["available_slots"].as_array().unwrap().len(), 8);
}

#[tokio::test]
async fn a_put_whose_answer_was_lost_is_unknown_and_found_again() {
    for lost in [CannedResponse::Disconnect, says(500)] {
        let service = keeping("PUT", lost).await;
        let world = world(&service);
        assert_eq!(unknown(outcome(&world, "k", booking()).await).0, "CALENDAR_UNAVAILABLE");
        let booked = done(outcome(&world, "k", booking()).await);
        assert_eq!((&booked["status"], &booked["provider"]), (&json!("confirmed"), &json!("caldav")));
        let puts = service.received().iter().filter(|asked| asked.method == "PUT").count();
        assert_eq!(puts, 1, "what is busy by itself is looked up, not put again");
    }
}

#[tokio::test]
async fn a_put_that_is_never_answered_is_unknown_and_found_again() {
    let service = keeping("PUT", CannedResponse::NoResponse).await;
    let world = world(&service);
    let call = world.call("k", "google_calendar", booking());
    assert_eq!(unknown(world.send_within(&call, Duration::from_millis(700)).await.outcome).0, "TIMEOUT");
    assert_eq!(done(world.send(&call).await.outcome)["time"], "10:00");
}

#[tokio::test]
async fn a_412_is_the_same_booking() {
    let service = keeping("REPORT", multistatus(&[])).await;
    let world = world(&service);
    let first = done(outcome(&world, "k", booking()).await);
    // The server lags behind: it still reports the time as free.
    let reports = Mutex::new(0);
    let object = service.received().into_iter().find(|asked| asked.method == "PUT").unwrap().body;
    let lagging = FakeService::start(move |asked| match asked.method.as_str() {
        "REPORT" => {
            *reports.lock().unwrap() += 1;
            let there = *reports.lock().unwrap() > 1;
            multistatus(
                if there { std::slice::from_ref(&object).iter().map(String::as_str).collect() } else { Vec::new() }
                    .as_slice(),
            )
        }
        "GET" => CannedResponse::Answer(200, String::new(), object.clone()),
        _ => says(412),
    })
    .await;
    assert_eq!(done(outcome(&self::world(&lagging), "k", booking()).await), first);
}

#[tokio::test]
async fn a_time_that_somebody_came_into_is_given_up() {
    let rival = event("DTSTART:20250120T093000Z\r\nDTEND:20250120T100000Z");
    let reports = Mutex::new(0);
    let service = FakeService::start(move |asked| match asked.method.as_str() {
        "REPORT" => {
            *reports.lock().unwrap() += 1;
            let there = *reports.lock().unwrap() > 1;
            if there { multistatus(&[&rival]) } else { multistatus(&[]) }
        }
        "PUT" => CannedResponse::Answer(201, "etag: \"7\"\r\n".to_owned(), String::new()),
        _ => says(204),
    })
    .await;
    assert_eq!(not_done(outcome(&world(&service), "k", booking()).await).0, "SLOT_TAKEN");
    let last = service.received().pop().unwrap();
    assert_eq!((last.method.as_str(), last.header("if-match")), ("DELETE", Some("\"7\"")));
}

#[tokio::test]
async fn what_a_server_refuses_is_sorted_by_what_to_do() {
    let xml = |body: &str| CannedResponse::Answer(207, String::new(), body.to_owned());
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;\">]><multistatus xmlns=\"DAV:\">&b;</multistatus>";
    for (first, code, retries) in [
        (says(401), "CALENDAR_NOT_CONFIGURED", false),
        (says(403), "CALENDAR_NOT_CONFIGURED", false),
        (says(404), "CALENDAR_NOT_CONFIGURED", false),
        (says(500), "CALENDAR_UNAVAILABLE", true),
        (CannedResponse::Answer(429, "retry-after: 3\r\n".to_owned(), String::new()), "RATE_LIMIT_EXCEEDED", true),
        (CannedResponse::Disconnect, "CALENDAR_UNAVAILABLE", true),
        (xml("<multistatus xmlns=\"DAV:\"><response>"), "CALENDAR_UNAVAILABLE", true),
        (xml("<html/>"), "CALENDAR_UNAVAILABLE", true),
        (xml(bomb), "CALENDAR_UNAVAILABLE", true),
        (xml(&"<a>".repeat(100_000)), "CALENDAR_UNAVAILABLE", true),
        (multistatus(&["BEGIN:VCALENDAR"]), "CALENDAR_UNAVAILABLE", true),
    ] {
        let service = keeping("REPORT", first).await;
        match outcome(&world(&service), "k", booking()).await {
            ToolOutcome::NotDone { fault, retryable, .. } => {
                assert_eq!((fault.code.as_ref(), retryable), (code, retries), "{}", fault.message);
                assert!(!fault.message.contains("s3cr3t"));
            }
            other => panic!("expected it not done: {other:?}"),
        }
    }
}

#[tokio::test]
async fn cancelling_deletes_what_was_looked_at_and_twice_is_once() {
    let service = keeping("MKCOL", says(200)).await;
    let world = world(&service);
    let booked = done(outcome(&world, "k", booking()).await);
    let cancel = json!({"action": "cancel_booking", "booking_id": booked["booking_id"]});
    let first = done(outcome(&world, "k2", cancel.clone()).await);
    assert_eq!(
        (&first["status"], &first["date"], &first["time"]),
        (&json!("cancelled"), &json!("2025-01-20"), &json!("10:00"))
    );
    assert_eq!(done(outcome(&world, "k3", cancel).await)["status"], "cancelled");
    let deletes = service.received().iter().filter(|asked| asked.method == "DELETE").count();
    assert_eq!(deletes, 1);
}

#[tokio::test]
async fn an_entry_that_changed_meanwhile_is_not_deleted() {
    let service = keeping("DELETE", says(412)).await;
    let world = world(&service);
    let booked = done(outcome(&world, "k", booking()).await);
    let cancel = json!({"action": "cancel_booking", "booking_id": booked["booking_id"]});
    assert_eq!(not_done(outcome(&world, "k2", cancel.clone()).await).0, "CALENDAR_UNAVAILABLE");
    assert_eq!(done(outcome(&world, "k2", cancel).await)["status"], "cancelled");
}
