use std::sync::Mutex;
use std::time::Duration;

use baton_core::tool::{EffectClass, ToolOutcome};
use baton_ports::tools::ToolGateway;
use serde_json::{Value, json};

use crate::testing::service::{CannedResponse, FakeService, RecordedRequest, json as answer};
use crate::testing::{ToolsFixture, done, not_done, unknown};

const KIND: &str = "https://api.calendly.com/event_types/AAAAAAAAAAAAAAAA";
const EVENT: &str = "https://api.calendly.com/scheduled_events/GBGBDCAADAEDCRZ2";
const LIMIT: Duration = Duration::from_secs(5);

fn world(service: &FakeService, more: Value) -> ToolsFixture {
    let mut calendly = json!({"token": "eyJ.s3cr3t", "event_types": [{"uri": KIND}], "base_url": service.url("")});
    calendly.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ToolsFixture::with(json!({"zone": "Europe/Madrid", "calendar": {"provider": "calendly", "calendly": calendly}}))
}

fn booking() -> Value {
    json!({"action": "create_booking", "date": "2025-01-20", "time": "10:00", "treatment": "Botox",
           "email": "ana@example.com", "customer": {"name": "Ana"}})
}

async fn outcome(world: &ToolsFixture, key: &str, arguments: Value) -> ToolOutcome {
    world.send(&world.call(key, "google_calendar", arguments)).await.outcome
}

/// A fake that responds as the documentation shows; the first request whose method and path start with `on` gets
/// another response.
async fn calendly(on: &'static str, first: Option<CannedResponse>, acts: bool) -> FakeService {
    let (first, booked, cancelled) = (Mutex::new(first), Mutex::new(None::<Value>), Mutex::new(false));
    FakeService::start(move |asked: &RecordedRequest| {
        let shown = format!("{} {}", asked.method, asked.target);
        let said = if shown.starts_with(on) { first.lock().unwrap().take() } else { None };
        if let (Some(_), false) = (&said, acts) {
            return said.unwrap_or(CannedResponse::Disconnect);
        }
        assert_eq!(asked.header("authorization"), Some("Bearer eyJ.s3cr3t"));
        let mut booked = booked.lock().unwrap();
        let time = |at: &str| json!({
            "status": "available", "invitees_remaining": 1, "start_time": at,
            "scheduling_url": format!("https://calendly.com/acmesales/discovery-call/{at}"),
        });
        let at = |path: &str| shown.starts_with(path);
        let says = match () {
            () if at("GET /event_type_available_times") => {
                let times = ["2025-01-20T08:00:00Z", "2025-01-20T09:00:00.000000Z", "2025-01-20T13:30:00Z"];
                let free = times.iter().filter(|time| booked.is_none() || !time.contains("T09"));
                answer(200, &json!({"collection": free.map(|at| time(at)).collect::<Vec<_>>()}))
            }
            () if at("POST /invitees") && booked.is_some() => {
                answer(409, &json!({"title": "Conflict", "message": "The time is no longer available."}))
            }
            () if at("POST /invitees") => {
                let body = asked.json();
                let invitee = json!({"resource": {
                    "uri": format!("{EVENT}/invitees/AAAAAAAAAAAAAAAA"), "event": EVENT, "status": "active",
                    "email": body["invitee"]["email"], "name": body["invitee"]["name"], "tracking": body["tracking"],
                    "cancel_url": "https://calendly.com/cancellations/AAAAAAAAAAAAAAAA",
                    "reschedule_url": "https://calendly.com/reschedulings/AAAAAAAAAAAAAAAA",
                }});
                *booked = Some(invitee["resource"].clone());
                answer(201, &invitee)
            }
            () if at("GET /users/me") => answer(200, &json!({"resource": {"uri": "https://api.calendly.com/users/ME"}})),
            () if at("GET /scheduled_events?") => {
                let event = json!({"uri": EVENT, "status": "active", "event_type": KIND, "start_time": "2025-01-20T09:00:00.000000Z"});
                answer(200, &json!({"collection": booked.iter().map(|_| &event).collect::<Vec<_>>(), "pagination": {"count": 1}}))
            }
            () if at("GET /scheduled_events/GBGBDCAADAEDCRZ2/invitees") => {
                answer(200, &json!({"collection": booked.iter().collect::<Vec<_>>(), "pagination": {"count": 1}}))
            }
            () if at("POST /scheduled_events/GBGBDCAADAEDCRZ2/cancellation") => {
                let mut done = cancelled.lock().unwrap();
                if *done {
                    answer(403, &json!({"title": "Permission Denied", "message": "Event is already canceled"}))
                } else {
                    *done = true;
                    answer(201, &json!({"resource": {"canceled_by": "Baton", "reason": "Cancelled", "canceler_type": "host"}}))
                }
            }
            () if at("GET /scheduled_events/GBGBDCAADAEDCRZ2") => {
                let status = if *cancelled.lock().unwrap() { "canceled" } else { "active" };
                answer(200, &json!({"resource": {"uri": EVENT, "status": status, "start_time": "2025-01-20T09:00:00.000000Z"}}))
            }
            () if at("POST /scheduling_links") => answer(201, &json!({"resource": {
                "booking_url": "https://calendly.com/d/abcd-efgh-ijk/discovery-call", "owner": KIND, "owner_type": "EventType",
            }})),
            () => answer(404, &json!({"title": "Resource Not Found", "message": "The server could not find the requested resource."})),
        };
        said.unwrap_or(says)
    })
    .await
}

