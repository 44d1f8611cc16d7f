//! End-to-end tests of tool usage reports.

use serde_json::{Value, json};

use super::test_folder::TestFolder;

const SETTINGS: &str = "[tools.tool.reserve]\ncost_usd = 0.01\n";
const TOOLS: &str = "\
tools:
  - {name: reserve, kind: script, class: keyed, irreversible: done, results: [{output: {}}]}
  - {name: decline, kind: script, class: keyed, irreversible: no, results: [{fault: {code: DECLINED, message: no}}]}
";
const ORDER: &str = "\
name: order
nodes: [{id: hold, tool: reserve}, {id: pay, tool: decline, on_error: continue, retry: {max_attempts: 1}}]
edges: [{from: hold, to: pay}]
";

fn place() -> TestFolder {
    TestFolder::with(&[("baton.toml", SETTINGS), ("tools/tools.yaml", TOOLS), ("workflows/order.yaml", ORDER)])
}

/// Two runs, one of them for `marta`.
fn used() -> TestFolder {
    let place = place();
    place.baton(&["run", "order", "--id", "one", "--context", r#"{"user_id": "marta"}"#]).expect_code(0);
    place.baton(&["run", "order", "--id", "two"]).expect_code(0);
    place
}

fn usage(place: &TestFolder, arguments: &[&str]) -> Value {
    place.baton(&[&["tools", "usage", "--json"], arguments].concat()).expect_code(0).json()
}

/// The current ISO week, taken from a row that was written a moment ago.
fn this_week(place: &TestFolder) -> String {
    let day = usage(place, &["--by", "day"])[0]["day"].as_str().expect("a day").to_owned();
    let week = day.parse::<jiff::civil::Date>().expect("a day").iso_week_date();
    format!("{}-W{:02}", week.year(), week.week())
}

#[test]
fn uses_are_counted_by_whatever_is_asked() {
    let place = used();
    let tools = usage(&place, &[]);
    assert_eq!(
        (&tools[0]["tool"], &tools[0]["count"], &tools[0]["success_rate"]),
        (&json!("decline"), &json!(2), &json!(0.0))
    );
    assert_eq!(tools[0]["errors"], json!({"DECLINED": 2}));
    assert_eq!((&tools[1]["count"], &tools[1]["cost_estimate"]), (&json!(2), &json!(0.02)));
    assert!(tools[1]["p95_ms"].is_u64(), "{tools}");
    let users = usage(&place, &["--by", "user,tool", "--tool", "reserve"]);
    let said = |row: &Value| (row["user"].clone(), row["count"].clone());
    let users: Vec<_> = users.as_array().expect("rows").iter().map(said).collect();
    assert_eq!(users, [(json!(""), json!(1)), (json!("marta"), json!(1))]);
    assert_eq!(usage(&place, &["--by", "tenant", "--all-tenants"])[0]["count"], 4);
    assert_eq!(usage(&place, &["--by", "month"])[0]["month"].as_str().map(str::len), Some(7));
    assert_eq!(usage(&place, &["--to", "2020-01-01"]), json!([]));
    place.baton(&["tools", "usage"]).expect_code(0).expect_stdout("DECLINED ×2").expect_stdout("100.0%");
}

#[test]
fn a_weeks_report_is_markdown_html_or_json() {
    let place = used();
    let week = this_week(&place);
    let report = |more: &[&str]| place.baton(&[&["tools", "report", "--week", &week], more].concat()).expect_code(0);
    let told = report(&["--json"]).json();
    assert_eq!((&told["total_executions"], &told["cost_estimate"]), (&json!(4), &json!(0.02)));
    assert_eq!(told["tools"]["reserve"]["count"], 2);
    let under_used = told["underutilized_tools"].as_array().expect("a list");
    assert!(under_used.contains(&json!("calculator")) && under_used.contains(&json!("reserve")), "{told}");
    report(&[])
        .expect_stdout(&format!("# Tool usage report, {week}"))
        .expect_stdout("| reserve | 2 | 100.0 % |")
        .expect_stdout("DECLINED ×2");
    report(&["--html"]).expect_stdout("<!doctype html>").expect_stdout("<td>reserve</td><td>2</td>");
    place.baton(&["tools", "report", "--week", "47"]).expect_code(2).expect_stderr("2026-W47");
    let nothing =
        |more: &[&str]| place.baton(&[&["tools", "report", "--week", "2020-W01"], more].concat()).expect_code(0);
    let page = nothing(&[]).expect_stdout("No tool was used.").expect_stdout("no calls").out;
    assert!(!page.contains("100.0 %"), "{page}");
    assert_eq!(nothing(&["--json"]).json()["success_rate"], Value::Null);
}

#[test]
fn a_weeks_report_has_the_days_of_the_tenants_zone() {
    let place = used();
    // Half a day ahead of UTC, so that the date there differs for most of the time.
    let settings = |zone: &str| format!("{zone}\n{SETTINGS}");
    let report =
        |more: &[&str]| place.baton(&[&["tools", "report", "--week", "2026-W47"], more].concat()).expect_code(0);
    place.write("baton.toml", settings("[tools]\nzone = \"Pacific/Kiritimati\""));
    let told = report(&["--json"]).json();
    assert_eq!((&told["from"], &told["to"]), (&json!("2026-11-15T10:00:00.000Z"), &json!("2026-11-22T10:00:00.000Z")));
    report(&[]).expect_stdout("2026-11-16 to 2026-11-22, by the clocks of Pacific/Kiritimati");
    // A tenant's own time zone takes precedence over the default.
    place.write(
        "baton.toml",
        settings("[tools]\nzone = \"Pacific/Kiritimati\"\n[tools.tenants.default]\nzone = \"Asia/Tokyo\""),
    );
    assert_eq!(report(&["--json"]).json()["from"], "2026-11-15T15:00:00.000Z");
}

#[test]
fn a_tool_that_is_used_ten_times_in_thirty_days_is_not_under_used() {
    let nine =
        "name: nine\nnodes: [{id: each, for_each: '{{ range(9) }}', body: {nodes: [{id: hold, tool: reserve}]}}]\n";
    let one = "name: one\nnodes: [{id: hold, tool: reserve}]\n";
    let place = place();
    place.write("workflows/nine.yaml", nine);
    place.write("workflows/one.yaml", one);
    place.baton(&["run", "nine"]).expect_code(0);
    let week = this_week(&place);
    let is_under_used = || {
        let told = place.baton(&["tools", "report", "--week", &week, "--json"]).expect_code(0).json();
        told["underutilized_tools"].as_array().expect("a list").contains(&json!("reserve"))
    };
    assert!(is_under_used(), "nine are fewer than ten");
    place.baton(&["run", "one"]).expect_code(0);
    assert!(!is_under_used());
}

#[test]
fn other_names_and_presets_of_a_tool_count_as_the_tool() {
    let place = place();
    let pay = |id: &str, tool: &str| {
        format!("{{id: {id}, tool: {tool}, parameters: {{amount: 5, method: card}}, compensation: none}}")
    };
    let nodes = [pay("one", "make_payment"), pay("two", "process_payment"), pay("three", "charge_payment")].join(", ");
    let book = "{id: four, tool: check_availability, parameters: {date: '2030-01-08'}}";
    place.write("workflows/pay.yaml", format!("name: pay\nnodes: [{nodes}, {book}]\n"));
    place.baton(&["run", "pay"]).expect_code(0);
    let counts = |more: &[&str]| -> Vec<(Value, Value)> {
        let rows = usage(&place, more);
        rows.as_array().expect("rows").iter().map(|row| (row["tool"].clone(), row["count"].clone())).collect()
    };
    assert_eq!(counts(&[]), [(json!("charge_payment"), json!(3)), (json!("google_calendar"), json!(1))]);
    assert_eq!(counts(&["--tool", "make_payment"]), [(json!("charge_payment"), json!(3))]);
    assert_eq!(counts(&["--tool", "check_availability"]), [(json!("google_calendar"), json!(1))]);
    assert_eq!(usage(&place, &["--by", "tenant", "--tool", "process_payment"])[0]["count"], 3);
    let week = this_week(&place);
    let told = place.baton(&["tools", "report", "--week", &week, "--json"]).expect_code(0).json();
    assert_eq!(told["tools"]["charge_payment"]["count"], 3);
    let under_used = told["underutilized_tools"].as_array().expect("a list");
    for (tool, is_listed) in [
        ("charge_payment", true),
        ("google_calendar", true),
        ("make_payment", false),
        ("search_kb", false),
        ("check_availability", false),
        ("create_booking", false),
    ] {
        assert_eq!(under_used.contains(&json!(tool)), is_listed, "{tool} in {under_used:?}");
    }
}

#[test]
fn looking_at_usage_makes_no_database() {
    let place = place();
    place.baton(&["tools", "usage"]).expect_code(0).expect_stdout("no tool was used");
    place.baton(&["tools", "report"]).expect_code(0).expect_stdout("No tool was used.");
    assert!(!place.path().join(".baton").exists());
}
