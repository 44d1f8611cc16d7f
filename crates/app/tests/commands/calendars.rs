//! End-to-end tests of calendar providers, and of a change from one to another.

use serde_json::{Value, json};

use super::mock_provider::{self, MockProvider};
use super::test_folder::TestFolder;

/// A workflow that books after an approval.
const VISIT: &str = "\
name: visit
nodes:
  - {id: agree, type: human, title: 'Book?'}
  - {id: book, tool: create_booking, parameters: {date: '2030-01-07', time: '10:00', email: ana@example.com}}
edges: [{from: agree, to: book, when: approved}]
";

/// Settings with a calendar provider, in which Calendly is configured too.
pub fn settings(provider: &str, calendly: &str) -> String {
    format!(
        "[tools]\nzone = \"Europe/Madrid\"\n[tools.calendar]\nprovider = \"{provider}\"\ndays_ahead_max = 10000\n\
         [tools.calendar.calendly]\ntoken = \"t0k3n\"\nbase_url = \"{calendly}\"\n\
         event_types = [{{ uri = \"https://api.calendly.com/event_types/A\" }}]\n"
    )
}

#[test]
fn a_run_that_counts_on_one_calendar_books_in_no_other_that_promises_less() {
    let calendly = MockProvider::start(json!({}), mock_provider::calendly);
    let place =
        TestFolder::with(&[("workflows/visit.yaml", VISIT), ("baton.toml", &settings("internal", &calendly.url))]);
    place.baton(&["run", "visit", "--id", "one"]).expect_code(3);
    place.write("baton.toml", settings("calendly", &calendly.url));
    let told = place.baton(&["runs", "answer", "one", "agree", "--approve"]).expect_code(1);
    told.expect_stdout("PROVIDER_CHANGED");
    assert_eq!(
        (calendly.state_value(), calendly.asked("POST")),
        (json!({}), 0),
        "nothing was booked, and nothing is orphaned"
    );

    // The newest version can handle a lost answer: it looks up the booking, so there is only one.
    calendly.drop_next_answer("POST /invitees");
    place.baton(&["runs", "retry", "one"]).expect_code(0).expect_stdout("completed");
    let booked = calendly.state_value();
    let active: Vec<&Value> = booked.as_object().expect("events").values().collect();
    assert_eq!(active.len(), 1);
    assert_eq!(
        (&active[0]["status"], &active[0]["start_time"]),
        (&json!("active"), &json!("2030-01-07T09:00:00.000Z"))
    );
    assert_eq!(calendly.asked("POST /invitees"), 1);
    assert!(calendly.asked("GET /scheduled_events") > 0, "it was looked up");
}
