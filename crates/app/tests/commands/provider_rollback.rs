//! A rollback undoes the actions of shipped tools at their providers: if the run fails right after an action, the
//! provider's state is as before. A new provider takes one row.

use serde_json::{Value, json};

use super::mock_provider::{self, MockHandler, MockProvider};
use super::test_folder::TestFolder;

struct ReversalCase {
    name: &'static str,
    /// Its state before, which includes data that must not be changed.
    world: Value,
    serves: MockHandler,
    /// The settings that select it, with `URL` for its address.
    settings: &'static str,
    /// The action, as a node's fields.
    tool: &'static str,
    parameters: &'static str,
    /// The prefix of the request that acts.
    acts: &'static str,
    /// The part of its state that a person would see.
    seen: fn(&Value) -> Value,
    /// Whether a request with a lost response is repeated with its key. Otherwise the outcome is looked up.
    is_keyed: bool,
}

const CALENDAR: &str = "[tools]\nzone = \"Europe/Madrid\"\n[tools.calendar]\ndays_ahead_max = 10000\n";
const BOOKING: &str = "{date: '2030-01-07', time: '10:00', email: ana@example.com}";

fn rows() -> Vec<ReversalCase> {
    let event = |start: &str, end: &str| json!({"id": "dentist", "status": "confirmed", "start": {"dateTime": start}, "end": {"dateTime": end}});
    let lunch = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:lunch\r\nDTSTART:20300107T130000Z\r\nDTEND:20300107T140000Z\r\n\
                 END:VEVENT\r\nEND:VCALENDAR\r\n";
    vec![
        ReversalCase {
            name: "stripe",
            world: json!({"charges": {"pi_old": {"id": "ch_old", "amount": 700, "amount_refunded": 0, "currency": "eur"}}, "keys": {}}),
            serves: mock_provider::stripe,
            settings: "[tools.payment]\nprovider = \"stripe\"\ncurrency = \"EUR\"\n[tools.payment.stripe]\nbase_url = \"URL\"\n\
                       secret_key = \"sk_test_s3cr3t\"\nmethods = { card = { payment_method = \"pm_1\" } }\n",
            tool: "charge_payment",
            parameters: "{amount: 12.5, method: card}",
            acts: "POST /v1/payment_intents",
            seen: |world| {
                let charges = world["charges"].as_object().into_iter().flat_map(serde_json::Map::values);
                let kept = charges.map(|charge| {
                    charge["amount"].as_i64().unwrap_or(0) - charge["amount_refunded"].as_i64().unwrap_or(0)
                });
                json!(kept.filter(|kept| *kept != 0).collect::<Vec<_>>())
            },
            is_keyed: true,
        },
        ReversalCase {
            name: "google",
            world: json!({"dentist": event("2030-01-07T15:00:00+01:00", "2030-01-07T16:00:00+01:00")}),
            serves: mock_provider::google,
            settings: "provider = \"google\"\n[tools.calendar.google]\nbase_url = \"URL\"\ntoken_url = \"URL/token\"\n\
                       client_id = \"c\"\nclient_secret = \"s\"\nrefresh_token = \"r3fr3sh\"\n",
            tool: "create_booking",
            parameters: BOOKING,
            acts: "POST /calendars/primary/events",
            seen: |world| live(world, "cancelled"),
            is_keyed: true,
        },
        ReversalCase {
            name: "caldav",
            world: json!({"/clinic/room/lunch.ics": lunch}),
            serves: mock_provider::caldav,
            settings: "provider = \"caldav\"\n[tools.calendar.caldav]\nurl = \"URL\"\ncalendars = { main = \"/clinic/room/\" }\n\
                       username = \"clinic\"\npassword = \"s3cr3t\"\n",
            tool: "create_booking",
            parameters: BOOKING,
            acts: "PUT /clinic/room/",
            seen: Value::clone,
            is_keyed: true,
        },
        ReversalCase {
            name: "calendly",
            world: json!({"EVENTOFSOMEBODY": {"status": "active", "start_time": "2030-01-07T15:00:00.000Z", "invitee": {}}}),
            serves: mock_provider::calendly,
            settings: "provider = \"calendly\"\n[tools.calendar.calendly]\nbase_url = \"URL\"\ntoken = \"t0k3n\"\n\
                       event_types = [{ uri = \"https://api.calendly.com/event_types/A\" }]\n",
            tool: "create_booking",
            parameters: BOOKING,
            acts: "POST /invitees",
            seen: |world| live(world, "canceled"),
            is_keyed: false,
        },
    ]
}

