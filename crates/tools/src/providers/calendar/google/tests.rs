use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use baton_core::tool::ToolOutcome;
use serde_json::{Value, json};

use super::fake::{FakeGoogle, error};
use crate::testing::service::CannedResponse;
use crate::testing::{ToolsFixture, done, not_done, unknown};

const ACCOUNT: &str = include_str!("../../../../testdata/google/service-account.json");
const PUBLIC_KEY: &[u8] = include_bytes!("../../../../testdata/google/public-key.der");

fn world(fake: &FakeGoogle, more: Value) -> ToolsFixture {
    let mut calendar = json!({
        "provider": "google",
        "google": {
            "client_id": "client-1", "client_secret": "s3cr3t", "refresh_token": "1//r3fresh",
            "base_url": fake.service.url(""), "token_url": fake.service.url("/token"),
        },
    });
    for (name, value) in more.as_object().unwrap() {
        match (name.as_str(), value) {
            ("google", Value::Object(own)) => calendar["google"].as_object_mut().unwrap().extend(own.clone()),
            _ => calendar[name] = value.clone(),
        }
    }
    ToolsFixture::with(json!({"zone": "Europe/Madrid", "calendar": calendar}))
}

fn rooms() -> Value {
    json!({
        "resources": ["room 1", "room 2"],
        "google": {"calendars": {"room 1": "one@group.calendar.google.com", "room 2": "two@group.calendar.google.com"}},
    })
}

fn booking(time: &str) -> Value {
    json!({"action": "create_booking", "date": "2025-01-20", "time": time, "treatment": "Botox", "user_id": "u1"})
}

fn checked() -> Value {
    json!({"action": "check_availability", "date": "2025-01-20"})
}

async fn outcome(world: &ToolsFixture, key: &str, arguments: Value) -> ToolOutcome {
    world.send(&world.call(key, "google_calendar", arguments)).await.outcome
}

#[track_caller]
fn retry_after(outcome: &ToolOutcome) -> (bool, Option<u64>) {
    match outcome {
        ToolOutcome::NotDone { retryable, retry_after, .. } => (*retryable, *retry_after),
        other => panic!("expected it not done: {other:?}"),
    }
}

#[tokio::test]
async fn what_google_says_is_busy_is_not_offered() {
    let fake = FakeGoogle::start().await;
    fake.has("primary", "lunch", "2025-01-20T11:30:00Z", "2025-01-20T12:30:00Z");
    let output = done(outcome(&world(&fake, json!({})), "k", checked()).await);
    let free = ["09:00", "10:00", "11:00", "14:00", "15:00", "16:00", "17:00"];
    assert_eq!(output["available_slots"], json!(free));
    assert_eq!((&output["slots"][0], &output["provider"]), (&json!("09:00-10:00"), &json!("google")));
    let asked = fake.asked("/freeBusy")[0].json();
    assert_eq!(asked["items"], json!([{"id": "primary"}]));
    assert_eq!(
        (&asked["timeMin"], &asked["timeMax"]),
        (&json!("2025-01-20T08:00:00.000Z"), &json!("2025-01-20T17:00:00.000Z"))
    );
}

#[tokio::test]
async fn a_booking_is_an_event_and_answers_as_the_internal_calendar_does() {
    let fake = FakeGoogle::start().await;
    let booked = done(outcome(&world(&fake, json!({})), "k", booking("10:00")).await);
    let internal = ToolsFixture::new().done("k", "google_calendar", booking("10:00")).await;
    let names = |output: &Value| output.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&booked), names(&internal));
    assert_eq!(booked["booking_id"], internal["booking_id"]);
    let event = &fake.events()[0];
    assert_eq!(event["id"], booked["booking_id"].as_str().unwrap().replace('_', ""));
    assert_eq!(event["start"], json!({"dateTime": "2025-01-20T10:00:00+01:00", "timeZone": "Europe/Madrid"}));
    assert_eq!(event["end"]["dateTime"], "2025-01-20T11:00:00+01:00");
    assert_eq!(event["summary"], "Botox");
    let inserts = fake.asked("/events?sendUpdates=none");
    assert_eq!((inserts[0].method.as_str(), inserts.len()), ("POST", 1));
}

#[tokio::test]
async fn the_same_key_books_once_and_answers_the_same() {
    let fake = FakeGoogle::start().await;
    let world = world(&fake, json!({}));
    let first = done(outcome(&world, "k", booking("10:00")).await);
    assert_eq!(done(outcome(&world, "k", booking("10:00")).await), first);
    assert_eq!(fake.events().len(), 1);
    // A day later, when the time is past, it is still the same booking.
    let call = world.call("k", "google_calendar", booking("10:00"));
    world.clock.set("2025-01-21T09:00:00Z");
    assert_eq!(done(world.send(&call).await.outcome), first);
}