async fn plain() -> FakeService {
    calendly("-", None, false).await
}

#[tokio::test]
async fn of_the_times_that_can_be_offered_those_that_calendly_has_are() {
    let service = plain().await;
    let world = world(&service, json!({}));
    let output = done(outcome(&world, "k", json!({"action": "check_availability", "date": "2025-01-20"})).await);
    // 14:30 is available at Calendly, but outside the configured times.
    assert_eq!(
        (&output["slots"], &output["available_slots"]),
        (&json!(["09:00-10:00", "10:00-11:00"]), &json!(["09:00", "10:00"]))
    );
    let query = "/event_type_available_times?event_type=https%3A%2F%2Fapi.calendly.com%2Fevent_types%2FAAAAAAAAAAAAAAAA\
                 &start_time=2025-01-20T08%3A00%3A00.000Z&end_time=2025-01-20T17%3A00%3A00.000Z";
    assert_eq!(service.received()[0].target, query);
}

#[tokio::test]
async fn a_booking_invites_and_carries_our_id() {
    let service = plain().await;
    let place = json!({"location": {"kind": "physical", "location": "Calle Mayor 1"}});
    let world = world(&service, place);
    let booked = done(outcome(&world, "k", booking()).await);
    assert_eq!(
        (&booked["booking_id"], &booked["status"], &booked["resource"]),
        (&json!("GBGBDCAADAEDCRZ2"), &json!("confirmed"), &json!("main"))
    );
    assert_eq!(booked["cancel_url"], "https://calendly.com/cancellations/AAAAAAAAAAAAAAAA");
    let body = service.received().into_iter().find(|asked| asked.target == "/invitees").unwrap().json();
    let id = ToolsFixture::new().done("k", "google_calendar", booking()).await["booking_id"].clone();
    assert_eq!(
        body,
        json!({
            "event_type": KIND, "start_time": "2025-01-20T09:00:00.000Z",
            "invitee": {"name": "Ana", "email": "ana@example.com", "timezone": "Europe/Madrid"},
            "location": {"kind": "physical", "location": "Calle Mayor 1"},
            "tracking": {"utm_source": "baton", "utm_content": id},
        })
    );
}

#[tokio::test]
async fn a_booking_whose_answer_was_lost_is_found_by_our_id() {
    for lost in [
        CannedResponse::Disconnect,
        CannedResponse::Answer(502, String::new(), "<html>".to_owned()),
        CannedResponse::Answer(201, String::new(), "{\"reso".to_owned()),
    ] {
        let service = calendly("POST /invitees", Some(lost), true).await;
        let world = world(&service, json!({}));
        let call = world.call("k", "google_calendar", booking());
        assert_eq!(call.class, EffectClass::Verify);
        unknown(world.send(&call).await.outcome);
        let found = done(world.registry.look_up(&call, LIMIT).await);
        assert_eq!((&found["booking_id"], &found["time"]), (&json!("GBGBDCAADAEDCRZ2"), &json!("10:00")));
        let query =
            service.received().into_iter().find(|asked| asked.target.starts_with("/scheduled_events?")).unwrap().target;
        assert!(
            query.contains("user=https%3A%2F%2Fapi.calendly.com%2Fusers%2FME&invitee_email=ana%40example.com"),
            "{query}"
        );
    }
}

