//! Approvals: listing and deciding them.

use serde_json::{Value, json};

use super::test_folder::TestFolder;

const SETTINGS: &str = "\
[tools.tool.pay_invoice]
approval = true
defaults = { currency = \"EUR\" }
[tools.tool.pay_invoice.approvers]
need = 2
from = [\"olga\", \"paul\", \"rosa\"]
[tools.tool.pay_quickly]
approval = true
approvers = { deadline_seconds = 1 }
";
const TOOLS: &str = "\
tools:
  - {name: pay_invoice, kind: script, class: keyed, irreversible: paid, results: [{output: {receipt: 'R-{{ arguments.amount }}'}}]}
  - {name: pay_quickly, kind: script, class: keyed, irreversible: paid, results: [{output: {}}]}
";
const PAY: &str = "\
name: pay
nodes: [{id: pay, tool: pay_invoice, parameters: {amount: 250}}]
";
const QUICK: &str = "name: quick\nnodes: [{id: pay, tool: pay_quickly}]\n";
const ASK: &str = "\
name: ask
nodes: [{id: agree, type: human, title: Ship it?, assignees: [olga]}]
";
const CLERK: &str = "{name: clerk, type: reasoning, tools: [pay_invoice]}";
const CLERKS: &str = "name: clerks\nnodes: [{id: clerk, agent: clerk, task: pay it}]\n";
const REPLIES: &str = "\
replies:
  - agent: clerk
    turns:
      - tool_calls: [{name: pay_invoice, arguments: {amount: 250}}]
      - content: 'it said: {{ last }}'
";

/// Who decided, and how, from the audit trail.
fn words(place: &TestFolder) -> Vec<(String, String)> {
    let trail = place.baton(&["audit", "list", "--json"]).expect_code(0).json();
    let rows = trail["rows"].as_array().expect("rows").iter().filter(|row| row["sent"] == false);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    rows.map(|row| (text(&row["user_id"]), text(&row["details"]["decision"]))).collect()
}

fn said(by: &str, decision: &str) -> (String, String) {
    (by.to_owned(), decision.to_owned())
}

fn place() -> TestFolder {
    TestFolder::with(&[
        ("baton.toml", SETTINGS),
        ("tools/tools.yaml", TOOLS),
        ("workflows/pay.yaml", PAY),
        ("workflows/quick.yaml", QUICK),
        ("workflows/ask.yaml", ASK),
        ("workflows/clerks.yaml", CLERKS),
        ("agents/clerk.yaml", CLERK),
        ("replies/clerk.yaml", REPLIES),
    ])
}

fn listed(place: &TestFolder) -> Vec<Value> {
    let listed = place.baton(&["approvals", "list", "--json"]).expect_code(0).json();
    listed.as_array().expect("a list").clone()
}

/// The only pending approval.
fn the_request(place: &TestFolder) -> String {
    let listed = listed(place);
    assert_eq!(listed.len(), 1, "{listed:?}");
    listed[0]["id"].as_str().expect("an id").to_owned()
}

#[test]
fn a_request_shows_exactly_what_would_be_done_and_needs_as_many_people_as_it_says() {
    let place = place();
    place.baton(&["run", "pay", "--id", "one", "--context", r#"{"user_id": "olga"}"#]).expect_code(3);
    let id = the_request(&place);
    let shown = place.baton(&["approvals", "show", &id, "--json"]).expect_code(0).json();
    assert_eq!((&shown["tool"], &shown["asked_by"]), (&json!("pay_invoice"), &json!("olga")));
    let details = &shown["details"];
    assert_eq!(details["arguments"], json!({"amount": 250, "currency": "EUR"}), "defaults are among them");
    assert_eq!((&details["need"], &details["from"]), (&json!(2), &json!(["olga", "paul", "rosa"])));
    assert_eq!(details["hash"].as_str().map(str::len), Some(64));

    let approve = |by: &str| place.baton(&["approvals", "approve", &id, "--as", by]);
    approve("olga").expect_code(1).expect_stderr("refused[RUN-015]").expect_stderr("asked for themselves");
    approve("zoe").expect_code(1).expect_stderr("refused[RUN-015]").expect_stderr("others are asked");
    approve("paul").expect_code(3).expect_stdout("(1 of 2 so far; asked are olga, paul, rosa)");
    approve("paul").expect_code(1).expect_stderr("refused[RUN-007]");
    let shown = place.baton(&["approvals", "show", "one", "--json"]).expect_code(0).json();
    assert_eq!(shown["approved_by"], json!(["paul"]));
    approve("rosa").expect_code(0).expect_stdout("R-250");
    assert_eq!(listed(&place), Vec::<Value>::new());
    approve("rosa").expect_code(2).expect_stderr("no request");
    assert_eq!(words(&place), [said("rosa", "approved"), said("paul", "approved")]);
}

#[test]
fn leave_asked_for_a_workflow_that_nobody_wrote_is_told() {
    let place = TestFolder::with(&[
        (
            "baton.toml",
            "tenant = 'clinic'\n[tools.workflows.asc]\napproval = true\n[tools.tenants.clinik]\napproval_from = 'low'\n",
        ),
        ("workflows/ask.yaml", ASK),
    ]);
    let told = |done: crate::test_folder::CommandOutput| {
        done.expect_stderr("[tools.workflows.asc]")
            .expect_stderr("did you mean `ask`?")
            .expect_stderr("[tools.tenants.clinik]")
            .expect_stderr("`clinic`")
    };
    told(place.baton(&["run", "ask"]).expect_code(3));
    let found = place.baton(&["validate"]).expect_code(0);
    found.expect_stdout("there is no workflow `asc` in workflows/").expect_stdout("did you mean `clinic`?");
}

#[test]
fn whoever_is_not_asked_can_neither_approve_nor_reject() {
    let place = place();
    place.baton(&["run", "ask", "--id", "one"]).expect_code(3);
    place.baton(&["approvals", "reject", "one", "--as", "zoe"]).expect_code(1).expect_stderr("refused[RUN-015]");
    place.baton(&["approvals", "reject", "one", "--as", "olga"]).expect_code(1).expect_stdout("`olga` rejected");
}

/// The command in a printed line, without the note beside it.
fn command_in(said: &str) -> String {
    let line = said.lines().rfind(|line| line.starts_with("baton ")).expect("a command");
    line.split("  #").next().expect("a command").to_owned()
}

#[test]
fn the_command_that_is_printed_works_as_it_stands() {
    let place = place();
    place.baton(&["run", "pay", "--id", "one", "--context", r#"{"user_id": "olga"}"#]).expect_code(3);
    let id = the_request(&place);
    let shown = || command_in(&place.baton(&["approvals", "show", &id]).expect_code(0).out);
    assert_eq!(shown(), format!("baton approvals approve {id} --as paul"), "olga asked for it herself");
    place.shell(&shown()).expect_code(3).expect_stdout("1 of 2 so far");
    assert_eq!(shown(), format!("baton approvals approve {id} --as rosa"));
    place.shell(&shown()).expect_code(0).expect_stdout("R-250");
    // The command that a waiting run prints works too.
    let waits = place.baton(&["run", "pay", "--id", "three"]).expect_code(3);
    let line = waits.out.lines().last().expect("what it waits for").split_once(": ").expect("a command").1;
    let line = line.split("  #").next().expect("a command");
    assert_eq!(line, "baton runs answer three pay#0.0 --approve --by olga");
    place.shell(line).expect_code(3).expect_stdout("--approve --by paul");
    let waits = place.baton(&["run", "ask", "--id", "four"]).expect_code(3);
    let line = waits.out.lines().last().expect("what it waits for").split_once(": ").expect("a command").1;
    let line = line.split("  #").next().expect("a command");
    assert_eq!(line, "baton runs answer four agree --approve --by olga");
    place.baton(&["runs", "show", "four"]).expect_code(0).expect_stdout("agree --approve --by olga");
    place.shell(line).expect_code(0).expect_stdout("approved");
    place.baton(&["run", "ask", "--id", "two"]).expect_code(3);
    place
        .shell(&command_in(&place.baton(&["desk", "show", "two"]).expect_code(0).out))
        .expect_code(0)
        .expect_stdout("approved");
}

#[test]
fn an_agent_gets_the_real_result_once_its_call_was_allowed() {
    let place = place();
    place.baton(&["run", "clerks", "--id", "one"]).expect_code(3);
    let id = the_request(&place);
    place.baton(&["approvals", "approve", &id, "--as", "paul"]).expect_code(3);
    place.baton(&["approvals", "approve", &id, "--as", "rosa"]).expect_code(0).expect_stdout("R-250");
}

#[test]
fn an_agent_is_told_why_its_call_was_not_allowed() {
    let place = place();
    place.baton(&["run", "clerks", "--id", "one"]).expect_code(3);
    let id = the_request(&place);
    let told = place.baton(&["approvals", "reject", &id, "--as", "rosa", "--reason", "over the limit"]).expect_code(0);
    told.expect_stdout("REJECTED").expect_stdout("over the limit");
}

#[test]
fn a_node_whose_call_was_not_allowed_fails_with_the_reason() {
    let place = place();
    place.baton(&["run", "pay", "--id", "one"]).expect_code(3);
    let id = the_request(&place);
    place
        .baton(&["approvals", "reject", &id, "--as", "rosa", "--reason", "too much"])
        .expect_code(1)
        .expect_stdout("too much");
}

#[test]
fn what_nobody_decides_in_time_is_rejected() {
    let place = place();
    place.baton(&["run", "quick", "--id", "one"]).expect_code(3);
    let deadline = listed(&place)[0]["deadline"].clone();
    assert!(deadline.as_str().is_some_and(|at| at.ends_with('Z')), "{deadline}");
    let is_over = || place.baton(&["runs", "work"]).expect_code(0).out.contains("failed");
    assert!((0..1_000).any(|_| is_over()), "the deadline passes");
    place.baton(&["runs", "show", "one"]).expect_code(0).expect_stdout("nobody decided in time");
    assert_eq!(words(&place), [said("deadline", "rejected")]);
}

#[test]
fn a_question_to_a_person_is_in_the_same_list_and_asks_whom_it_names() {
    let place = place();
    place.baton(&["run", "ask", "--id", "one"]).expect_code(3);
    place.baton(&["approvals", "list"]).expect_code(0).expect_stdout("Ship it?");
    let id = the_request(&place);
    place.baton(&["approvals", "approve", &id, "--as", "zoe"]).expect_code(1).expect_stderr("refused[RUN-015]");
    place.baton(&["approvals", "approve", &id, "--as", "olga"]).expect_code(0).expect_stdout("approved");
    assert_eq!(words(&place), [said("olga", "approved")]);
}

#[test]
fn looking_for_requests_makes_no_database() {
    let place = place();
    place.baton(&["approvals", "list"]).expect_code(0).expect_stdout("nothing waits");
    place.baton(&["approvals", "approve", "one"]).expect_code(2).expect_stderr("no request");
    assert!(!place.path().join(".baton").exists());
}
