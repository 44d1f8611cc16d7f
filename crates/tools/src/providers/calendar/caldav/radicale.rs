//! Tests against a real Radicale, whose address `cargo xtask test` sets in [`SERVER`]. Without one, these tests print
//! that they are skipped.

use std::time::Duration;

use baton_core::tool::ToolOutcome;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::testing::{ToolsFixture, done, not_done};

/// `http://127.0.0.1:PORT`, where `baton` with the password `baton` has full access.
const SERVER: &str = "TEST_RADICALE_URL";

struct RadicaleFixture {
    server: String,
    client: Client,
    calendar: &'static str,
}

impl RadicaleFixture {
    /// Creates an empty calendar of this name; `None` if there is no server.
    async fn with(calendar: &'static str) -> Option<Self> {
        let Ok(server) = std::env::var(SERVER) else {
            eprintln!("left out: {SERVER} names no server; `cargo xtask test` starts one");
            return None;
        };
        // As in Baton's own clients: no system proxy, and the first installed crypto provider is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().build().unwrap();
        let radicale = Self { server, client, calendar };
        radicale.ask("DELETE", "", String::new()).await;
        assert_eq!(radicale.ask("MKCALENDAR", "", String::new()).await.0, 201);
        Some(radicale)
    }

    async fn ask(&self, method: &str, object: &str, body: String) -> (u16, String) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = self.client.request(method, format!("{}{}{object}", self.server, self.path()));
        let response = request.basic_auth("baton", Some("baton")).body(body).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    fn path(&self) -> String {
        format!("/baton/{}/", self.calendar)
    }

    /// Creates an event as a person would.
    async fn has(&self, id: &str, lines: &str) {
        let text = format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Person//EN\r\nBEGIN:VEVENT\r\nUID:{id}\r\nDTSTAMP:20250101T000000Z\r\n\
             SUMMARY:{id}\r\n{lines}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
        );
        let (status, told) = self.ask("PUT", &format!("{id}.ics"), text).await;
        assert_eq!(status, 201, "{told}");
    }

    fn world(&self, more: Value) -> ToolsFixture {
        let mut calendar = json!({
            "provider": "caldav",
            "caldav": {"url": self.server, "calendars": {"main": self.path()}, "username": "baton", "password": "baton"},
        });
        calendar.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ToolsFixture::with(
            json!({"zone": "Europe/Madrid", "calendar": calendar, "tool": {"google_calendar": {"rate": "none"}}}),
        )
    }
}

fn booking(date: &str, time: &str) -> Value {
    json!({
        "action": "create_booking", "date": date, "time": time, "treatment": "Botox, año nuevo; \\n",
        "customer": "José Ñuñez 🎾", "notes": "línea uno\nlínea dos que es muy larga ".repeat(10),
    })
}

async fn slots(world: &ToolsFixture, date: &str) -> Value {
    world.done("any", "google_calendar", json!({"action": "check_availability", "date": date})).await["available_slots"]
        .clone()
}

#[tokio::test]
async fn radicale_keeps_a_booking_once_until_it_is_cancelled() {
    let Some(radicale) = RadicaleFixture::with("booking").await else { return };
    let world = radicale.world(json!({}));
    let first = world.done("k", "google_calendar", booking("2025-01-20", "10:00")).await;
    assert_eq!(world.done("k", "google_calendar", booking("2025-01-20", "10:00")).await, first);
    let id = first["booking_id"].as_str().unwrap();
    let (status, kept) = radicale.ask("GET", &format!("{id}.ics"), String::new()).await;
    assert_eq!(status, 200);
    let kept = kept.replace("\r\n ", "").replace("\n ", "");
    assert!(kept.contains("DTSTART;TZID=Europe/Madrid:20250120T100000"), "{kept}");
    assert!(kept.contains("Botox\\, año nuevo\\; \\\\n") && kept.contains("José Ñuñez 🎾"), "{kept}");
    assert!(!slots(&world, "2025-01-20").await.as_array().unwrap().contains(&json!("10:00")));
    assert_eq!(world.refused("k2", "google_calendar", booking("2025-01-20", "10:00")).await.0, "SLOT_TAKEN");

    let cancel = json!({"action": "cancel_booking", "booking_id": id});
    for key in ["k3", "k4"] {
        assert_eq!(world.done(key, "google_calendar", cancel.clone()).await["status"], "cancelled");
    }
    assert_eq!(slots(&world, "2025-01-20").await.as_array().unwrap().len(), 9);
}