/// Events that are not cancelled.
fn live(world: &Value, cancelled: &str) -> Value {
    let events = world.as_object().into_iter().flatten().filter(|(_, event)| event["status"] != cancelled);
    Value::Object(events.map(|(id, event)| (id.clone(), event.clone())).collect())
}

/// A workflow that acts once, then runs `next`.
fn place(row: &ReversalCase, url: &str, next: &str) -> TestFolder {
    let workflow = format!(
        "name: act\nnodes:\n  - {{id: act, tool: {}, parameters: {}}}\n  - {{id: next, {next}}}\nedges: [{{from: act, to: next}}]\n",
        row.tool, row.parameters
    );
    let never = "tools: [{name: never, kind: script, class: keyed, irreversible: no, results: [{fault: {code: NO, message: no}}]}]\n";
    let before = if row.settings.starts_with("provider") { CALENDAR } else { "" };
    let settings = format!("{before}{}", row.settings.replace("URL", url));
    TestFolder::with(&[("baton.toml", &settings), ("workflows/act.yaml", &workflow), ("tools/never.yaml", never)])
}

#[test]
fn a_run_that_fails_right_after_an_act_leaves_its_providers_world_as_it_was() {
    for row in rows() {
        let provider = MockProvider::start(row.world.clone(), row.serves);
        let before = (row.seen)(&row.world);
        let at = place(&row, &provider.url, "tool: never");
        at.baton(&["run", "act", "--id", "fails"]).expect_code(1).expect_stdout("compensated");
        assert_eq!(((row.seen)(&provider.state_value()), provider.asked(row.acts)), (before, 1), "{}", row.name);
    }
}

#[test]
fn an_act_is_seen_at_its_provider_and_rolled_back_on_request() {
    for row in rows() {
        let provider = MockProvider::start(row.world.clone(), row.serves);
        let before = (row.seen)(&row.world);
        let at = place(&row, &provider.url, "type: end");
        at.baton(&["run", "act", "--id", "whole"]).expect_code(0);
        assert_ne!((row.seen)(&provider.state_value()), before, "{} has seen nothing of it", row.name);
        at.baton(&["runs", "rollback", "whole"]).expect_code(0).expect_stdout("compensated");
        assert_eq!((row.seen)(&provider.state_value()), before, "{}", row.name);
    }
}

#[test]
fn an_act_whose_answer_was_lost_is_done_once_and_undone() {
    for row in rows() {
        let provider = MockProvider::start(row.world.clone(), row.serves);
        let before = (row.seen)(&row.world);
        provider.drop_next_answer(row.acts);
        let at = place(&row, &provider.url, "type: end");
        at.baton(&["run", "act", "--id", "whole"]).expect_code(0);
        let things = |seen: &Value| seen.as_array().map(Vec::len).or(seen.as_object().map(serde_json::Map::len));
        let after = (row.seen)(&provider.state_value());
        assert_eq!(things(&after), things(&before).map(|count| count + 1), "{} has it once: {after}", row.name);
        assert!(row.is_keyed || provider.asked(row.acts) == 1, "{} is asked what became of it", row.name);
        at.baton(&["runs", "rollback", "whole"]).expect_code(0).expect_stdout("compensated");
        assert_eq!((row.seen)(&provider.state_value()), before, "{}", row.name);
    }
}

/// Every provider whose actions can be undone must have a row here if settings select it.
#[test]
fn every_provider_of_a_tool_that_can_be_undone_is_a_row() {
    let listed = TestFolder::empty().baton(&["tools", "list", "--json"]).expect_code(0).json();
    // `undone` tests contacts and tickets at a service, and data in this installation.
    let elsewhere = ["internal", "rest"];
    let rows = rows();
    for tool in listed["tools"].as_array().expect("a list") {
        let undone = !tool["facts"]["compensation"].is_null()
            || tool["facts"]["actions"]
                .as_object()
                .is_some_and(|all| all.values().any(|facts| !facts["compensation"].is_null()));
        for offered in tool["providers"].as_array().into_iter().flatten().filter(|_| undone) {
            let name = offered["name"].as_str().expect("a name");
            assert!(elsewhere.contains(&name) || rows.iter().any(|row| row.name == name), "{}: {name}", tool["name"]);
        }
    }
}
