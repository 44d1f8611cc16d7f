//! Bookings whose provider was changed, that were undone, or that gave way to another party's entry.

use std::sync::Arc;
use std::time::Duration;

use baton_core::tool::ToolOutcome;
use serde_json::{Value, json};

use super::fake::FakeGoogle;
use crate::ToolRegistry;
use crate::testing::service::CannedResponse;
use crate::testing::{ToolsFixture, done, not_done, unknown};

const ONE: &str = "one@group.calendar.google.com";
const TWO: &str = "two@group.calendar.google.com";

fn google(fake: &FakeGoogle, token: &str, rooms: Value) -> Value {
    let resources: Vec<&String> = rooms.as_object().unwrap().keys().collect();
    json!({
        "provider": "google", "resources": resources,
        "google": {
            "client_id": "client-1", "client_secret": "s3cr3t", "refresh_token": token, "calendars": rooms,
            "base_url": fake.service.url(""), "token_url": fake.service.url("/token"),
        },
    })
}

fn two_rooms(fake: &FakeGoogle) -> Value {
    google(fake, "1//r3fresh", json!({"room 1": ONE, "room 2": TWO}))
}

fn world(calendar: Value) -> ToolsFixture {
    ToolsFixture::with(json!({"zone": "Europe/Madrid", "calendar": calendar}))
}

/// The same installation with other settings.
fn reconfigured(world: &ToolsFixture, calendar: Value) -> ToolsFixture {
    let config = serde_json::from_value(json!({"zone": "Europe/Madrid", "calendar": calendar})).unwrap();
    let registry = Arc::new(ToolRegistry::new(config, &world.services()).unwrap());
    ToolsFixture { registry, records: world.records.clone(), clock: world.clock.clone() }
}

fn booking() -> Value {
    json!({"action": "create_booking", "date": "2025-01-20", "time": "10:00"})
}

fn cancelling(booked: &Value) -> Value {
    json!({"action": "cancel_booking", "booking_id": booked["booking_id"]})
}

async fn outcome(world: &ToolsFixture, key: &str, arguments: Value) -> ToolOutcome {
    world.send(&world.call(key, "google_calendar", arguments)).await.outcome
}

/// Another party's event at ten, created earlier or right after Baton's insert.
fn rival(created: &str) -> Value {
    let at = |time: &str| json!({"dateTime": format!("2025-01-20T{time}:00Z")});
    json!({"id": "rival", "created": created, "start": at("09:00"), "end": at("10:00")})
}

#[tokio::test]
async fn a_booking_of_another_provider_is_not_said_to_be_cancelled() {
    let fake = FakeGoogle::start().await;
    let before = world(two_rooms(&fake));
    let booked = done(outcome(&before, "k", booking()).await);
    let elsewhere = json!({
        "provider": "caldav",
        "caldav": {"url": fake.service.url(""), "calendars": {"main": "/c/"}, "username": "u", "password": "p"},
    });
    for calendar in [elsewhere, json!({})] {
        let (code, message) = not_done(outcome(&reconfigured(&before, calendar), "k2", cancelling(&booked)).await);
        assert_eq!(code, "BOOKING_NOT_FOUND");
        assert!(message.contains("was made at google"), "{message}");
    }
    assert_eq!(fake.events().len(), 1);
    assert_eq!(done(outcome(&before, "k3", cancelling(&booked)).await)["status"], "cancelled");
}

#[tokio::test]
async fn a_booking_kept_here_is_cancelled_here_whoever_keeps_the_calendar_now() {
    let fake = FakeGoogle::start().await;
    let before = world(json!({}));
    let booked = done(outcome(&before, "k", booking()).await);
    let now = reconfigured(&before, two_rooms(&fake));
    for key in ["k2", "k3"] {
        let cancelled = done(outcome(&now, key, cancelling(&booked)).await);
        assert_eq!((&cancelled["status"], &cancelled["provider"]), (&json!("cancelled"), &json!("internal")));
    }
    assert_eq!(before.records.held_ranges(), 0);
    assert!(fake.service.received().is_empty(), "nobody outside was asked");
}

#[tokio::test]
async fn a_booking_in_a_calendar_that_is_named_no_longer_is_not_said_to_be_cancelled() {
    let fake = FakeGoogle::start().await;
    let before = world(two_rooms(&fake));
    let booked = done(outcome(&before, "k", booking()).await);
    for other in [
        google(&fake, "1//r3fresh", json!({"room 1": "new@group.calendar.google.com"})),
        google(&fake, "1//another", json!({"room 1": "primary"})),
    ] {
        let (code, message) = not_done(outcome(&reconfigured(&before, other), "k2", cancelling(&booked)).await);
        assert_eq!(code, "BOOKING_NOT_FOUND");
        assert!(message.contains("settings name no longer"), "{message}");
    }
    // Another token finds it as well, and then it does not matter whose token it is.
    let renewed = reconfigured(&before, google(&fake, "1//another", json!({"a": TWO, "b": ONE})));
    assert_eq!(done(outcome(&renewed, "k3", cancelling(&booked)).await)["status"], "cancelled");
    assert!(fake.events().is_empty());
    // A booking that was cancelled here stays cancelled, wherever the calendar is now.
    let gone = reconfigured(&before, google(&fake, "1//r3fresh", json!({"room 1": "new@group.calendar.google.com"})));
    assert_eq!(done(outcome(&gone, "k4", cancelling(&booked)).await)["status"], "cancelled");
}