#[tokio::test]
async fn a_booking_that_counts_on_another_calendar_is_not_made_here() {
    let service = plain().await;
    let world = world(&service, json!({}));
    for tool in ["google_calendar", "create_booking"] {
        let mut arguments = booking();
        if tool == "create_booking" {
            arguments.as_object_mut().unwrap().remove("action");
        }
        // As a version pinned it while the provider was `internal`.
        let mut call = world.call("k", tool, arguments);
        assert_eq!(call.class, EffectClass::Verify);
        call.class = EffectClass::Keyed;
        let (code, message) = not_done(world.send(&call).await.outcome);
        assert_eq!(code, "PROVIDER_CHANGED");
        assert!(message.contains("`calendly`") && message.contains("\"keyed\""), "{message}");
    }
    assert!(service.received().is_empty());
    // Reads, and acts that can safely be repeated, are unchanged.
    for (key, arguments, class) in [
        ("a", json!({"action": "check_availability", "date": "2025-01-20"}), EffectClass::Read),
        ("b", json!({"action": "cancel_booking", "booking_id": "GBGBDCAADAEDCRZ2"}), EffectClass::Keyed),
    ] {
        let call = world.call(key, "google_calendar", arguments);
        assert_eq!(call.class, class);
        done(world.send(&call).await.outcome);
    }
}

#[tokio::test]
async fn one_tenants_calendar_promises_what_it_does_whatever_anothers_does() {
    let service = plain().await;
    let calendly = json!({"token": "eyJ.s3cr3t", "event_types": [{"uri": KIND}], "base_url": service.url("")});
    let salon = json!({"calendar": {"provider": "calendly", "calendly": calendly}});
    let world = ToolsFixture::with(json!({"zone": "Europe/Madrid", "tenants": {"salon": salon}}));
    let mut call = world.call("k", "google_calendar", booking());
    assert_eq!(call.class, EffectClass::Verify, "facts are every tenant's");
    call.class = EffectClass::Keyed;
    let performed = world.send(&call).await;
    assert_eq!(
        (&done(performed.outcome)["provider"], &performed.audit.details["provider"]),
        (&json!("internal"), &json!("internal"))
    );
    call.tenant = "salon".into();
    let performed = world.send(&call).await;
    assert_eq!(not_done(performed.outcome).0, "PROVIDER_CHANGED");
    call.class = EffectClass::Verify;
    assert_eq!(world.send(&call).await.audit.details["provider"], "calendly");
}

#[tokio::test]
async fn a_booking_that_was_never_made_is_not_done_and_may_be_made() {
    let service = calendly("POST /invitees", Some(CannedResponse::Disconnect), false).await;
    let world = world(&service, json!({}));
    let call = world.call("k", "google_calendar", booking());
    unknown(world.send(&call).await.outcome);
    assert_eq!(not_done(world.registry.look_up(&call, LIMIT).await).0, "CALENDAR_UNAVAILABLE");
    assert_eq!(done(world.send(&call).await.outcome)["status"], "confirmed");
}

#[tokio::test]
async fn a_look_up_that_fails_leaves_it_unknown() {
    let service =
        calendly("GET /scheduled_events?", Some(CannedResponse::Answer(500, String::new(), String::new())), false)
            .await;
    let world = world(&service, json!({}));
    let call = world.call("k", "google_calendar", booking());
    assert_eq!(unknown(world.registry.look_up(&call, LIMIT).await).0, "OUTCOME_UNKNOWN");
}