#[tokio::test]
async fn a_key_with_other_arguments_is_refused() {
    let fake = FakeGoogle::start().await;
    let world = world(&fake, json!({}));
    done(outcome(&world, "k", booking("10:00")).await);
    assert_eq!(not_done(outcome(&world, "k", booking("12:00")).await).0, "KEY_REUSED");
    assert_eq!(fake.events().len(), 1);
}

#[tokio::test]
async fn an_insert_whose_answer_was_lost_is_unknown_and_found_again() {
    for (says, code) in [
        (CannedResponse::Disconnect, "CALENDAR_UNAVAILABLE"),
        (error(503, "backendError", "Backend Error"), "CALENDAR_UNAVAILABLE"),
    ] {
        let fake = FakeGoogle::start().await;
        let world = world(&fake, json!({}));
        fake.fails_after("POST /calendars/primary/events", says);
        assert_eq!(unknown(outcome(&world, "k", booking("10:00")).await).0, code);
        assert_eq!(done(outcome(&world, "k", booking("10:00")).await)["status"], "confirmed");
        assert_eq!(fake.events().len(), 1);
    }
}

#[tokio::test]
async fn an_insert_that_is_never_answered_is_unknown_and_found_again() {
    let fake = FakeGoogle::start().await;
    let world = world(&fake, json!({}));
    fake.fails_after("POST /calendars/primary/events", CannedResponse::NoResponse);
    let call = world.call("k", "google_calendar", booking("10:00"));
    assert_eq!(unknown(world.send_within(&call, Duration::from_millis(700)).await.outcome).0, "TIMEOUT");
    assert_eq!(done(world.send(&call).await.outcome)["time"], "10:00");
    assert_eq!(fake.events().len(), 1);
}

#[tokio::test]
async fn an_insert_whose_409_alone_arrives_is_the_same_booking() {
    let fake = FakeGoogle::start().await;
    let world = world(&fake, json!({}));
    // The service reports the time as free although it has the event: its responses may lag behind.
    fake.fails_after("POST /calendars/primary/events", CannedResponse::Disconnect);
    unknown(outcome(&world, "k", booking("10:00")).await);
    let free = json!({"calendars": {"primary": {"busy": []}}});
    fake.fails("POST /freeBusy", crate::testing::service::json(200, &free));
    assert_eq!(done(outcome(&world, "k", booking("10:00")).await)["status"], "confirmed");
    assert_eq!(fake.asked("/events?sendUpdates=none").len(), 2);
    assert_eq!(fake.events().len(), 1);
}

#[tokio::test]
async fn a_time_that_is_taken_is_not_booked() {
    let fake = FakeGoogle::start().await;
    fake.has("primary", "other", "2025-01-20T09:30:00Z", "2025-01-20T10:00:00Z");
    let (code, message) = not_done(outcome(&world(&fake, json!({})), "k", booking("10:00")).await);
    assert_eq!((code.as_str(), message.as_str()), ("SLOT_TAKEN", "2025-01-20 10:00-11:00 is taken in `main`"));
    assert!(fake.asked("/events?sendUpdates=none").is_empty());
}

#[tokio::test]
async fn of_two_at_one_time_the_later_is_taken_back() {
    for (created, stays) in
        [("2025-01-15T08:59:00.000Z", false), ("2025-01-15T09:00:01.000Z", false), ("2025-01-15T09:10:00.000Z", true)]
    {
        let fake = FakeGoogle::start().await;
        let at = |time: &str| json!({"dateTime": format!("2025-01-20T{time}:00Z")});
        let rival = json!({"id": "rival", "created": created, "start": at("09:30"), "end": at("10:30")});
        fake.state.lock().unwrap().rival = Some(rival);
        let came = outcome(&world(&fake, json!({})), "k", booking("10:00")).await;
        let left: Vec<_> = fake.events().iter().map(|event| event["id"] == "rival").collect();
        match stays {
            true => assert_eq!((done(came)["status"].clone(), left.len()), (json!("confirmed"), 2)),
            false => assert_eq!((not_done(came).0.as_str(), left.as_slice()), ("SLOT_TAKEN", [true].as_slice())),
        }
    }
}

