//! The faults that seed 000 found (BUG-TL) and what it recommends (REC-TL), from outside. BUG-TL-001 is held in the room
//! `tools`.

use serde_json::{Value, json};

use super::place::Place;
use super::server::Server;

const SETTINGS: &str = "\
[tools]
zone = \"Europe/Madrid\"
language = \"es\"
[tools.calendar]
resources = [\"sala-1\"]
[tools.calendar.hours]
monday = [\"09:00-18:00\"]
tuesday = [\"09:00-18:00\"]
wednesday = [\"09:00-18:00\"]
thursday = [\"09:00-18:00\"]
friday = [\"09:00-18:00\"]
saturday = [\"09:00-18:00\"]
sunday = [\"09:00-18:00\"]
[tools.payment.methods]
visa-0002 = { decline = \"Insufficient funds\" }
[tools.tool.hangs]
timeout_ms = 50
[tools.tool.greet]
defaults = { greeting = \"Hola\" }
[tools.tenants.default.tool.greet]
overrides = { name = \"Marta\" }
";
const TOOLS: &str = "\
tools:
  - {name: hangs, kind: script, class: pure, latency_ms: 60000, results: [{output: {}}]}
  - {name: busy, kind: script, class: read, retry: {max_attempts: 3, initial_ms: 1, max_ms: 1}, results: [{fault: {code: SERVICE_UNAVAILABLE, message: down, retryable: true}}]}
  - {name: late, kind: script, class: once, irreversible: sent, retry: {max_attempts: 1}, results: [{fault: {code: DECLINED, message: no}}]}
  - name: greet
    kind: script
    class: pure
    parameters: {type: object, properties: {greeting: {type: string}, name: {type: string}}}
    results: [{output: {text: '{{ arguments.greeting }}, {{ arguments.name }}'}}]
";

fn place(workflow: &str) -> Place {
    Place::with(&[("baton.toml", SETTINGS), ("tools/tools.yaml", TOOLS), ("workflows/w.yaml", workflow)])
}

/// A workflow that calls one tool.
fn calls(tool: &str) -> Place {
    place(&format!("name: w\nnodes: [{{id: act, tool: {tool}, retry: {{max_attempts: 1}}}}]\n"))
}

fn show(place: &Place, run: &str) -> Value {
    place.baton(&["runs", "show", run, "--json"]).ends(0).json()
}

fn rows(place: &Place) -> Vec<Value> {
    let listed = place.baton(&["audit", "list", "--json"]).ends(0).json();
    listed["rows"].as_array().expect("rows").clone()
}

#[test]
fn bug_tl_002_a_tool_that_hangs_is_given_up_at_its_time_out() {
    let place = calls("hangs");
    place.baton(&["run", "w", "--id", "one"]).ends(1).says("TIMEOUT");
    assert_eq!(rows(&place)[0]["error_code"], "TIMEOUT");
}

#[test]
fn rec_tl_003_each_tool_has_a_time_out_that_the_settings_may_change() {
    let place = calls("hangs");
    let time_out = |tool: &str| {
        place.baton(&["tools", "show", tool, "--json"]).ends(0).json()["tool"]["facts"]["timeout_ms"].clone()
    };
    assert_eq!(
        (time_out("hangs"), time_out("google_calendar"), time_out("send_whatsapp")),
        (json!(50), json!(10_000), json!(5_000))
    );
}

const ASKS: &str = "\
name: w
nodes: [{id: ask, type: human, title: 'Go?'}, {id: say, type: transform, set: {said: '{{ \"first\" }}'}}, {id: end, type: end, output: '{{ said }}'}]
edges: [{from: ask, to: say, when: approved}, {from: say, to: end}]
variables: {said: none}
";

#[test]
fn bug_tl_003_a_run_stays_on_the_version_it_began_with() {
    let place = place(ASKS);
    place.baton(&["run", "w", "--id", "old"]).ends(3);
    place.write("workflows/w.yaml", ASKS.replace("first", "second"));
    place.baton(&["run", "w", "--id", "new"]).ends(3);
    place.baton(&["runs", "answer", "old", "ask", "--approve"]).ends(0).says("first");
    place.baton(&["runs", "answer", "new", "ask", "--approve"]).ends(0).says("second");
}

#[test]
fn rec_tl_004_every_save_is_a_version_of_its_own_and_what_is_unchanged_none() {
    let place = place(ASKS);
    let revision = |run: &str| {
        place.baton(&["run", "w", "--id", run]).ends(3);
        let version = show(&place, run)["version"].as_str().expect("a version").to_owned();
        version
            .split_once("revision ")
            .expect("a revision")
            .1
            .chars()
            .take_while(char::is_ascii_digit)
            .collect::<String>()
    };
    assert_eq!((revision("a"), revision("b")), ("1".to_owned(), "1".to_owned()));
    place.write("workflows/w.yaml", ASKS.replace("first", "second"));
    assert_eq!(revision("c"), "2");
    place.write("workflows/w.yaml", ASKS);
    assert_eq!(revision("d"), "3", "going back is a version, too");
}

const BOOKS: &str = "\
name: w
nodes:
  - {id: book, tool: create_booking, parameters: {date: tomorrow, time: '10:00', treatment: botox, user_id: test_user}}
  - {id: pay, tool: charge_payment, parameters: {amount: 50, currency: EUR, method: '{{ method }}'}}
edges: [{from: book, to: pay}]
input: {method: string}
";

#[test]
fn rec_tl_001_a_booking_whose_payment_fails_is_cancelled() {
    let place = place(BOOKS);
    place.baton(&["run", "w", "--id", "one", "--set", "method=visa-0002"]).ends(1);
    let shown = show(&place, "one");
    assert_eq!((&shown["status"], &shown["compensated"]), (&json!("failed"), &json!(true)));
    let booked = |run: &str| place.baton(&["run", "w", "--id", run, "--set", "method=visa-0001"]);
    booked("two").ends(0);
    booked("three").ends(1).says("SLOT_TAKEN");
}

#[test]
fn bug_tl_004_an_error_says_what_the_operator_can_do() {
    let place = place(BOOKS);
    place.baton(&["run", "w", "--id", "one", "--set", "method=visa-0002"]).ends(1).says("PAYMENT_DECLINED");
    let fault = show(&place, "one")["error"].to_string();
    assert!(fault.contains("PAYMENT_DECLINED") && fault.contains("Insufficient funds"), "{fault}");
}

#[test]
fn rec_tl_005_the_customer_is_told_in_their_language() {
    let tells = BOOKS.replace("name: w\n", "name: w\non_compensated: sorry\n").replace(
        "edges:",
        "  - {id: sorry, tool: send_whatsapp, parameters: {to: '+34612345678', message: '{{ error.customer }}'}}\nedges:",
    );
    let place = place(&tells);
    place.baton(&["run", "w", "--id", "one", "--set", "method=visa-0002"]).ends(1);
    let parameters = rows(&place)[0]["details"]["parameters"].clone();
    let said = parameters["message"].as_str().expect("a message").to_owned();
    assert!(said.contains("pago"), "Spanish, and no stack trace: {said}");
}

#[test]
fn bug_tl_005_what_fails_for_a_moment_is_tried_three_times_and_no_more() {
    let place = place("name: w\nnodes: [{id: act, tool: busy}]\n");
    place.baton(&["run", "w", "--id", "one"]).ends(1).says("SERVICE_UNAVAILABLE");
    assert_eq!(rows(&place).len(), 3);
}

#[test]
fn rec_tl_006_what_fails_for_good_is_not_tried_again() {
    let place = place("name: w\nnodes: [{id: act, tool: late, retry: {max_attempts: 5}}]\n");
    place.baton(&["run", "w", "--id", "one"]).ends(1).says("DECLINED");
    assert_eq!(rows(&place).len(), 1);
}

/// What the server counts once a run of this workflow, which it moves itself, has ended.
fn counted(place: &Place) -> String {
    let server = Server::start(place);
    place.baton(&["run", "w", "--id", "one", "--detach"]).ends(3);
    let has_ended = || show(place, "one")["state"] != json!("pending") && rows(place).len() == 1;
    assert!((0..1_000).any(|_| has_ended()), "the server moves it");
    server.get("/metrics", None)
}

#[test]
fn bug_tl_006_uses_and_errors_are_counted_by_tool_company_and_code() {
    let metrics = counted(&calls("late"));
    let labels = "tool=\"late\",tool_name=\"late\",company_id=\"default\"";
    let has = |line: &str| assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    has(&format!("tool_executions_total{{{labels},status=\"error\",error_code=\"DECLINED\"}} 1"));
    has(&format!("tool_errors_total{{{labels},error_type=\"DECLINED\",error_code=\"DECLINED\"}} 1"));
}

#[test]
fn rec_tl_007_how_long_tools_take_is_counted() {
    let metrics = counted(&calls("greet"));
    let labels = "tool=\"greet\",tool_name=\"greet\",company_id=\"default\"";
    let has = |line: &str| assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    has(&format!("tool_execution_duration_seconds_count{{{labels}}} 1"));
    has(&format!("tool_executions_total{{{labels},status=\"success\",error_code=\"\"}} 1"));
}

#[test]
fn bug_tl_007_usage_is_known_by_company_agent_and_user() {
    let place = calls("greet");
    place.baton(&["run", "w", "--context", r#"{"user_id": "marta"}"#]).ends(0);
    for (by, said) in [("tenant", "default"), ("agent", ""), ("user", "marta")] {
        let usage = place.baton(&["tools", "usage", "--by", by, "--json"]).ends(0).json();
        assert_eq!((&usage[0][by], &usage[0]["count"]), (&json!(said), &json!(1)));
    }
}

#[test]
fn rec_tl_008_a_report_names_the_tools_that_are_hardly_used() {
    let place = calls("greet");
    place.baton(&["run", "w"]).ends(0);
    let report = place.baton(&["tools", "report", "--json"]).ends(0).json();
    assert!(report["underutilized_tools"].as_array().is_some_and(|tools| tools.contains(&json!("greet"))), "{report}");
    for field in ["total_executions", "tools", "by_agent", "cost_estimate"] {
        assert!(report.get(field).is_some(), "{field}");
    }
}

#[test]
fn bug_tl_008_a_company_has_parameters_of_its_own() {
    let place = calls("greet");
    place.baton(&["run", "w"]).ends(0).says("Hola, Marta");
}

#[test]
fn rec_tl_010_wrong_parameters_are_refused_before_anybody_is_asked() {
    let place = place(
        "name: w\ninput: {amount: number}\nnodes: [{id: pay, tool: charge_payment, parameters: {amount: '{{ amount }}'}}]\n",
    );
    place.baton(&["run", "w", "--id", "one", "--set", "amount=-5"]).ends(1).says("INVALID_PARAMETERS");
    let row = rows(&place)[0].clone();
    assert_eq!((&row["error_code"], &row["sent"]), (&json!("INVALID_PARAMETERS"), &json!(false)));
}

#[test]
fn rec_tl_009_every_tool_says_what_it_does() {
    let place = Place::empty();
    let tools = place.baton(&["tools", "list", "--json"]).ends(0).json();
    let tools = tools["tools"].as_array().expect("a list");
    assert!(tools.len() > 20, "the shipped tools");
    for tool in tools {
        let said = tool["facts"]["description"].as_str().unwrap_or_default();
        assert!(said.len() > 10, "{} says nothing of itself", tool["name"]);
    }
}

#[test]
fn rec_tl_002_a_rate_holds_for_each_company_and_the_run_waits_for_its_turn() {
    let place =
        place("name: w\nnodes: [{id: one, tool: greet}, {id: two, tool: greet}]\nedges: [{from: one, to: two}]\n");
    place.write("baton.toml", SETTINGS.replace("[tools.tool.greet]\n", "[tools.tool.greet]\nrate = \"1/s\"\n"));
    place.baton(&["run", "w", "--id", "one"]).ends(0);
    place.baton(&["runs", "journal", "one"]).ends(0).says("rate_limit");
    assert_eq!(rows(&place).len(), 2);
}

#[test]
fn rec_tl_011_a_version_goes_out_as_a_file_and_comes_in_as_the_same_version() {
    let place = place(BOOKS);
    place.baton(&["run", "w", "--set", "method=visa-0001", "--id", "one"]);
    place.write("workflows/w.yaml", BOOKS.replace("10:00", "11:00"));
    place.baton(&["run", "w", "--set", "method=visa-0001", "--id", "two"]);
    let hash = |place: &Place, revision: u64| {
        let listed = place.baton(&["workflows", "versions", "w", "--json"]).ends(0).json();
        let versions = listed["versions"].as_array().expect("versions").clone();
        versions.iter().find(|one| one["revision"] == json!(revision)).expect("it is there")["bundle"].clone()
    };
    for format in ["yaml", "json"] {
        let file = format!("first.{format}");
        place.baton(&["export", "w", "--revision", "1", "--out", &file]).ends(0).says(&file);
        let text = std::fs::read_to_string(place.path().join(&file)).expect("a file");
        assert!(text.contains("10:00") && text.starts_with('{') == (format == "json"), "{text}");
        let other = Place::with(&[("baton.toml", SETTINGS), ("tools/tools.yaml", TOOLS), (&file, &text)]);
        let taken = other.baton(&["import", &file, "--json"]).ends(0).json();
        assert_eq!((&taken["version"]["revision"], &taken["version"]["bundle"]), (&json!(1), &hash(&place, 1)));
        other.baton(&["import", &file]).ends(0).says("word for word");
    }
    place.baton(&["export", "w", "--revision", "1", "--out", "first.yaml"]).ends(2).warns("already");
    place.baton(&["import", "first.yaml"]).ends(2).warns("--replace");
    place.baton(&["import", "first.yaml", "--replace"]).ends(0).says("revision 3");
    assert_eq!(hash(&place, 3), hash(&place, 1), "taken back in, it is what it was");
    place.baton(&["import", "first.yaml", "--name", "copy"]).ends(0).says("`copy` taken in: revision 1");
    place.baton(&["export", "copy"]).ends(0).says("name: copy");
}

#[test]
fn rec_tl_011_what_cannot_run_is_not_taken_in() {
    let place = place(BOOKS);
    place.write("bad.yaml", "name: bad\nnodes: [{id: a, tool: no_such_tool}]\n");
    place.baton(&["import", "bad.yaml"]).ends(2).warns("no_such_tool");
    place.write("dots.yaml", "name: ../out\nnodes: [{id: a, tool: greet}]\n");
    place.baton(&["import", "dots.yaml"]).ends(2).warns("not a workflow's name");
    place.baton(&["export", "nobody"]).ends(2).warns("no workflow `nobody`");
    place.baton(&["export", "w", "--revision", "9"]).ends(2).warns("no revision 9");
    place.baton(&["export", "w"]).ends(0).says("name: w");
    assert!(!place.path().join("workflows/bad.yaml").exists());
}