#[tokio::test]
async fn radicale_tells_what_recurs_and_what_takes_no_time() {
    let Some(radicale) = RadicaleFixture::with("busy").await else { return };
    radicale
        .has(
            "weekly",
            "DTSTART:20250106T100000Z\r\nDTEND:20250106T110000Z\r\nRRULE:FREQ=WEEKLY\r\nEXDATE:20250127T100000Z",
        )
        .await;
    radicale.has("moved", "DTSTART:20250120T140000Z\r\nDURATION:PT30M").await;
    radicale.has("shown", "DTSTART;VALUE=DATE:20250120\r\nTRANSP:TRANSPARENT").await;
    radicale.has("off", "DTSTART:20250120T120000Z\r\nDTEND:20250120T130000Z\r\nSTATUS:CANCELLED").await;
    radicale.has("away", "DTSTART;VALUE=DATE:20250121\r\nDTEND;VALUE=DATE:20250123").await;
    let world = radicale.world(json!({}));
    assert_eq!(
        slots(&world, "2025-01-20").await,
        json!(["09:00", "10:00", "12:00", "13:00", "14:00", "16:00", "17:00"])
    );
    assert_eq!(slots(&world, "2025-01-27").await.as_array().unwrap().len(), 9, "the exception of the rule");
    assert_eq!(slots(&world, "2025-01-22").await, json!([]), "away all day");
    assert_eq!(slots(&world, "2025-01-23").await.as_array().unwrap().len(), 9);
}

#[tokio::test]
async fn radicale_keeps_times_right_over_a_change_of_clocks() {
    let Some(radicale) = RadicaleFixture::with("clocks").await else { return };
    let world = radicale.world(json!({"hours": {"sunday": ["00:00-05:00"]}}));
    world.clock.set("2025-03-01T00:00:00Z");
    let booked = world.done("k", "google_calendar", booking("2025-03-30", "01:00")).await;
    assert_eq!(
        (&booked["starts_at"], &booked["ends_at"]),
        (&json!("2025-03-30T01:00:00+01:00"), &json!("2025-03-30T03:00:00+02:00"))
    );
    assert_eq!(slots(&world, "2025-03-30").await, json!(["00:00", "03:00", "04:00"]));
}

#[tokio::test]
async fn radicale_keeps_the_buffers_of_our_own_bookings_free() {
    let Some(radicale) = RadicaleFixture::with("buffers").await else { return };
    let world = radicale.world(json!({
        "hours": {"monday": ["09:00-12:00"]}, "step_minutes": 30, "duration_minutes": 30,
        "treatments": {"botox": {"duration_minutes": 30, "buffer_after_minutes": 30}},
    }));
    let botox = json!({"action": "create_booking", "date": "2025-01-20", "time": "10:00", "treatment": "botox"});
    world.done("k", "google_calendar", botox).await;
    assert_eq!(slots(&world, "2025-01-20").await, json!(["09:00", "09:30", "11:00", "11:30"]));
}

#[tokio::test]
async fn of_two_hundred_who_want_one_time_of_radicale_one_gets_it() {
    let Some(radicale) = RadicaleFixture::with("crowd").await else { return };
    let world = radicale.world(json!({}));
    let calls: Vec<_> =
        (0..200).map(|n| world.call(&format!("k{n}"), "google_calendar", booking("2025-01-20", "10:00"))).collect();
    let limit = Duration::from_secs(60);
    let outcomes = futures::future::join_all(calls.iter().map(|call| world.send_within(call, limit))).await;
    let mut got = 0;
    for performed in outcomes {
        match performed.outcome {
            ToolOutcome::Done { .. } => got += 1,
            other => assert_eq!(not_done(other).0, "SLOT_TAKEN"),
        }
    }
    assert_eq!(got, 1);
    assert_eq!(slots(&world, "2025-01-20").await.as_array().unwrap().len(), 8);
}

#[tokio::test]
async fn radicale_refuses_a_stranger_and_knows_no_other_calendar() {
    let Some(radicale) = RadicaleFixture::with("strangers").await else { return };
    for (username, password, path) in
        [("baton", "wrong", radicale.path()), ("baton", "baton", "/baton/none/".to_owned())]
    {
        let caldav =
            json!({"url": radicale.server, "calendars": {"main": path}, "username": username, "password": password});
        let world = ToolsFixture::with(json!({"calendar": {"provider": "caldav", "caldav": caldav}}));
        let call = world.call("k", "check_availability", json!({"date": "2025-01-20"}));
        assert_eq!(not_done(world.send(&call).await.outcome).0, "CALENDAR_NOT_CONFIGURED");
    }
}

#[tokio::test]
async fn an_entry_that_a_person_has_moved_is_still_the_booking() {
    let Some(radicale) = RadicaleFixture::with("moved").await else { return };
    let world = radicale.world(json!({}));
    let first = world.done("k", "google_calendar", booking("2025-01-20", "10:00")).await;
    let object = format!("{}.ics", first["booking_id"].as_str().unwrap());
    let moved = radicale
        .ask("GET", &object, String::new())
        .await
        .1
        .replace("20250120T10", "20250120T15")
        .replace("20250120T11", "20250120T16");
    assert!((200..300).contains(&radicale.ask("PUT", &object, moved).await.0));
    // Sent again: the time is free, but the id exists.
    assert_eq!(
        done(world.send(&world.call("k", "google_calendar", booking("2025-01-20", "10:00"))).await.outcome),
        first
    );
    assert_eq!(
        slots(&world, "2025-01-20").await,
        json!(["09:00", "10:00", "11:00", "12:00", "13:00", "14:00", "16:00", "17:00"])
    );
    let cancelled = world
        .done("k2", "google_calendar", json!({"action": "cancel_booking", "booking_id": first["booking_id"]}))
        .await;
    assert_eq!(cancelled["time"], "15:00");
}
