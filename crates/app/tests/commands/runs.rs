//! Runs, from their start to the actions of people on them afterwards.

use serde_json::{Value, json};

use super::test_folder::{CommandOutput, TestFolder};

const ORDER: &str = "\
name: order
input: {item: string}
variables: {note: none}
nodes:
  - {id: reserve, tool: reserve_item, parameters: {item: '{{ item }}'}}
  - {id: agree, type: human, title: 'Ship a {{ item }}?'}
  - {id: ship, tool: ship_item, parameters: {note: '{{ note }}'}}
  - {id: stop, type: end, output: {shipped: false}}
edges:
  - {from: reserve, to: agree}
  - {from: agree, to: ship, when: approved}
  - {from: agree, to: stop, when: rejected}
";
const TOOLS: &str = "\
tools:
  - name: reserve_item
    kind: script
    class: keyed
    compensation: {tool_name: release_item, parameters: {id: '{{ output.id }}'}}
    results: [{output: {id: '{{ id }}', item: '{{ arguments.item }}'}}]
  - {name: release_item, kind: script, class: keyed, irreversible: reserve again, results: [{output: {released: true}}]}
  - {name: ship_item, kind: script, class: keyed, irreversible: shipped, results: [{output: {note: '{{ arguments.note }}'}}]}
  - {name: broken_item, kind: script, class: keyed, irreversible: broken, results: [{fault: {code: BROKEN, message: it broke}}]}
  - {name: doubtful, kind: script, class: once, irreversible: done, results: [{fault: {code: TIMEOUT, message: no answer, unknown: true}}]}
";

fn place() -> TestFolder {
    TestFolder::with(&[("workflows/order.yaml", ORDER), ("tools/tools.yaml", TOOLS)])
}

/// A run of `order` that waits for a person.
fn waiting() -> TestFolder {
    let place = place();
    place.baton(&["run", "order", "--id", "one", "--set", "item=hat"]).expect_code(3);
    place
}

fn show(place: &TestFolder, run: &str) -> Value {
    place.baton(&["runs", "show", run, "--json"]).expect_code(0).json()
}

/// The command that a run prints to continue it.
fn way_on(done: &CommandOutput) -> String {
    let line = done.out.lines().find_map(|line| line.split_once(": baton ")).expect("a way on");
    format!("baton {}", line.1)
}

#[test]
fn a_run_that_waits_names_the_command_that_goes_on() {
    let place = place();
    let done = place
        .baton(&["run", "order", "--id", "one", "--set", "item=hat"])
        .expect_code(3)
        .expect_stdout("asks a person: Ship a hat?");
    let shown = place.baton(&["runs", "show", "one"]).expect_code(0);
    assert_eq!(way_on(&done), way_on(&shown));
    let shown = shown
        .expect_stdout("waiting")
        .expect_stdout("approval       Ship a hat?")
        .expect_stdout("reserve_item: release_item");
    place.shell(&way_on(&shown)).expect_code(0).expect_stdout("completed");
    let head = show(&place, "one");
    assert_eq!((&head["status"], &head["outputs"]["agree"]["by"]), (&json!("completed"), &json!(["ana"])));
}

#[test]
fn a_refused_answer_says_its_code_and_ends_with_1() {
    let place = waiting();
    place
        .baton(&["runs", "answer", "one", "agre", "--approve"])
        .expect_code(1)
        .expect_stderr("refused[RUN-005]: nothing waits at `agre`\n  hint: see what is open: baton runs show one\n");
    place.baton(&["runs", "answer", "one", "agree", "--form", "{}"]).expect_code(1).expect_stderr("refused[RUN-008]");
    place.baton(&["runs", "answer", "one", "agree", "--reject"]).expect_code(0).expect_stdout("\"shipped\": false");
    place.baton(&["runs", "answer", "one", "agree", "--approve"]).expect_code(1).expect_stderr("refused[RUN-003]");
    let refused = place.baton(&["runs", "pause", "one", "--json"]).expect_code(1).json();
    assert_eq!(refused["refused"]["code"], "RUN-003");
    assert!(refused["refused"]["hint"].as_str().is_some_and(|hint| hint.contains("fork one")), "{refused}");
    place.baton(&["runs", "answer", "one", "agree"]).expect_code(2).expect_stderr("--approve");
}