#[tokio::test]
async fn a_booking_that_cannot_be_taken_back_is_unknown() {
    let fake = FakeGoogle::start().await;
    let world = world(&fake, json!({}));
    let at = |time: &str| json!({"dateTime": format!("2025-01-20T{time}:00Z")});
    let rival = json!({"id": "rival", "created": "2025-01-15T08:00:00Z", "start": at("09:30"), "end": at("10:30")});
    fake.state.lock().unwrap().rival = Some(rival);
    fake.fails("DELETE ", error(500, "backendError", "Backend Error"));
    assert_eq!(unknown(outcome(&world, "k", booking("10:00")).await).0, "CALENDAR_UNAVAILABLE");
    // The retry finds its own event and the other one, and gives way.
    assert_eq!(not_done(outcome(&world, "k", booking("10:00")).await).0, "SLOT_TAKEN");
    assert_eq!(fake.events().len(), 1);
}

#[tokio::test]
async fn a_booking_takes_any_resource_that_is_free_and_is_found_in_it_again() {
    let fake = FakeGoogle::start().await;
    let world = world(&fake, rooms());
    fake.has("one@group.calendar.google.com", "other", "2025-01-20T09:00:00Z", "2025-01-20T10:00:00Z");
    fake.fails_after("POST /calendars/two", CannedResponse::Disconnect);
    unknown(outcome(&world, "k", booking("10:00")).await);
    // The first room is free by now; the booking stays in the second.
    fake.state.lock().unwrap().events.retain(|(_, id), _| id != "other");
    assert_eq!(done(outcome(&world, "k", booking("10:00")).await)["resource"], "room 2");
    assert_eq!(fake.events().len(), 1);
}

#[tokio::test]
async fn of_two_hundred_who_want_one_time_at_once_one_gets_it() {
    let fake = FakeGoogle::start().await;
    let world = ToolsFixture::with(json!({"zone": "Europe/Madrid", "calendar": {
        "provider": "google",
        "google": {"client_id": "c", "client_secret": "s", "refresh_token": "r",
                   "base_url": fake.service.url(""), "token_url": fake.service.url("/token")},
    }, "tool": {"google_calendar": {"rate": "none"}}}));
    let calls: Vec<_> = (0..200).map(|n| world.call(&format!("k{n}"), "google_calendar", booking("10:00"))).collect();
    let limit = Duration::from_secs(60);
    let outcomes = futures::future::join_all(calls.iter().map(|call| world.send_within(call, limit))).await;
    let mut got = 0;
    for performed in outcomes {
        match performed.outcome {
            ToolOutcome::Done { .. } => got += 1,
            other => assert_eq!(not_done(other).0, "SLOT_TAKEN"),
        }
    }
    assert_eq!((got, fake.events().len()), (1, 1));
    assert_eq!(fake.state.lock().unwrap().tokens, 1, "one token is asked for, however many need it");
    assert_eq!(world.records.held_ranges(), 0, "no lease is left");
}

#[tokio::test]
async fn a_lease_that_somebody_died_with_runs_out() {
    let fake = FakeGoogle::start().await;
    let world = world(&fake, json!({}));
    fake.fails("POST /calendars/primary/events", CannedResponse::NoResponse);
    let call = world.call("dead", "google_calendar", booking("10:00"));
    unknown(world.send_within(&call, Duration::from_millis(700)).await.outcome);
    let waiting = outcome(&world, "k", booking("10:30")).await;
    assert!(retry_after(&waiting).0, "{waiting:?}");
    assert_eq!(not_done(waiting).0, "SLOT_TAKEN");
    world.clock.advance(Duration::from_secs(121));
    assert_eq!(done(outcome(&world, "k", booking("10:30")).await)["status"], "confirmed");
}

#[tokio::test]
async fn buffers_are_kept_free_around_our_own_bookings() {
    let fake = FakeGoogle::start().await;
    let world = world(
        &fake,
        json!({
            "hours": {"monday": ["09:00-13:00"]}, "step_minutes": 30,
            "treatments": {"botox": {"duration_minutes": 30, "buffer_after_minutes": 30}, "peeling": {"duration_minutes": 30}},
        }),
    );
    done(outcome(&world, "k", booking("10:00")).await);
    done(outcome(&world, "k2", booking("11:30")).await);
    let free = done(
        outcome(&world, "k3", json!({"action": "check_availability", "date": "2025-01-20", "treatment": "peeling"}))
            .await,
    );
    assert_eq!(free["available_slots"], json!(["09:00", "09:30", "11:00", "12:30"]));
}

