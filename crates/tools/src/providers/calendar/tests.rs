use std::time::Duration;

use baton_core::tool::EffectClass;
use baton_ports::tools::ToolGateway;
use serde_json::{Value, json};

use crate::testing::{ToolsFixture, done, not_done, unknown};

const LIMIT: Duration = Duration::from_secs(5);
const SLOTS: [&str; 9] = [
    "09:00-10:00",
    "10:00-11:00",
    "11:00-12:00",
    "12:00-13:00",
    "13:00-14:00",
    "14:00-15:00",
    "15:00-16:00",
    "16:00-17:00",
    "17:00-18:00",
];

fn world(calendar: Value) -> ToolsFixture {
    ToolsFixture::with(json!({"zone": "Europe/Madrid", "calendar": calendar}))
}

async fn slots(world: &ToolsFixture, arguments: Value) -> Value {
    let mut arguments = arguments;
    arguments["action"] = "check_availability".into();
    world.done("any", "google_calendar", arguments).await["slots"].clone()
}

fn booking(date: &str, time: &str) -> Value {
    json!({"action": "create_booking", "date": date, "time": time, "treatment": "Botox", "user_id": "user_123"})
}

#[tokio::test]
async fn a_free_day_offers_every_slot_in_both_forms() {
    let output = ToolsFixture::new()
        .done("k", "google_calendar", json!({"action": "check_availability", "date": "2025-01-20"}))
        .await;
    assert_eq!(output["slots"], json!(SLOTS));
    assert_eq!(output["available_slots"][1], "10:00");
    assert_eq!((&output["available"], &output["reason"]), (&json!(true), &Value::Null));
}

#[tokio::test]
async fn a_booking_takes_its_slot_and_cancelling_gives_it_back() {
    let world = ToolsFixture::new();
    let booked = world.done("k1", "google_calendar", booking("2025-01-20", "10:00")).await;
    assert_eq!(booked["slot"], "10:00-11:00");
    assert_eq!(booked["starts_at"], "2025-01-20T10:00:00+01:00");
    let left = slots(&world, json!({"date": "2025-01-20"})).await;
    assert!(!left.as_array().unwrap().contains(&json!("10:00-11:00")), "{left}");

    let cancel = json!({"action": "cancel_booking", "booking_id": booked["booking_id"]});
    let first = world.done("k2", "google_calendar", cancel.clone()).await;
    assert_eq!(first["status"], "cancelled");
    world.clock.set("2025-01-16T09:00:00Z");
    assert_eq!(world.done("k3", "google_calendar", cancel).await, first);
    assert_eq!(slots(&world, json!({"date": "2025-01-20"})).await, json!(SLOTS));
    assert_eq!(world.records.held_ranges(), 0);
}

#[tokio::test]
async fn the_same_key_books_once_and_answers_the_same() {
    let world = ToolsFixture::new();
    let call = world.call("k", "google_calendar", booking("tomorrow", "10:00"));
    let first = done(world.send(&call).await.outcome);
    assert_eq!(first["date"], "2025-01-16");
    // The day has changed meanwhile: `tomorrow` is still the day after the call was scheduled.
    world.clock.set("2025-01-16T08:00:00Z");
    assert_eq!(done(world.send(&call).await.outcome), first);
    assert_eq!(world.records.held_ranges(), 1);
}

#[tokio::test]
async fn a_key_with_other_arguments_is_refused() {
    let world = ToolsFixture::new();
    world.done("k", "google_calendar", booking("2025-01-20", "10:00")).await;
    let (code, _) = world.refused("k", "google_calendar", booking("2025-01-20", "12:00")).await;
    assert_eq!(code, "KEY_REUSED");
    let other_tool = world.refused("k", "execute_booking", booking("2025-01-20", "10:00")).await;
    assert_eq!(other_tool.0, "KEY_REUSED");
    assert_eq!(world.records.held_ranges(), 1);
}

#[tokio::test]
async fn of_two_hundred_who_want_one_time_at_once_one_gets_it() {
    let world = ToolsFixture::with(json!({"zone": "Europe/Madrid", "tool": {"google_calendar": {"rate": "none"}}}));
    let calls: Vec<_> =
        (0..200).map(|n| world.call(&format!("k{n}"), "google_calendar", booking("2025-01-20", "10:00"))).collect();
    let outcomes = futures::future::join_all(calls.iter().map(|call| world.send(call))).await;
    let codes: Vec<_> = outcomes
        .into_iter()
        .filter_map(|performed| match performed.outcome {
            baton_core::tool::ToolOutcome::Done { .. } => None,
            outcome => Some(not_done(outcome).0),
        })
        .collect();
    assert_eq!(codes, vec!["SLOT_TAKEN"; 199]);
    assert_eq!(world.records.held_ranges(), 1);
}

