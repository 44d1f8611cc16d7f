//! End-to-end tests for the faults that seed 000 found (BUG-TL) and its recommendations (REC-TL). The crate `tools`
//! also tests that calls wait for their turn (BUG-TL-001).

use baton_core::time::Time;
use serde_json::{Value, json};

use super::server::BatonServer;
use super::test_folder::TestFolder;

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

fn place(workflow: &str) -> TestFolder {
    TestFolder::with(&[("baton.toml", SETTINGS), ("tools/tools.yaml", TOOLS), ("workflows/w.yaml", workflow)])
}

/// A workflow that calls one tool.
fn calls(tool: &str) -> TestFolder {
    place(&format!("name: w\nnodes: [{{id: act, tool: {tool}, retry: {{max_attempts: 1}}}}]\n"))
}

fn show(place: &TestFolder, run: &str) -> Value {
    place.baton(&["runs", "show", run, "--json"]).expect_code(0).json()
}

fn rows(place: &TestFolder) -> Vec<Value> {
    let listed = place.baton(&["audit", "list", "--json"]).expect_code(0).json();
    listed["rows"].as_array().expect("rows").clone()
}

#[test]
fn bug_tl_002_a_tool_that_hangs_is_given_up_at_its_time_out() {
    let place = calls("hangs");
    place.baton(&["run", "w", "--id", "one"]).expect_code(1).expect_stdout("TIMEOUT");
    assert_eq!(rows(&place)[0]["error_code"], "TIMEOUT");
}