#[tokio::test]
async fn cancelling_takes_the_event_out_and_twice_is_once() {
    let fake = FakeGoogle::start().await;
    let world = world(&fake, rooms());
    fake.has("one@group.calendar.google.com", "other", "2025-01-20T09:00:00Z", "2025-01-20T10:00:00Z");
    let booked = done(outcome(&world, "k", booking("10:00")).await);
    let cancel = json!({"action": "cancel_booking", "booking_id": booked["booking_id"]});
    let first = done(outcome(&world, "k2", cancel.clone()).await);
    assert_eq!(
        (&first["status"], &first["date"], &first["time"]),
        (&json!("cancelled"), &json!("2025-01-20"), &json!("10:00"))
    );
    assert_eq!(fake.events().len(), 1, "what is not ours stays");
    assert_eq!(done(outcome(&world, "k3", cancel.clone()).await)["status"], "cancelled");
    // Already deleted, or deleted between the look-up and the request: cancelled.
    fake.state.lock().unwrap().events.clear();
    assert_eq!(done(outcome(&world, "k4", cancel.clone()).await)["status"], "cancelled");
    done(outcome(&world, "k5", booking("12:00")).await);
    let other = json!({"action": "cancel_booking", "booking_id": fake.events()[0]["id"].as_str().unwrap().replacen("bk", "bk_", 1)});
    fake.fails("DELETE ", error(410, "deleted", "Resource has been deleted"));
    assert_eq!(done(outcome(&world, "k6", other).await)["status"], "cancelled");
}

#[tokio::test]
async fn an_entry_that_is_not_ours_cannot_be_cancelled() {
    let fake = FakeGoogle::start().await;
    fake.has("primary", "persons", "2025-01-20T09:00:00Z", "2025-01-20T10:00:00Z");
    for id in ["persons", "bk_", "bk_0123456789abcdefghij", "../persons"] {
        let cancel = json!({"action": "cancel_booking", "booking_id": id});
        assert_eq!(not_done(outcome(&world(&fake, json!({})), "k", cancel).await).0, "BOOKING_NOT_FOUND", "{id}");
    }
    assert!(fake.asked("/calendars").is_empty());
}

#[tokio::test]
async fn what_google_refuses_is_sorted_by_what_to_do() {
    let malformed =
        || CannedResponse::Answer(200, "content-type: application/json\r\n".to_owned(), "{\"calendars\": {".to_owned());
    for (says, code, retries, wait) in [
        (error(403, "rateLimitExceeded", "Rate Limit Exceeded"), "RATE_LIMIT_EXCEEDED", true, None),
        (error(403, "userRateLimitExceeded", "User Rate Limit Exceeded"), "RATE_LIMIT_EXCEEDED", true, None),
        (error(403, "forbidden", "Forbidden"), "CALENDAR_NOT_CONFIGURED", false, None),
        (error(404, "notFound", "Not Found"), "CALENDAR_NOT_CONFIGURED", false, None),
        (error(400, "timeRangeEmpty", "The specified time range is empty."), "SERVICE_REJECTED", false, None),
        (error(500, "backendError", "Backend Error"), "CALENDAR_UNAVAILABLE", true, None),
        (
            CannedResponse::Answer(429, "retry-after: 7\r\n".to_owned(), "{}".to_owned()),
            "RATE_LIMIT_EXCEEDED",
            true,
            Some(7_000),
        ),
        (CannedResponse::Disconnect, "CALENDAR_UNAVAILABLE", true, None),
        (malformed(), "CALENDAR_UNAVAILABLE", true, None),
    ] {
        let fake = FakeGoogle::start().await;
        fake.fails("POST /freeBusy", says);
        let came = outcome(&world(&fake, json!({})), "k", booking("10:00")).await;
        assert_eq!(retry_after(&came), (retries, wait), "{came:?}");
        assert_eq!(not_done(came).0, code);
        assert!(fake.events().is_empty());
    }
}

#[tokio::test]
async fn a_calendar_that_google_cannot_tell_of_is_not_a_free_one() {
    let fake = FakeGoogle::start().await;
    let world = world(&fake, json!({"google": {"calendars": {"main": "gone"}}}));
    let (code, message) = not_done(outcome(&world, "k", checked()).await);
    assert_eq!(code, "CALENDAR_NOT_CONFIGURED");
    assert!(message.contains("`gone`: notFound"), "{message}");
}

#[tokio::test]
async fn an_event_that_was_made_is_booked_even_if_its_answer_cannot_be_read() {
    let fake = FakeGoogle::start().await;
    let torn = CannedResponse::Answer(200, String::new(), "{\"kind\": \"calen".to_owned());
    fake.fails_after("POST /calendars/primary/events", torn);
    assert_eq!(done(outcome(&world(&fake, json!({})), "k", booking("10:00")).await)["status"], "confirmed");
}