#[tokio::test]
async fn a_booking_that_is_never_answered_is_unknown() {
    let service = calendly("POST /invitees", Some(CannedResponse::NoResponse), true).await;
    let world = world(&service, json!({}));
    let call = world.call("k", "google_calendar", booking());
    assert_eq!(unknown(world.send_within(&call, Duration::from_millis(700)).await.outcome).0, "TIMEOUT");
    assert_eq!(done(world.registry.look_up(&call, LIMIT).await)["status"], "confirmed");
}

#[tokio::test]
async fn what_calendly_refuses_is_sorted_by_what_to_do() {
    let told = |status: u16, title: &str| answer(status, &json!({"title": title, "message": format!("{title}.")}));
    let slow = || {
        CannedResponse::Answer(
            429,
            "x-ratelimit-limit: 10\r\nx-ratelimit-remaining: 0\r\nx-ratelimit-reset: 60\r\n".to_owned(),
            String::new(),
        )
    };
    for (on, says, code, retries) in [
        ("POST /invitees", told(403, "Permission Denied"), "CALENDAR_NOT_CONFIGURED", None),
        ("POST /invitees", told(400, "Invalid Argument"), "SERVICE_REJECTED", None),
        ("POST /invitees", told(409, "Conflict"), "SLOT_TAKEN", None),
        ("POST /invitees", slow(), "RATE_LIMIT_EXCEEDED", Some(Some(60_000))),
        ("GET /event_type", told(401, "Unauthenticated"), "CALENDAR_NOT_CONFIGURED", None),
        ("GET /event_type", told(404, "Resource Not Found"), "SERVICE_REJECTED", None),
        ("GET /event_type", told(500, "Internal Server Error"), "CALENDAR_UNAVAILABLE", Some(None)),
        (
            "GET /event_type",
            CannedResponse::Answer(200, String::new(), "{\"collection\":".to_owned()),
            "CALENDAR_UNAVAILABLE",
            Some(None),
        ),
        ("GET /event_type", CannedResponse::Disconnect, "CALENDAR_UNAVAILABLE", Some(None)),
    ] {
        let service = calendly(on, Some(says), false).await;
        match outcome(&world(&service, json!({})), "k", booking()).await {
            ToolOutcome::NotDone { fault, retryable, retry_after } => {
                let wait = retryable.then_some(retry_after);
                assert_eq!((fault.code.as_ref(), wait), (code, retries), "{}", fault.message);
                assert!(!fault.message.contains("s3cr3t"));
            }
            other => panic!("expected it not done: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_time_that_calendly_has_no_more_is_taken() {
    let service = plain().await;
    let world = world(&service, json!({}));
    done(outcome(&world, "k1", booking()).await);
    assert_eq!(not_done(outcome(&world, "k2", booking()).await).0, "SLOT_TAKEN");
    let mut nobody = booking();
    nobody["email"] = Value::Null;
    assert_eq!(not_done(outcome(&world, "k3", nobody).await).0, "INVALID_PARAMETERS");
}

#[tokio::test]
async fn cancelling_twice_is_once() {
    let service = plain().await;
    let world = world(&service, json!({}));
    let cancel = |id: &str| json!({"action": "cancel_booking", "booking_id": id, "reason": "ill"});
    for key in ["k1", "k2"] {
        let done = done(outcome(&world, key, cancel("GBGBDCAADAEDCRZ2")).await);
        assert_eq!(
            (&done["status"], &done["date"], &done["time"]),
            (&json!("cancelled"), &json!("2025-01-20"), &json!("10:00"))
        );
    }
    for id in ["OTHER-UUID-1", "../users/me", "link_0123456789"] {
        assert_eq!(not_done(outcome(&world, "k3", cancel(id)).await).0, "BOOKING_NOT_FOUND", "{id}");
    }
}

#[tokio::test]
async fn without_a_plan_to_book_with_the_customer_gets_a_link() {
    let service = plain().await;
    let output = done(outcome(&world(&service, json!({"booking": "link"})), "k", booking()).await);
    assert_eq!(
        (&output["status"], &output["booking_url"]),
        (&json!("awaiting_customer"), &json!("https://calendly.com/d/abcd-efgh-ijk/discovery-call"))
    );
    let asked = service.received().pop().unwrap().json();
    assert_eq!(asked, json!({"max_event_count": 1, "owner": KIND, "owner_type": "EventType"}));
}