#[test]
fn rec_tl_003_each_tool_has_a_time_out_that_the_settings_may_change() {
    let place = calls("hangs");
    let time_out = |tool: &str| {
        place.baton(&["tools", "show", tool, "--json"]).expect_code(0).json()["tool"]["facts"]["timeout_ms"].clone()
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
    place.baton(&["run", "w", "--id", "old"]).expect_code(3);
    place.write("workflows/w.yaml", ASKS.replace("first", "second"));
    place.baton(&["run", "w", "--id", "new"]).expect_code(3);
    place.baton(&["runs", "answer", "old", "ask", "--approve"]).expect_code(0).expect_stdout("first");
    place.baton(&["runs", "answer", "new", "ask", "--approve"]).expect_code(0).expect_stdout("second");
}

#[test]
fn rec_tl_004_every_save_is_a_version_of_its_own_and_what_is_unchanged_none() {
    let place = place(ASKS);
    let revision = |run: &str| {
        place.baton(&["run", "w", "--id", run]).expect_code(3);
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

#[test]
fn rec_tl_004_one_version_is_active_and_an_earlier_one_can_be_again() {
    let place = place(ASKS);
    let server = BatonServer::start(&place);
    let key = server.key().expect("a key").to_owned();
    let ask = |request: &str, body: &Value| server.ask(request, &key, "", body).expect_status(200);
    let second = ASKS.replace("first", "second");
    server.write("PUT /api/v1/workflows/w", &key, "", &second).expect_status(200);
    let versions = || {
        let listed = ask("GET /api/v1/workflows/w/versions", &Value::Null);
        let of = |one: &Value| (one["revision"].as_u64().expect("a number"), one["active"] == true);
        let mut all: Vec<_> = listed["versions"].as_array().expect("a list").iter().map(of).collect();
        all.sort_unstable();
        (all, listed)
    };
    assert_eq!(versions().0, [(1, true), (2, false)], "a new version begins inactive");
    ask("POST /api/v1/workflows/w/activate", &json!({"revision": 2}));
    let (all, listed) = versions();
    assert_eq!(all, [(1, false), (2, true)], "one is active at a time");
    for version in listed["versions"].as_array().expect("a list") {
        assert!(version["created_at"].is_string() && version["activated_at"].is_string(), "{version}");
        assert_eq!(version["made_by"].as_str(), (version["revision"] == 2).then_some("first start"), "{version}");
    }
    let says = |said: &str| {
        let run =
            server.ask("POST /api/v1/workflows/execute", &key, "", &json!({"workflow_id": "w"})).expect_status(202);
        let run = run["execution_id"].as_str().expect("an id").to_owned();
        place.baton(&["runs", "answer", &run, "ask", "--approve"]).expect_code(0).expect_stdout(said);
    };
    says("second");
    assert_eq!(ask("POST /api/v1/workflows/w/rollback", &json!({}))["revision"], 1);
    assert_eq!(versions().0, [(1, true), (2, false)]);
    says("first");
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
    place.baton(&["run", "w", "--id", "one", "--set", "method=visa-0002"]).expect_code(1);
    let shown = show(&place, "one");
    assert_eq!((&shown["status"], &shown["compensated"]), (&json!("failed"), &json!(true)));
    let booked = |run: &str| place.baton(&["run", "w", "--id", run, "--set", "method=visa-0001"]);
    booked("two").expect_code(0);
    booked("three").expect_code(1).expect_stdout("SLOT_TAKEN");
}

#[test]
fn bug_tl_004_an_error_says_what_the_operator_can_do() {
    let place = place(BOOKS);
    // The fixed words come from the seed. The text for the operator names the case.
    let told = |tool: &str, arguments: &str| {
        let told = place.baton(&["tools", "call", tool, "--input", arguments, "--json"]).expect_code(1).json();
        assert_eq!(told["success"], false, "{told}");
        ["error_code", "error", "error_details", "suggested_action"]
            .map(|field| told[field].as_str().unwrap_or_else(|| panic!("no {field}: {told}")).to_owned())
    };
    let declined = told("charge_payment", r#"{"amount": 50, "currency": "EUR", "method": "visa-0002"}"#);
    let [code, customer, operator, action] = declined.each_ref().map(String::as_str);
    assert_eq!((code, action), ("PAYMENT_DECLINED", "Ask the customer for another payment method"));
    assert!(operator.contains("Insufficient funds") && !customer.contains("Insufficient funds"), "{declined:?}");
    assert!(customer.contains("verifica tu método de pago"), "{declined:?}");
    place.write("baton.toml", "[tools]\nlanguage = \"es\"\n[tools.calendar]\nhours = {}\n");
    let closed = told("check_availability", r#"{"date": "tomorrow"}"#);
    let [code, customer, operator, action] = closed.each_ref().map(String::as_str);
    assert_eq!(
        (code, customer),
        ("CALENDAR_NOT_CONFIGURED", "No hemos configurado tu calendario aún. Contacta a soporte.")
    );
    assert_eq!(action, "Configure calendar integration in admin panel");
    assert!(operator.contains("the calendar of `default`"), "the company is named: {operator}");
}

#[test]
fn rec_tl_005_the_customer_is_told_in_their_language() {
    let tells = BOOKS.replace("name: w\n", "name: w\non_compensated: sorry\n").replace(
        "edges:",
        "  - {id: sorry, tool: send_whatsapp, parameters: {to: '+34612345678', message: '{{ error.customer }}'}}\nedges:",
    );
    let place = place(&tells);
    place.baton(&["run", "w", "--id", "one", "--set", "method=visa-0002"]).expect_code(1);
    let parameters = rows(&place)[0]["details"]["parameters"].clone();
    let said = parameters["message"].as_str().expect("a message").to_owned();
    assert!(said.contains("pago"), "Spanish, and no stack trace: {said}");
}

#[test]
fn bug_tl_005_what_fails_for_a_moment_is_tried_three_times_and_no_more() {
    let place = place("name: w\nnodes: [{id: act, tool: busy}]\n");
    place.baton(&["run", "w", "--id", "one"]).expect_code(1).expect_stdout("SERVICE_UNAVAILABLE");
    assert_eq!(rows(&place).len(), 3);
}

/// Fails temporarily twice, and takes no time.
const RECOVERS: &str = "\
name: recovers
kind: script
class: read
retry: {max_attempts: 3, initial_ms: 40, multiplier: 3, max_ms: 100}
results:
  - {when: attempt < 3, fault: {code: SERVICE_UNAVAILABLE, message: down, retryable: true}}
  - {output: {said: back}}
";

#[test]
fn rec_tl_006_what_fails_for_a_moment_is_tried_again_after_growing_waits() {
    let place = place("name: w\nnodes: [{id: act, tool: recovers}]\n");
    place.write("tools/recovers.yaml", RECOVERS);
    place.baton(&["run", "w", "--id", "one"]).expect_code(0).expect_stdout("back");
    let mut rows = rows(&place);
    rows.reverse();
    let attempts = |field: &str| rows.iter().map(|row| row["details"][field].clone()).collect::<Vec<_>>();
    assert_eq!(attempts("attempt"), [1, 2, 3]);
    assert_eq!(rows.iter().map(|row| &row["status"]).collect::<Vec<_>>(), ["error", "error", "success"]);
    let at: Vec<i64> =
        rows.iter().map(|row| row["at"].as_str().expect("a time").parse::<Time>().expect("one").as_ms()).collect();
    assert!(at[1] - at[0] >= 40 && at[2] - at[1] >= 100, "40 ms, then three times as long, 100 ms at most: {at:?}");
    // The seed's own values, for a tool that defines none.
    let retry =
        place.baton(&["tools", "show", "google_calendar", "--json"]).expect_code(0).json()["tool"]["facts"]["retry"]
            .clone();
    let of = |field: &str| retry[field].as_f64();
    assert_eq!(
        [of("max_attempts"), of("initial_ms"), of("multiplier"), of("max_ms")],
        [Some(3.0), Some(2_000.0), Some(2.0), Some(10_000.0)]
    );
}

#[test]
fn rec_tl_006_what_fails_for_good_is_not_tried_again() {
    let place = place("name: w\nnodes: [{id: act, tool: late, retry: {max_attempts: 5}}]\n");
    place.baton(&["run", "w", "--id", "one"]).expect_code(1).expect_stdout("DECLINED");
    assert_eq!(rows(&place).len(), 1);
}

/// The server's counters after it has completed a run of this workflow.
fn counted(place: &TestFolder) -> String {
    let server = BatonServer::start(place);
    place.baton(&["run", "w", "--id", "one", "--detach"]).expect_code(3);
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
    place.baton(&["run", "w", "--context", r#"{"user_id": "marta"}"#]).expect_code(0);
    for (by, said) in [("tenant", "default"), ("agent", ""), ("user", "marta")] {
        let usage = place.baton(&["tools", "usage", "--by", by, "--json"]).expect_code(0).json();
        assert_eq!((&usage[0][by], &usage[0]["count"]), (&json!(said), &json!(1)));
    }
}

#[test]
fn rec_tl_008_a_report_names_the_tools_that_are_hardly_used() {
    let place = calls("greet");
    place.baton(&["run", "w"]).expect_code(0);
    let report = place.baton(&["tools", "report", "--json"]).expect_code(0).json();
    assert!(report["underutilized_tools"].as_array().is_some_and(|tools| tools.contains(&json!("greet"))), "{report}");
    for field in ["total_executions", "tools", "by_agent", "cost_estimate"] {
        assert!(report.get(field).is_some(), "{field}");
    }
}

#[test]
fn bug_tl_008_a_company_has_parameters_of_its_own() {
    let place = calls("greet");
    place.baton(&["run", "w"]).expect_code(0).expect_stdout("Hola, Marta");
}

#[test]
fn rec_tl_010_wrong_parameters_are_refused_before_anybody_is_asked() {
    let place = place(
        "name: w\ninput: {amount: number}\nnodes: [{id: pay, tool: charge_payment, parameters: {amount: '{{ amount }}'}}]\n",
    );
    place.baton(&["run", "w", "--id", "one", "--set", "amount=-5"]).expect_code(1).expect_stdout("INVALID_PARAMETERS");
    let row = rows(&place)[0].clone();
    assert_eq!((&row["error_code"], &row["sent"]), (&json!("INVALID_PARAMETERS"), &json!(false)));
}

#[test]
fn rec_tl_009_every_tool_says_what_it_does() {
    let place = TestFolder::empty();
    let tools = place.baton(&["tools", "list", "--json"]).expect_code(0).json();
    let tools = tools["tools"].as_array().expect("a list");
    assert!(tools.len() > 20, "the shipped tools");
    for tool in tools {
        explains(&tool["name"], &tool["facts"]);
        for (action, facts) in tool["facts"]["actions"].as_object().into_iter().flatten() {
            explains(&json!(format!("{} {action}", tool["name"])), facts);
        }
    }
}

/// A tool describes what it does, and each argument whose name and type are not sufficient.
fn explains(name: &Value, facts: &Value) {
    let said = facts["description"].as_str().unwrap_or_default();
    assert!(said.len() > 10, "{name} says nothing of itself");
    let arguments = &facts["parameters"]["properties"];
    assert!(arguments.is_object(), "{name} says nothing of its arguments");
    for (argument, schema) in arguments.as_object().into_iter().flatten() {
        let is_told = ["description", "type", "enum", "const", "anyOf", "oneOf", "$ref"];
        assert!(is_told.iter().any(|word| schema.get(word).is_some()), "{name}: what is `{argument}`?");
    }
}

/// Seed 000 §5: BUG-TL-001 and the facts of its table.
#[test]
fn bug_tl_001_the_rates_of_the_seed_hold_unless_the_settings_say_others() {
    let place = TestFolder::empty();
    let rate =
        |tool: &str| place.baton(&["tools", "show", tool, "--json"]).expect_code(0).json()["tool"]["rate"].clone();
    for (tool, expect) in [
        ("google_calendar", "100/min"),
        ("send_whatsapp", "10/min"),
        ("send_email", "20/min"),
        ("knowledge_base", "200/min"),
    ] {
        assert_eq!(rate(tool), expect, "{tool}");
    }
    assert_eq!(rate("calculator"), Value::Null, "as often as one likes");
    place.write("baton.toml", "[tools.tool.knowledge_base]\nrate = \"7/h\"\ncache_seconds = 60\n");
    assert_eq!(rate("knowledge_base"), "7/h");
    let listed = place.baton(&["tools", "list", "--search", "knowledge_base", "--json"]).expect_code(0).json();
    assert_eq!((&listed["tools"][0]["rate"], &listed["tools"][0]["cache_seconds"]), (&json!("7/h"), &json!(60)));
}

#[test]
fn rec_tl_002_a_rate_holds_for_each_company_and_the_run_waits_for_its_turn() {
    let place =
        place("name: w\nnodes: [{id: one, tool: greet}, {id: two, tool: greet}]\nedges: [{from: one, to: two}]\n");
    place.write("baton.toml", SETTINGS.replace("[tools.tool.greet]\n", "[tools.tool.greet]\nrate = \"1/s\"\n"));
    place.baton(&["run", "w", "--id", "one"]).expect_code(0);
    place.baton(&["runs", "journal", "one"]).expect_code(0).expect_stdout("rate_limit");
    assert_eq!(rows(&place).len(), 2);
}

#[test]
fn rec_tl_011_a_version_goes_out_as_a_file_and_comes_in_as_the_same_version() {
    let place = place(BOOKS);
    place.baton(&["run", "w", "--set", "method=visa-0001", "--id", "one"]);
    place.write("workflows/w.yaml", BOOKS.replace("10:00", "11:00"));
    place.baton(&["run", "w", "--set", "method=visa-0001", "--id", "two"]);
    let hash = |place: &TestFolder, revision: u64| {
        let listed = place.baton(&["workflows", "versions", "w", "--json"]).expect_code(0).json();
        let versions = listed["versions"].as_array().expect("versions").clone();
        versions.iter().find(|one| one["revision"] == json!(revision)).expect("it is there")["bundle"].clone()
    };
    for format in ["yaml", "json"] {
        let file = format!("first.{format}");
        place.baton(&["export", "w", "--revision", "1", "--out", &file]).expect_code(0).expect_stdout(&file);
        let text = std::fs::read_to_string(place.path().join(&file)).expect("a file");
        assert!(text.contains("10:00") && text.starts_with('{') == (format == "json"), "{text}");
        let other = TestFolder::with(&[("baton.toml", SETTINGS), ("tools/tools.yaml", TOOLS), (&file, &text)]);
        let taken = other.baton(&["import", &file, "--json"]).expect_code(0).json();
        assert_eq!((&taken["version"]["revision"], &taken["version"]["bundle"]), (&json!(1), &hash(&place, 1)));
        other.baton(&["import", &file]).expect_code(0).expect_stdout("word for word");
    }
    place.baton(&["export", "w", "--revision", "1", "--out", "first.yaml"]).expect_code(2).expect_stderr("already");
    place.baton(&["import", "first.yaml"]).expect_code(2).expect_stderr("--replace");
    place.baton(&["import", "first.yaml", "--replace"]).expect_code(0).expect_stdout("revision 3");
    assert_eq!(hash(&place, 3), hash(&place, 1), "taken back in, it is what it was");
    place
        .baton(&["import", "first.yaml", "--name", "copy"])
        .expect_code(0)
        .expect_stdout("`copy` taken in: revision 1");
    place.baton(&["export", "copy"]).expect_code(0).expect_stdout("name: copy");
}

#[test]
fn rec_tl_011_what_cannot_run_is_not_taken_in() {
    let place = place(BOOKS);
    place.write("bad.yaml", "name: bad\nnodes: [{id: a, tool: no_such_tool}]\n");
    place.baton(&["import", "bad.yaml"]).expect_code(2).expect_stderr("no_such_tool");
    place.write("dots.yaml", "name: ../out\nnodes: [{id: a, tool: greet}]\n");
    place.baton(&["import", "dots.yaml"]).expect_code(2).expect_stderr("not a workflow's name");
    place.baton(&["export", "nobody"]).expect_code(2).expect_stderr("no workflow `nobody`");
    place.baton(&["export", "w", "--revision", "9"]).expect_code(2).expect_stderr("no revision 9");
    place.baton(&["export", "w"]).expect_code(0).expect_stdout("name: w");
    assert!(!place.path().join("workflows/bad.yaml").exists());
}