#[tokio::test]
async fn a_booking_that_nobody_knows_of_is_not_said_to_be_cancelled() {
    let fake = FakeGoogle::start().await;
    let cancel = cancelling(&json!({"booking_id": "bk_0123456789abcdef0123"}));
    let (code, message) = not_done(outcome(&world(two_rooms(&fake)), "k", cancel).await);
    assert_eq!(code, "BOOKING_NOT_FOUND");
    assert!(message.contains("not known where it was made"), "{message}");
}

#[tokio::test]
async fn a_booking_that_a_person_took_out_is_cancelled() {
    let fake = FakeGoogle::start().await;
    let world = world(two_rooms(&fake));
    let booked = done(outcome(&world, "k", booking()).await);
    fake.state.lock().unwrap().events.clear();
    assert_eq!(done(outcome(&world, "k2", cancelling(&booked)).await)["status"], "cancelled");
}

#[tokio::test]
async fn a_call_that_was_undone_books_no_other_room() {
    for is_forgotten in [false, true] {
        let fake = FakeGoogle::start().await;
        let world = world(two_rooms(&fake));
        let booked = done(outcome(&world, "k", booking()).await);
        done(outcome(&world, "k2", cancelling(&booked)).await);
        if is_forgotten {
            fake.state.lock().unwrap().events.clear();
        }
        let (code, message) = not_done(outcome(&world, "k", booking()).await);
        assert_eq!(code, "SLOT_TAKEN");
        assert!(message.contains("was cancelled"), "{message}");
        assert!(fake.events().is_empty());
    }
}

#[tokio::test]
async fn an_entry_that_a_person_took_out_is_not_booked_in_another_room() {
    let fake = FakeGoogle::start().await;
    let world = world(two_rooms(&fake));
    done(outcome(&world, "k", booking()).await);
    for event in fake.state.lock().unwrap().events.values_mut() {
        event["status"] = "cancelled".into();
    }
    assert_eq!(not_done(outcome(&world, "k", booking()).await).0, "SLOT_TAKEN");
    assert!(fake.events().is_empty());
}

#[tokio::test]
async fn a_booking_that_left_its_room_to_another_is_found_in_the_next() {
    let fake = FakeGoogle::start().await;
    let world = world(two_rooms(&fake));
    fake.state.lock().unwrap().rival = Some(rival("2025-01-15T08:00:00Z"));
    fake.fails_after("POST /calendars/two", CannedResponse::Disconnect);
    unknown(outcome(&world, "k", booking()).await);
    // The first room has the other event, and Baton's as a cancelled one. That says nothing about the second room.
    let booked = done(outcome(&world, "k", booking()).await);
    assert_eq!((&booked["resource"], fake.events().len()), (&json!("room 2"), 2));
    done(outcome(&world, "k2", cancelling(&booked)).await);
    let left: Vec<_> = fake.events().iter().map(|event| event["id"].clone()).collect();
    assert_eq!(left, ["rival"]);
}

#[tokio::test]
async fn an_attempt_that_was_given_up_keeps_others_waiting_a_short_time_and_itself_not_at_all() {
    let fake = FakeGoogle::start().await;
    let world = world(google(&fake, "1//r3fresh", json!({"room 1": ONE})));
    let gives_up = async |key: &str| {
        fake.fails("POST /calendars/one", CannedResponse::NoResponse);
        let call = world.call(key, "google_calendar", booking());
        unknown(world.send_within(&call, Duration::from_millis(700)).await.outcome);
    };
    gives_up("k").await;
    assert_eq!(not_done(outcome(&world, "other", booking()).await).0, "SLOT_TAKEN", "what was sent may still arrive");
    assert_eq!(done(outcome(&world, "k", booking()).await)["status"], "confirmed");
    assert_eq!(world.records.held_ranges(), 0, "no lease is left");
    let booked = fake.events()[0]["id"].as_str().unwrap().replacen("bk", "bk_", 1);
    done(outcome(&world, "k2", cancelling(&json!({"booking_id": booked}))).await);

    gives_up("k3").await;
    // The lease is shortened in the background.
    while world.records.space("calendar_lease")[0]["until"].as_i64().unwrap() > world.clock_ms() + 15_000 {
        tokio::task::yield_now().await;
    }
    world.clock.advance(Duration::from_secs(16));
    assert_eq!(done(outcome(&world, "other", booking()).await)["status"], "confirmed");
}

impl ToolsFixture {
    fn clock_ms(&self) -> i64 {
        use baton_ports::clock::Clock as _;
        self.clock.now().as_ms()
    }
}