#[tokio::test]
async fn of_many_sends_of_one_key_at_once_all_get_the_one_booking() {
    let world = ToolsFixture::new();
    let call = world.call("k", "google_calendar", booking("2025-01-20", "10:00"));
    let outcomes = futures::future::join_all((0..20).map(|_| world.send(&call))).await;
    let mut outputs = outcomes.into_iter().map(|performed| done(performed.outcome));
    let first = outputs.next().unwrap();
    assert!(outputs.all(|output| output == first));
    assert_eq!(world.records.held_ranges(), 1);
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_unknown_and_found_again() {
    let world = ToolsFixture::new();
    let call = world.call("k", "google_calendar", booking("2025-01-20", "10:00"));
    world.records.drops_responses.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(unknown(world.send(&call).await.outcome).0, "CALENDAR_UNAVAILABLE");
    world.records.drops_responses.store(false, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(done(world.send(&call).await.outcome)["status"], "confirmed");
    assert_eq!(world.records.held_ranges(), 1);
}

#[tokio::test]
async fn a_calendar_that_cannot_be_read_is_unavailable_in_the_words_of_the_seed() {
    let world = ToolsFixture::new();
    world.records.unreadable.store(true, std::sync::atomic::Ordering::Relaxed);
    let call = world.call("k", "check_availability", json!({"date": "2025-01-20"}));
    match world.send(&call).await.outcome {
        baton_core::tool::ToolOutcome::NotDone { fault, retryable: true, .. } => {
            assert_eq!(fault.code, "CALENDAR_UNAVAILABLE");
            let said = "No pudimos verificar disponibilidad. Intenta de nuevo en unos minutos.";
            assert_eq!(fault.customer.as_deref(), Some(said));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn buffers_are_kept_free_and_durations_follow_the_treatment() {
    let world = world(json!({
        "hours": {"monday": ["09:00-12:00"]}, "step_minutes": 30,
        "treatments": {"botox": {"duration_minutes": 30, "buffer_after_minutes": 15}, "peeling": {"duration_minutes": 60}}
    }));
    world.done("k", "google_calendar", booking("2025-01-20", "10:00")).await;
    assert_eq!(
        slots(&world, json!({"date": "2025-01-20", "treatment": "peeling"})).await,
        json!(["09:00-10:00", "11:00-12:00"])
    );
    let (code, message) = world
        .refused("k2", "google_calendar", {
            let mut unknown = booking("2025-01-20", "09:00");
            unknown["treatment"] = "botx".into();
            unknown
        })
        .await;
    assert_eq!(code, "INVALID_PARAMETERS");
    assert!(message.contains("there are `botox`, `peeling`"), "{message}");
}

#[tokio::test]
async fn a_booking_takes_any_resource_that_will_do() {
    let world = world(json!({
        "resources": ["room 1", "room 2", "office"],
        "treatments": {"botox": {"resources": ["room 1", "room 2"]}}
    }));
    let book = |key: &'static str| world.send_booking(key);
    assert_eq!(done(book("k1").await)["resource"], "room 1");
    assert_eq!(done(book("k2").await)["resource"], "room 2");
    assert_eq!(not_done(book("k3").await).0, "SLOT_TAKEN");
    let office = json!({"action": "create_booking", "date": "2025-01-20", "time": "10:00", "resource": "office"});
    assert_eq!(world.done("k4", "google_calendar", office).await["resource"], "office");
}

impl ToolsFixture {
    async fn send_booking(&self, key: &str) -> baton_core::tool::ToolOutcome {
        self.send(&self.call(key, "google_calendar", booking("2025-01-20", "10:00"))).await.outcome
    }
}

#[tokio::test]
async fn what_cannot_be_booked_says_why() {
    let world = world(json!({"holidays": ["2025-01-21"], "days_ahead_max": 30, "notice_minutes": 120}));
    for (date, time, expect) in [
        ("2025-01-15", "11:00", "DATE_NOT_BOOKABLE"),
        ("2025-01-10", "10:00", "DATE_NOT_BOOKABLE"),
        ("2025-03-17", "10:00", "DATE_NOT_BOOKABLE"),
        ("2025-01-20", "08:00", "OUTSIDE_HOURS"),
        ("2025-01-20", "17:30", "OUTSIDE_HOURS"),
        ("2025-01-19", "10:00", "OUTSIDE_HOURS"),
        ("2025-01-21", "10:00", "OUTSIDE_HOURS"),
    ] {
        assert_eq!(world.refused("k", "google_calendar", booking(date, time)).await.0, expect, "{date} {time}");
    }
    assert_eq!(world.records.held_ranges(), 0);
}

#[tokio::test]
async fn a_day_without_slots_says_why() {
    let world = world(json!({"holidays": ["2025-01-21"], "days_ahead_max": 30}));
    for (date, expect) in
        [("2025-01-10", "past"), ("2025-06-01", "too_far_ahead"), ("2025-01-21", "holiday"), ("2025-01-19", "closed")]
    {
        let arguments = json!({"action": "check_availability", "date": date});
        assert_eq!(world.done("k", "google_calendar", arguments).await["reason"], expect, "{date}");
    }
    world.clock.set("2025-01-15T17:30:00Z");
    let arguments = json!({"action": "check_availability", "date": "today"});
    assert_eq!(world.done("k", "google_calendar", arguments).await["reason"], "too_late");
}

#[tokio::test]
async fn slots_that_are_past_are_not_offered() {
    let world = ToolsFixture::new();
    world.clock.set("2025-01-15T14:30:00Z");
    assert_eq!(slots(&world, json!({"date": "hoy"})).await, json!(["16:00-17:00", "17:00-18:00"]));
}

#[tokio::test]
async fn a_day_on_which_clocks_change_offers_only_times_it_has_once() {
    let night = json!({"hours": {"sunday": ["00:00-05:00"]}});
    let spring = world(night.clone());
    spring.clock.set("2025-03-01T00:00:00Z");
    assert_eq!(
        slots(&spring, json!({"date": "2025-03-30"})).await,
        json!(["00:00-01:00", "01:00-03:00", "03:00-04:00", "04:00-05:00"])
    );
    assert_eq!(spring.refused("k", "google_calendar", booking("2025-03-30", "02:30")).await.0, "OUTSIDE_HOURS");

    let autumn = world(night);
    autumn.clock.set("2025-10-01T00:00:00Z");
    assert_eq!(
        slots(&autumn, json!({"date": "2025-10-26"})).await,
        json!(["00:00-01:00", "01:00-02:00", "02:00-02:00", "03:00-04:00", "04:00-05:00"])
    );
    let booked = autumn.done("k", "google_calendar", booking("2025-10-26", "02:00")).await;
    assert_eq!(booked["starts_at"], "2025-10-26T02:00:00+02:00");
    assert_eq!(booked["ends_at"], "2025-10-26T02:00:00+01:00");
}

#[tokio::test]
async fn a_calendar_without_hours_is_not_configured() {
    let world = world(json!({"hours": {}}));
    let (code, _) = world.refused("k", "check_availability", json!({"date": "2025-01-20"})).await;
    assert_eq!(code, "CALENDAR_NOT_CONFIGURED");
}

#[tokio::test]
async fn tenants_do_not_share_a_calendar() {
    let world =
        ToolsFixture::with(json!({"tenants": {"clinic": {"calendar": {"hours": {"monday": ["10:00-11:00"]}}}}}));
    assert_eq!(slots(&world, json!({"date": "2025-01-20"})).await, json!(["10:00-11:00"]));
    world.done("k", "google_calendar", booking("2025-01-20", "10:00")).await;
    let mut other = world.call("k", "google_calendar", booking("2025-01-20", "10:00"));
    other.tenant = "salon".into();
    assert_eq!(done(world.send(&other).await.outcome)["status"], "confirmed");
}

#[tokio::test]
async fn a_booking_that_there_is_not_cannot_be_cancelled() {
    let (code, message) = ToolsFixture::new().refused("k", "cancel_booking", json!({"booking_id": "bk_0"})).await;
    assert_eq!((code.as_str(), message.as_str()), ("BOOKING_NOT_FOUND", "there is no booking `bk_0`"));
}

#[tokio::test]
async fn what_became_of_a_booking_is_known_by_its_key() {
    let world = ToolsFixture::new();
    let call = world.call("k", "google_calendar", booking("2025-01-20", "10:00"));
    assert_eq!(not_done(world.registry.look_up(&call, LIMIT).await).0, "CALENDAR_UNAVAILABLE");
    let booked = done(world.send(&call).await.outcome);
    assert_eq!(done(world.registry.look_up(&call, LIMIT).await), booked);
}

#[tokio::test]
async fn each_tenant_chooses_who_keeps_its_calendar() {
    let world = ToolsFixture::with(json!({"tenants": {"salon": {"calendar": {
        "provider": "calendly", "calendly": {"token": "t", "event_types": [{"uri": "https://api.calendly.com/event_types/A"}]},
    }}}}));
    let free = world.done("k", "check_availability", json!({"date": "2025-01-20"})).await;
    assert_eq!(free["provider"], "internal");
    // Without an address to invite, Calendly is not called.
    let mut other = world.call("k", "google_calendar", booking("2025-01-20", "10:00"));
    other.tenant = "salon".into();
    let (code, message) = not_done(world.send(&other).await.outcome);
    assert_eq!(code, "INVALID_PARAMETERS");
    assert!(message.starts_with("calendly"), "{message}");
}

#[test]
fn a_booking_is_looked_up_before_it_is_sent_again_where_one_calendar_takes_no_key() {
    let class = |world: &ToolsFixture| world.registry.facts("create_booking").unwrap().class;
    assert_eq!(class(&ToolsFixture::new()), EffectClass::Keyed);
    let calendly = json!({"token": "t", "event_types": [{"uri": "https://api.calendly.com/event_types/A"}]});
    let salon = json!({"tenants": {"salon": {"calendar": {"provider": "calendly", "calendly": calendly}}}});
    assert_eq!(class(&ToolsFixture::with(salon)), EffectClass::Verify);
}

#[test]
fn wrong_settings_are_named_and_show_no_secret() {
    let refused = |calendar: Value| {
        let config = json!({"calendar": calendar});
        let config: crate::ToolsConfig = match serde_json::from_value(config) {
            Ok(config) => config,
            Err(error) => return error.to_string(),
        };
        assert!(!format!("{config:?}").contains("s3cr3t"));
        let world = ToolsFixture::new();
        let error = crate::ToolRegistry::new(config, &world.services()).err().expect("refused").to_string();
        assert!(!error.contains("s3cr3t"), "{error}");
        error
    };
    let google = json!({"client_id": "c", "client_secret": "s3cr3t", "refresh_token": "s3cr3t"});
    let caldav = json!({"url": "https://dav.example.com", "username": "u", "password": "s3cr3t", "calendars": {"main": "clinic"}});
    let calendly = |kinds: Value| json!({"token": "s3cr3t", "event_types": kinds});
    let key = json!({"type": "service_account", "client_email": "a@b", "private_key": "s3cr3t"}).to_string();
    for (calendar, expect) in [
        (json!({"provider": "outlook"}), "unknown variant `outlook`"),
        (json!({"provider": "google"}), "`provider` is `google`, and there is no `google` table"),
        (json!({"provider": "caldav"}), "there is no `caldav` table"),
        (json!({"provider": "calendly"}), "there is no `calendly` table"),
        (json!({"provider": "google", "google": {"refresh": "s3cr3t"}}), "unknown field `refresh`"),
        (json!({"provider": "google", "google": {"client_id": "c"}}), "needs `credentials`, or"),
        (json!({"provider": "google", "google": {"credentials": "s3cr3t"}}), "not the text of a file of Google's"),
        (json!({"provider": "google", "google": {"credentials": key}}), "no RSA key"),
        (
            json!({"provider": "google", "google": google, "resources": ["a", "b"]}),
            "does not say which calendar is that of `a`",
        ),
        (json!({"provider": "caldav", "caldav": caldav}), "write its path"),
        (json!({"provider": "calendly", "calendly": calendly(json!([]))}), "names nothing that could be booked"),
        (
            json!({"provider": "calendly", "calendly": calendly(json!([{"uri": "u", "treatment": "botox"}]))}),
            "a treatment that there is not",
        ),
    ] {
        let error = refused(calendar);
        assert!(error.contains(expect), "{error}");
    }
}