#[test]
fn a_paused_run_takes_answers_and_goes_on_when_resumed() {
    let place = waiting();
    place.baton(&["runs", "pause", "one"]).expect_code(0).expect_stdout("paused");
    place.baton(&["runs", "resume", "one"]).expect_code(3).expect_stdout("waiting");
    place.baton(&["runs", "pause", "one"]).expect_code(0);
    place.baton(&["runs", "answer", "one", "agree", "--approve"]).expect_code(3).expect_stdout("paused");
    place.baton(&["runs", "resume", "one"]).expect_code(0).expect_stdout("completed");
}

#[test]
fn a_cancelled_run_undoes_what_it_did_where_asked() {
    let place = waiting();
    place.baton(&["run", "order", "--id", "two", "--set", "item=hat"]).expect_code(3);
    place.baton(&["runs", "cancel", "one", "--compensate"]).expect_code(0).expect_stdout("undoing with release_item");
    place.baton(&["runs", "cancel", "two"]).expect_code(0).expect_stdout("cancelled");
    assert!(!place.baton(&["runs", "timeline", "two"]).expect_code(0).out.contains("release_item"));
    place.baton(&["runs", "timeline", "one"]).expect_code(0).expect_stdout("release_item");
}

#[test]
fn a_finished_run_is_rolled_back_once() {
    let place = waiting();
    place.baton(&["runs", "answer", "one", "agree", "--approve"]).expect_code(0);
    let planned =
        place.baton(&["runs", "show", "one"]).expect_code(0).expect_stdout("if rolled back now, newest first");
    planned.expect_stdout("ship                     ship_item: cannot be undone: shipped");
    let undone = place.baton(&["runs", "rollback", "one"]).expect_code(0).expect_stdout("compensated");
    undone.expect_stdout("  ship                       stays: shipped\n");
    let shown = place.baton(&["runs", "show", "one"]).expect_code(0).expect_stdout("rolled back, newest first");
    let shown = shown.expect_stdout("ship_item irreversible: shipped").expect_stdout("reserve_item undone\n");
    assert!(!shown.out.contains("if rolled back now"), "{}", shown.out);
    place.baton(&["runs", "timeline", "one"]).expect_code(0).expect_stdout("↶");
    place.baton(&["runs", "rollback", "one"]).expect_code(1).expect_stderr("RUN-004");
}

#[test]
fn a_run_that_another_process_moves_is_not_rolled_back_and_that_is_said() {
    let place = place();
    let slow = "{name: slow, kind: script, class: read, latency_ms: 20000, results: [{output: {}}]}";
    place.write("tools/slow.yaml", slow);
    place.write("workflows/slow.yaml", "name: slow\nnodes: [{id: slow, tool: slow}]\n");
    let mut mover = place.spawn(&["run", "slow", "--id", "one"]);
    let is_out = || {
        let listed = place.baton(&["runs", "list", "--json"]);
        listed.code == Some(0) && listed.out.contains("\"running\"")
    };
    assert!((0..500).any(|_| is_out()), "the run begins");
    place
        .baton(&["runs", "rollback", "one"])
        .expect_code(1)
        .expect_stderr("refused[RUN-004]")
        .expect_stderr("cancel one --compensate");
    mover.kill().expect("is killed");
    mover.wait().expect("ends");
}