#[tokio::test]
async fn a_failure_after_the_insert_is_unknown_and_settled_by_the_next_send() {
    let fake = FakeGoogle::start().await;
    let world = world(&fake, json!({}));
    fake.fails(
        "GET /calendars/primary/events?",
        CannedResponse::Answer(429, "retry-after: 1\r\n".to_owned(), String::new()),
    );
    assert_eq!(unknown(outcome(&world, "k", booking("10:00")).await).0, "RATE_LIMIT_EXCEEDED");
    assert_eq!(done(outcome(&world, "k", booking("10:00")).await)["status"], "confirmed");
    assert_eq!(fake.events().len(), 1);
}

#[tokio::test]
async fn a_token_is_kept_until_shortly_before_it_ends() {
    let fake = FakeGoogle::start().await;
    let world = world(&fake, json!({}));
    done(outcome(&world, "k1", checked()).await);
    world.clock.advance(Duration::from_secs(3_500));
    done(outcome(&world, "k2", checked()).await);
    assert_eq!(fake.state.lock().unwrap().tokens, 1);
    world.clock.advance(Duration::from_secs(50));
    done(outcome(&world, "k3", checked()).await);
    assert_eq!(fake.state.lock().unwrap().tokens, 2);
    let form = &fake.asked("/token")[0].body;
    assert_eq!(form, "grant_type=refresh_token&client_id=client-1&client_secret=s3cr3t&refresh_token=1%2F%2Fr3fresh");
}

#[tokio::test]
async fn a_token_that_is_refused_is_had_anew_once() {
    let fake = FakeGoogle::start().await;
    let world = world(&fake, json!({}));
    done(outcome(&world, "k1", checked()).await);
    // Revoked: the service accepts only a newer token.
    fake.state.lock().unwrap().tokens = 7;
    done(outcome(&world, "k2", checked()).await);
    assert_eq!(fake.asked("/token").len(), 2);
    for _ in 0..2 {
        fake.fails("POST /freeBusy", error(401, "authError", "Invalid Credentials"));
    }
    assert_eq!(not_done(outcome(&world, "k3", checked()).await).0, "CALENDAR_NOT_CONFIGURED");
    assert_eq!(fake.asked("/token").len(), 3);
}

#[tokio::test]
async fn a_refresh_token_that_was_revoked_says_so_and_shows_no_secret() {
    let fake = FakeGoogle::start().await;
    let world = world(&fake, json!({}));
    let told = json!({"error": "invalid_grant", "error_description": "Token 1//r3fresh of s3cr3t has been revoked."});
    fake.fails("POST /token", crate::testing::service::json(400, &told));
    let (code, message) = not_done(outcome(&world, "k", booking("10:00")).await);
    assert_eq!(code, "CALENDAR_NOT_CONFIGURED");
    assert!(
        message.contains("invalid_grant") && !message.contains("r3fresh") && !message.contains("s3cr3t"),
        "{message}"
    );
    fake.fails("POST /token", error(500, "backendError", "Backend Error"));
    let came = outcome(&world, "k", booking("10:00")).await;
    assert!(retry_after(&came).0);
    assert_eq!(not_done(came).0, "CALENDAR_UNAVAILABLE");
}

#[tokio::test]
async fn a_service_account_signs_for_its_token() {
    let fake = FakeGoogle::start().await;
    let world = ToolsFixture::with(json!({"zone": "Europe/Madrid", "calendar": {
        "provider": "google",
        "google": {"credentials": ACCOUNT, "subject": "reception@clinic.example",
                   "base_url": fake.service.url(""), "token_url": fake.service.url("/token")},
    }}));
    done(outcome(&world, "k", checked()).await);
    let form = &fake.asked("/token")[0].body;
    let assertion = form.strip_prefix("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=");
    let (signed, signature) = assertion.unwrap().rsplit_once('.').unwrap();
    let key = ring::signature::UnparsedPublicKey::new(&ring::signature::RSA_PKCS1_2048_8192_SHA256, PUBLIC_KEY);
    key.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).expect("signed by the account's key");
    let part = |at: usize| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(signed.split('.').nth(at).unwrap()).unwrap()).unwrap()
    };
    assert_eq!(part(0), json!({"alg": "RS256", "typ": "JWT", "kid": "0123456789abcdef0123456789abcdef01234567"}));
    assert_eq!(
        part(1),
        json!({
            "iss": "calendar@baton-tests.iam.gserviceaccount.com",
            "sub": "reception@clinic.example",
            "scope": "https://www.googleapis.com/auth/calendar",
            "aud": "https://oauth2.googleapis.com/token",
            "iat": 1_736_931_600, "exp": 1_736_935_200,
        })
    );
}