#[test]
fn a_signal_goes_to_the_wait_of_its_name() {
    let wait = "name: parcel\nnodes:\n  - {id: arrival, type: wait, signal: arrived}\n";
    let place = TestFolder::with(&[("workflows/parcel.yaml", wait)]);
    let waits = "waits for a signal at `arrival`: baton runs signal one arrived --payload JSON\n";
    place.baton(&["run", "parcel", "--id", "one"]).expect_code(3).expect_stdout(waits);
    place.baton(&["runs", "signal", "one", "other"]).expect_code(3);
    place
        .baton(&["runs", "signal", "one", "arrived", "--payload", r#"{"at": "door"}"#])
        .expect_code(0)
        .expect_stdout("door");
    place.baton(&["runs", "signal", "one"]).expect_code(2);
}

#[test]
fn a_retry_takes_the_corrected_file_and_goes_on_from_the_failure() {
    let place = place();
    let broken = ORDER
        .replace("tool: ship_item", "tool: broken_item")
        .replace("parameters: {note: '{{ note }}'}", "on_error: fail");
    place.write("workflows/order.yaml", &broken);
    place.baton(&["run", "order", "--id", "one", "--set", "item=hat"]).expect_code(3);
    place.baton(&["runs", "answer", "one", "agree", "--approve"]).expect_code(1).expect_stdout("BROKEN");
    place.baton(&["runs", "retry", "one", "--same-version"]).expect_code(1).expect_stdout("BROKEN");
    place.write("workflows/order.yaml", ORDER);
    place.baton(&["runs", "retry", "one"]).expect_code(0).expect_stdout("completed");
    let timeline = place.baton(&["runs", "timeline", "one", "--json"]).expect_code(0).json();
    let tools: Vec<&str> =
        timeline.as_array().expect("rows").iter().filter_map(|row| row["tool_name"].as_str()).collect();
    assert_eq!(tools, ["reserve_item", "broken_item", "broken_item", "ship_item"]);
    assert!(show(&place, "one")["version"].as_str().is_some_and(|version| version.contains("revision 2")));
}

#[test]
fn a_fork_begins_at_a_node_with_other_variables() {
    let place = waiting();
    place.baton(&["runs", "answer", "one", "agree", "--approve"]).expect_code(0);
    let forked =
        place.baton(&["runs", "fork", "one", "--at", "ship", "--id", "two", "--set", "note=fragile"]).expect_code(0);
    forked.expect_stdout("run two, forked from one at `ship`");
    assert_eq!(show(&place, "two")["outputs"]["ship"]["note"], "fragile");
    assert_eq!(show(&place, "one")["outputs"]["ship"]["note"], "none");
    let misspelt = ["runs", "fork", "one", "--at", "ship", "--set", "noet=fragile"];
    place.baton(&misspelt).expect_code(2).expect_stderr("has no variable `noet`").expect_stderr("did you mean `note`?");
    place.baton(&["runs", "fork", "one", "--at", "shipp"]).expect_code(2).expect_stderr("did you mean `ship`?");
    place.baton(&["runs", "fork", "one", "--at", "stop"]).expect_code(2).expect_stderr("`stop` was never begun");
    place
        .baton(&["runs", "fork", "one", "--at", "ship", "--id", "two"])
        .expect_code(2)
        .expect_stderr("choose another --id");
}

#[test]
fn who_undoes_what_a_fork_inherited_is_said() {
    let place = waiting();
    for (id, more) in [("heir", None), ("owner", Some("--owns-undo"))] {
        let mut arguments = vec!["runs", "fork", "one", "--at", "agree", "--id", id];
        arguments.extend(more);
        place.baton(&arguments).expect_code(3);
        place.baton(&["runs", "cancel", id, "--compensate"]).expect_code(0);
    }
    assert!(!place.baton(&["runs", "timeline", "heir"]).expect_code(0).out.contains("release_item"));
    place.baton(&["runs", "timeline", "owner"]).expect_code(0).expect_stdout("release_item");
}

#[test]
fn what_was_left_in_an_inbox_is_moved_by_work() {
    let place = place();
    let detached =
        place.baton(&["run", "order", "--set", "item=hat", "--detach"]).expect_code(3).expect_stderr("baton runs work");
    let id = detached.out.trim();
    let worked =
        place.baton(&["runs", "work"]).expect_code(0).expect_stdout(&format!("run {id}")).expect_stdout("✓ reserve");
    worked.expect_stdout(&format!("  {id}: waiting after ")).expect_stdout("1 run moved");
    place.baton(&["runs", "answer", id, "agree", "--approve", "--detach"]).expect_code(3).expect_stdout("accepted");
    assert_eq!(show(&place, id)["state"], "waiting");
    let worked = place.baton(&["runs", "work", "--json"]).expect_code(0).json();
    assert_eq!(worked["moved"], json!([{"execution_id": id, "state": "completed"}]));
    place.baton(&["runs", "work"]).expect_code(0).expect_stdout("nothing to do");
}

#[test]
fn what_another_process_moves_is_acted_on_through_its_inbox() {
    let slow =
        "name: slow_tool\nkind: script\nclass: keyed\nirreversible: done\nlatency_ms: 2000\nresults: [{output: {}}]\n";
    let workflow =
        "name: slow\nnodes: [{id: one, tool: slow_tool}, {id: two, tool: slow_tool}]\nedges: [{from: one, to: two}]\n";
    let place = TestFolder::with(&[("workflows/slow.yaml", workflow), ("tools/slow.yaml", slow)]);
    let moving = place.spawn(&["run", "slow", "--id", "one"]);
    let is_moving = || place.baton(&["runs", "list", "--state", "running"]).out.contains("one");
    assert!((0..1_000).any(|_| is_moving()), "the run did not begin");
    place.baton(&["runs", "cancel", "one"]).expect_code(0).expect_stdout("cancelled");
    let moved = CommandOutput::wait_for(moving).expect_code(1).expect_stdout("✓ one").expect_stdout("cancelled");
    assert!(!moved.out.contains("two"), "{}", moved.out);
}

#[test]
fn a_person_says_what_became_of_a_call_in_doubt() {
    let doubt = "name: doubt\nnodes:\n  - {id: act, tool: doubtful, retry: {max_attempts: 1}}\n";
    let place = TestFolder::with(&[("workflows/doubt.yaml", doubt), ("tools/tools.yaml", TOOLS)]);
    for id in ["one", "two"] {
        place.baton(&["run", "doubt", "--id", id]).expect_code(3).expect_stdout("nobody knows whether `act#0.0` acted");
    }
    place.baton(&["runs", "resolve", "one", "act", "--not-done"]).expect_code(2).expect_stderr("names no call");
    place.baton(&["runs", "resolve", "one", "act#0.0"]).expect_code(2).expect_stderr("--not-done");
    place.baton(&["runs", "resolve", "one", "act#3.0", "--not-done"]).expect_code(1).expect_stderr("refused[RUN-009]");
    place
        .baton(&["runs", "resolve", "one", "act#0.0", "--done", r#"{"id": 7}"#])
        .expect_code(0)
        .expect_stdout("\"id\": 7");
    place.baton(&["runs", "resolve", "two", "act#0.0", "--not-done"]).expect_code(1).expect_stdout("failed");
}

#[test]
fn a_run_that_waits_for_another_is_moved_on_by_the_others_answer() {
    let place = place();
    place.write(
        "workflows/outer.yaml",
        "name: outer\nnodes:\n  - {id: inner, type: subworkflow, workflow: order, input: {item: hat}}\n",
    );
    let done = place.baton(&["run", "outer", "--id", "one"]).expect_code(3);
    assert!(way_on(&done).starts_with("baton runs answer one/"), "{}", done.out);
    let moved = place.shell(&way_on(&done)).expect_code(0).expect_stdout("one › inner");
    assert!(!moved.out.contains("reserve"), "what was told before is told again:\n{}", moved.out);
    assert_eq!(show(&place, "one")["state"], "completed");
}

#[test]
fn a_node_in_a_body_is_told_with_its_output() {
    let each = "name: each\nnodes:\n  - id: each\n    for_each: '{{ items }}'\n    body:\n      nodes: [{id: add, tool: calculator, parameters: {expression: '{{ item }} + 1'}}]\n";
    let place = TestFolder::with(&[("workflows/each.yaml", each)]);
    let told = place.baton(&["run", "each", "--set", "items=[1,2]"]).expect_code(0);
    told.expect_stdout("✓ each[0]/add              {\"result\":2}")
        .expect_stdout("✓ each[1]/add              {\"result\":3}");
}

#[test]
fn lists_summaries_and_journals_are_there_for_people_and_programs() {
    let place = waiting();
    place.baton(&["run", "order", "--id", "two", "--set", "item=hat"]).expect_code(3);
    place.baton(&["runs", "answer", "two", "agree", "--approve"]).expect_code(0);
    let list = place.baton(&["runs", "list", "--json"]).expect_code(0).json();
    let rows = list.as_array().expect("rows");
    let runs: Vec<&str> = rows.iter().filter_map(|row| row["execution_id"].as_str()).collect();
    assert_eq!(runs, ["two", "one"]);
    assert_eq!((&list[0]["workflow_id"], &list[0]["total_cost_usd"]), (&json!("order"), &json!(0.0)));
    assert!(list[0]["completed_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{list}");
    place.baton(&["runs", "list", "--state", "waiting"]).expect_code(0).expect_stdout("one");
    place.baton(&["runs", "list", "--workflow", "nothing"]).expect_code(0).expect_stdout("no runs");
    let page = place.baton(&["runs", "list", "--limit", "1", "--before", "two", "--json"]).expect_code(0).json();
    assert_eq!(page[0]["execution_id"], "one");
    place.baton(&["runs", "list", "--limit", "0"]).expect_code(2).expect_stderr("0 is not in 1..=100000");
    let summary = place.baton(&["runs", "summary", "two", "--json"]).expect_code(0).json();
    assert_eq!((&summary["total_steps"], &summary["successful"]), (&json!(2), &json!(2)));
    let journal = place.baton(&["runs", "journal", "two", "--json"]).expect_code(0).out;
    let entries: Vec<Value> = journal.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(entries[0]["seq"], 1);
    assert!(entries[0]["events"][0].get("started").is_some());
    place.baton(&["runs", "journal", "two"]).expect_code(0).expect_stdout("finished");
}

#[test]
fn the_beginning_of_an_id_stands_for_a_run_where_it_is_of_one_alone() {
    let place = waiting();
    let begin = |id: &str| place.baton(&["run", "order", "--id", id, "--set", "item=hat"]).expect_code(3);
    begin("01a20561-aaaa");
    begin("01a20561-abbb");
    place.baton(&["runs", "show", "01a20561-aa"]).expect_code(0).expect_stdout("run 01a20561-aaaa of order");
    place.baton(&["runs", "timeline", "01a20561-ab"]).expect_code(0);
    let several = place
        .baton(&["runs", "cancel", "01a205"])
        .expect_code(2)
        .expect_stderr("`01a205` is the beginning of several runs");
    several.expect_stderr("`01a20561-aaaa` (order), `01a20561-abbb` (order)");
    place.baton(&["runs", "cancel", "01a20561-ab"]).expect_code(0).expect_stdout("cancelled");
    // Too short for a prefix.
    place.baton(&["runs", "show", "01a20"]).expect_code(2).expect_stderr("did you mean");
}

#[test]
fn a_run_that_is_not_there_gets_a_suggestion() {
    let place = waiting();
    place.baton(&["runs", "show", "on"]).expect_code(2).expect_stderr("did you mean `one`?");
    place.baton(&["runs", "cancel", "xyzzy-42"]).expect_code(2).expect_stderr("baton runs list");
    place.baton(&["run", "ordr"]).expect_code(2).expect_stderr("did you mean `order`?");
    let again = ["run", "order", "--id", "one", "--set", "item=hat"];
    place.baton(&again).expect_code(2).expect_stderr("choose another --id").expect_stderr("baton runs show one");
}

#[test]
fn a_detached_run_says_its_id_to_programs_too() {
    let accepted =
        place().baton(&["run", "order", "--id", "one", "-s", "item=hat", "--detach", "--json"]).expect_code(3).json();
    assert_eq!(accepted, json!({"execution_id": "one", "accepted": true}));
}

#[test]
fn a_run_whose_input_does_not_fit_is_refused_and_nothing_is_kept() {
    let place = place();
    let refused = place.baton(&["run", "order", "--id", "one", "--set", "itm=hat"]).expect_code(2);
    let refused =
        refused.expect_stderr("error[INPUT_INVALID]: the input does not fit: `item` is missing; there is `itm`");
    refused.expect_stderr("note: `order` declares no input `itm`; did you mean `item`?");
    place
        .baton(&["run", "order", "--input", r#"{"item": 7}"#])
        .expect_code(2)
        .expect_stderr("`item` must be a string, found a number");
    place
        .baton(&["run", "order", "--input", "[1]", "--detach"])
        .expect_code(2)
        .expect_stderr("must be an object, found an array");
    place.baton(&["runs", "list"]).expect_code(0).expect_stdout("no runs");
}

#[test]
fn a_value_of_a_key_that_is_declared_as_text_stays_text() {
    let place = place();
    place.baton(&["run", "order", "--id", "one", "--set", "item=4242"]).expect_code(3);
    assert_eq!(show(&place, "one")["outputs"]["reserve"]["item"], "4242");
}

#[test]
fn an_input_may_come_from_standard_input() {
    let place = place();
    place.shell(r#"echo '{"item": "hat"}' | baton run order --id one --input @-"#).expect_code(3);
    assert_eq!(show(&place, "one")["outputs"]["reserve"]["item"], "hat");
    place
        .shell("printf '{\"item\": \"\\377\"}' | baton run order --input @-")
        .expect_code(2)
        .expect_stderr("standard input:1:11");
}

#[test]
fn a_subworkflow_that_gets_what_it_does_not_declare_fails_before_its_first_node() {
    let place = place();
    let outer = "name: outer\nnodes:\n  - {id: inner, type: subworkflow, workflow: order, input: {item: 7}}\n";
    place.write("workflows/outer.yaml", outer);
    let failed = place.baton(&["run", "outer", "--id", "one"]).expect_code(1).expect_stdout("CHILD_FAILED");
    failed.expect_stdout("INPUT_INVALID: the input does not fit: `item` must be a string, found a number");
    assert_eq!(show(&place, "one/inner")["outputs"], json!({}));
}

#[test]
fn what_is_wrong_elsewhere_is_no_reason_to_refuse_a_run() {
    let place = waiting();
    place.write("workflows/draft.yaml", "name: draft\nnodes:\n  - {id: a, tool: nothing}\n");
    place.write("workflows/broken.yaml", "nodes: [\n");
    let done = place.baton(&["run", "order", "--set", "item=hat"]).expect_code(3);
    done.expect_stderr("note: 2 workflows cannot run; `baton validate` says why");
    let refused = place
        .baton(&["run", "draft"])
        .expect_code(2)
        .expect_stderr("`draft` cannot run")
        .expect_stderr("draft[DEF-032]");
    assert!(!refused.err.contains("broken.yaml"), "{}", refused.err);
    place.baton(&["run", "broken"]).expect_code(2).expect_stderr("error[DEF-002]");
    place.write(
        "tests/order.yaml",
        "tests: [{name: a, workflow: order, input: {item: hat}, expect: {state: waiting}}]\n",
    );
    place.baton(&["test"]).expect_code(0);
}

#[test]
fn a_broken_file_is_mended_before_its_run_is_retried() {
    let place = place();
    place.write(
        "workflows/order.yaml",
        ORDER.replace("tool: ship_item, parameters: {note: '{{ note }}'}", "tool: broken_item, on_error: fail"),
    );
    place.baton(&["run", "order", "--id", "one", "--set", "item=hat"]).expect_code(3);
    place.baton(&["runs", "answer", "one", "agree", "--approve"]).expect_code(1);
    place.write("workflows/order.yaml", ORDER.replace("ship_item", "shp_item"));
    place
        .baton(&["runs", "retry", "one"])
        .expect_code(2)
        .expect_stderr("`order` cannot run")
        .expect_stderr("did you mean `ship_item`?");
    place.write("workflows/order.yaml", ORDER);
    place.baton(&["runs", "retry", "one"]).expect_code(0).expect_stdout("completed");
}

#[test]
fn a_workflow_is_found_by_its_file_from_wherever_it_is_named() {
    let place = TestFolder::with(&[("p/workflows/by_file.yaml", ORDER), ("p/tools/tools.yaml", TOOLS)]);
    let whole = place.path().join("p/workflows/by_file.yaml");
    let whole = whole.to_str().expect("a path");
    for (id, line) in [
        ("one", "cd p && baton run workflows/by_file.yaml --id one"),
        ("two", "cd p && baton run ./workflows/by_file.yaml --id two"),
        ("three", "baton run p/workflows/by_file.yaml --id three"),
        ("four", "baton -C p run workflows/by_file.yaml --id four"),
        ("five", &format!("baton run {whole} --id five")),
    ] {
        place.shell(&format!("{line} --set item=hat")).expect_code(3);
        place.baton(&["-C", "p", "runs", "show", id]).expect_code(0);
    }
    place.write("alone.yaml", ORDER);
    place
        .baton(&["-C", "p", "run", "alone.yaml"])
        .expect_code(2)
        .expect_stderr("a workflow's file lies in the folder workflows/");
}

#[test]
fn the_command_to_go_on_with_names_the_project_where_that_was_named() {
    let place = TestFolder::with(&[("my p/workflows/order.yaml", ORDER), ("my p/tools/tools.yaml", TOOLS)]);
    let done = place.baton(&["-C", "my p", "run", "order", "--id", "one", "--set", "item=hat"]).expect_code(3);
    let done = done.expect_stdout("baton -C 'my p' runs answer one agree --approve  # or --reject\n");
    place.shell(&way_on(&done)).expect_code(0).expect_stdout("completed");
}

#[test]
fn a_form_is_asked_for_as_one() {
    let form = "name: where\nnodes:\n  - {id: address, type: human, title: Where to?, form: {type: object}}\n";
    let place = TestFolder::with(&[("workflows/where.yaml", form)]);
    let done = place.baton(&["run", "where", "--id", "one"]).expect_code(3);
    done.expect_stdout("waits for a person at `address`: baton runs answer one address --form JSON\n");
    assert_eq!(show(&place, "one")["waits_for"][0]["kind"], "form");
    place.baton(&["runs", "answer", "one", "address", "--form", "{}"]).expect_code(0);
}

#[test]
fn a_run_stopped_by_hand_says_that_nothing_is_lost() {
    let slow =
        "name: slow_tool\nkind: script\nclass: keyed\nirreversible: done\nlatency_ms: 60000\nresults: [{output: {}}]\n";
    let place = TestFolder::with(&[
        ("workflows/slow.yaml", "name: slow\nnodes: [{id: one, tool: slow_tool, timeout: 2m}]\n"),
        ("tools/slow.yaml", slow),
    ]);
    let moving = place.spawn(&["run", "slow", "--id", "one"]);
    let is_moving = || place.baton(&["runs", "list", "--state", "running"]).out.contains("one");
    assert!((0..1_000).any(|_| is_moving()), "the run did not begin");
    place.shell(&format!("kill -INT {}", moving.id())).expect_code(0);
    CommandOutput::wait_for(moving)
        .expect_code(130)
        .expect_stderr("stopped; nothing is lost: `baton runs work` goes on");
}

#[test]
fn a_list_stands_in_columns_under_their_names() {
    let place = waiting();
    place.baton(&["run", "order", "--id", "a-longer-id", "--set", "item=hat"]).expect_code(3);
    let list = place.baton(&["runs", "list"]).expect_code(0).out;
    let lines: Vec<&str> = list.lines().collect();
    let at = lines[0].find("STATE").expect("a title");
    assert!(lines[0].starts_with("RUN ") && lines.len() == 3, "{list}");
    assert!(lines[1..].iter().all(|line| line[at..].starts_with("waiting ")), "{list}");
}

/// A process that is suspended reads what it missed once it resumes.
#[test]
fn a_run_that_another_process_ended_is_reported_by_the_one_that_began_it() {
    let place = TestFolder::with(&[(
        "workflows/nap.yaml",
        "name: nap\nnodes:\n  - {id: nap, type: wait, duration: 4s}\n  - {id: done, type: end, output: {rested: true}}\nedges: [{from: nap, to: done}]\n",
    )]);
    let run = place.spawn(&["run", "nap", "--id", "one", "--json"]);
    let is_parked = || {
        let listed = place.baton(&["runs", "list", "--json"]);
        listed.out.contains("\"waiting\"")
    };
    while !is_parked() {
        std::thread::yield_now();
    }
    let signal = |word: &str| {
        let id = run.id().to_string();
        assert!(std::process::Command::new("kill").args([word, &id]).status().expect("kill is there").success());
    };
    signal("-STOP");
    place.baton(&["runs", "work"]).expect_code(0);
    assert_eq!(show(&place, "one")["state"], "completed");
    signal("-CONT");
    let done = CommandOutput::wait_for(run).expect_code(0);
    assert_eq!(done.json()["output"], json!({"rested": true}));
}

#[test]
fn a_run_that_is_cancelled_in_doubt_says_that_it_ends_and_sends_nothing_again() {
    let doubts = "name: doubts\nnodes: [{id: send, tool: doubtful}]\n";
    let place = TestFolder::with(&[("workflows/doubts.yaml", doubts), ("tools/tools.yaml", TOOLS)]);
    place.baton(&["run", "doubts", "--id", "one"]).expect_code(3).expect_stdout("or --repeat");
    let cancelled = place
        .baton(&["runs", "cancel", "one"])
        .expect_code(3)
        .expect_stdout("and the run is ending")
        .expect_stdout("waiting to end");
    assert!(!cancelled.out.contains("--repeat"), "{}", cancelled.out);
    place.baton(&["runs", "resolve", "one", "send#0.0", "--repeat"]).expect_code(1).expect_stderr("sends nothing more");
    place.baton(&["runs", "resolve", "one", "send#0.0", "--not-done"]).expect_code(1).expect_stdout("cancelled");
}
