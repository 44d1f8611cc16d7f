//! Runs, from their start to what people do with them afterwards.

use serde_json::{Value, json};

use super::place::{Done, Place};

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

fn place() -> Place {
    Place::with(&[("workflows/order.yaml", ORDER), ("tools/tools.yaml", TOOLS)])
}

/// A run of `order` that waits for a person.
fn waiting() -> Place {
    let place = place();
    place.baton(&["run", "order", "--id", "one", "--set", "item=hat"]).ends(3);
    place
}

fn show(place: &Place, run: &str) -> Value {
    place.baton(&["runs", "show", run, "--json"]).ends(0).json()
}

/// The command that a run says it can go on with.
fn way_on(done: &Done) -> String {
    let line = done.out.lines().find_map(|line| line.split_once(": baton ")).expect("a way on");
    format!("baton {}", line.1)
}

#[test]
fn a_run_that_waits_names_the_command_that_goes_on() {
    let place = place();
    let done =
        place.baton(&["run", "order", "--id", "one", "--set", "item=hat"]).ends(3).says("asks a person: Ship a hat?");
    let shown = place.baton(&["runs", "show", "one"]).ends(0);
    assert_eq!(way_on(&done), way_on(&shown));
    let shown = shown.says("waiting").says("approval       Ship a hat?").says("reserve_item: release_item");
    place.shell(&way_on(&shown)).ends(0).says("completed");
    let head = show(&place, "one");
    assert_eq!((&head["status"], &head["outputs"]["agree"]["by"]), (&json!("completed"), &json!(["ana"])));
}

#[test]
fn a_refused_answer_says_its_code_and_ends_with_1() {
    let place = waiting();
    place
        .baton(&["runs", "answer", "one", "agre", "--approve"])
        .ends(1)
        .warns("refused[RUN-005]: nothing waits at `agre`");
    place.baton(&["runs", "answer", "one", "agree", "--form", "{}"]).ends(1).warns("refused[RUN-008]");
    place.baton(&["runs", "answer", "one", "agree", "--reject"]).ends(0).says("\"shipped\": false");
    place.baton(&["runs", "answer", "one", "agree", "--approve"]).ends(1).warns("refused[RUN-003]");
    let refused = place.baton(&["runs", "pause", "one", "--json"]).ends(1).json();
    assert_eq!(refused["refused"]["code"], "RUN-003");
    place.baton(&["runs", "answer", "one", "agree"]).ends(2).warns("--approve");
}

#[test]
fn a_paused_run_takes_answers_and_goes_on_when_resumed() {
    let place = waiting();
    place.baton(&["runs", "pause", "one"]).ends(0).says("paused");
    place.baton(&["runs", "resume", "one"]).ends(3).says("waiting");
    place.baton(&["runs", "pause", "one"]).ends(0);
    place.baton(&["runs", "answer", "one", "agree", "--approve"]).ends(3).says("paused");
    place.baton(&["runs", "resume", "one"]).ends(0).says("completed");
}

#[test]
fn a_cancelled_run_undoes_what_it_did_where_asked() {
    let place = waiting();
    place.baton(&["run", "order", "--id", "two", "--set", "item=hat"]).ends(3);
    place.baton(&["runs", "cancel", "one", "--compensate"]).ends(0).says("undoing with release_item");
    place.baton(&["runs", "cancel", "two"]).ends(0).says("cancelled");
    assert!(!place.baton(&["runs", "timeline", "two"]).ends(0).out.contains("release_item"));
    place.baton(&["runs", "timeline", "one"]).ends(0).says("release_item");
}

#[test]
fn a_finished_run_is_rolled_back_once() {
    let place = waiting();
    place.baton(&["runs", "answer", "one", "agree", "--approve"]).ends(0);
    place.baton(&["runs", "rollback", "one"]).ends(0).says("compensated");
    place.baton(&["runs", "rollback", "one"]).ends(1).warns("RUN-004");
}

#[test]
fn a_signal_goes_to_the_wait_of_its_name() {
    let wait = "name: parcel\nnodes:\n  - {id: arrival, type: wait, signal: arrived}\n";
    let place = Place::with(&[("workflows/parcel.yaml", wait)]);
    place.baton(&["run", "parcel", "--id", "one"]).ends(3);
    place.baton(&["runs", "signal", "one", "other"]).ends(3);
    place.baton(&["runs", "signal", "one", "arrived", "--payload", r#"{"at": "door"}"#]).ends(0).says("door");
    place.baton(&["runs", "signal", "one"]).ends(2);
}

#[test]
fn a_retry_takes_the_corrected_file_and_goes_on_from_the_failure() {
    let place = place();
    let broken = ORDER
        .replace("tool: ship_item", "tool: broken_item")
        .replace("parameters: {note: '{{ note }}'}", "on_error: fail");
    place.write("workflows/order.yaml", &broken);
    place.baton(&["run", "order", "--id", "one", "--set", "item=hat"]).ends(3);
    place.baton(&["runs", "answer", "one", "agree", "--approve"]).ends(1).says("BROKEN");
    place.baton(&["runs", "retry", "one", "--same-version"]).ends(1).says("BROKEN");
    place.write("workflows/order.yaml", ORDER);
    place.baton(&["runs", "retry", "one"]).ends(0).says("completed");
    let timeline = place.baton(&["runs", "timeline", "one", "--json"]).ends(0).json();
    let tools: Vec<&str> =
        timeline.as_array().expect("rows").iter().filter_map(|row| row["tool_name"].as_str()).collect();
    assert_eq!(tools, ["reserve_item", "broken_item", "broken_item", "ship_item"]);
    assert!(show(&place, "one")["version"].as_str().is_some_and(|version| version.contains("revision 2")));
}

#[test]
fn a_fork_begins_at_a_node_with_other_variables() {
    let place = waiting();
    place.baton(&["runs", "answer", "one", "agree", "--approve"]).ends(0);
    let forked = place.baton(&["runs", "fork", "one", "--at", "ship", "--id", "two", "--set", "note=fragile"]).ends(0);
    forked.says("run two, forked from one at `ship`");
    assert_eq!(show(&place, "two")["outputs"]["ship"]["note"], "fragile");
    assert_eq!(show(&place, "one")["outputs"]["ship"]["note"], "none");
    place.baton(&["runs", "fork", "one", "--at", "shipp"]).ends(2).warns("did you mean `ship`?");
    place.baton(&["runs", "fork", "one", "--at", "stop"]).ends(2).warns("`stop` was never begun");
    place.baton(&["runs", "fork", "one", "--at", "ship", "--id", "two"]).ends(2).warns("choose another --id");
}

#[test]
fn who_undoes_what_a_fork_inherited_is_said() {
    let place = waiting();
    for (id, more) in [("heir", None), ("owner", Some("--owns-undo"))] {
        let mut arguments = vec!["runs", "fork", "one", "--at", "agree", "--id", id];
        arguments.extend(more);
        place.baton(&arguments).ends(3);
        place.baton(&["runs", "cancel", id, "--compensate"]).ends(0);
    }
    assert!(!place.baton(&["runs", "timeline", "heir"]).ends(0).out.contains("release_item"));
    place.baton(&["runs", "timeline", "owner"]).ends(0).says("release_item");
}

#[test]
fn what_was_left_in_an_inbox_is_moved_by_work() {
    let place = place();
    let id = place.baton(&["run", "order", "--set", "item=hat", "--detach"]).ends(3).out;
    let id = id.trim();
    place.baton(&["runs", "work"]).ends(0).says(&format!("run {id}")).says("✓ reserve").says("1 run moved");
    place.baton(&["runs", "answer", id, "agree", "--approve", "--detach"]).ends(3).says("accepted");
    assert_eq!(show(&place, id)["state"], "waiting");
    let worked = place.baton(&["runs", "work", "--json"]).ends(0).json();
    assert_eq!(worked["moved"], json!([{"execution_id": id, "state": "completed"}]));
    place.baton(&["runs", "work"]).ends(0).says("nothing to do");
}

#[test]
fn what_another_process_moves_is_acted_on_through_its_inbox() {
    let slow =
        "name: slow_tool\nkind: script\nclass: keyed\nirreversible: done\nlatency_ms: 2000\nresults: [{output: {}}]\n";
    let workflow =
        "name: slow\nnodes: [{id: one, tool: slow_tool}, {id: two, tool: slow_tool}]\nedges: [{from: one, to: two}]\n";
    let place = Place::with(&[("workflows/slow.yaml", workflow), ("tools/slow.yaml", slow)]);
    let moving = place.begin(&["run", "slow", "--id", "one"]);
    let is_moving = || place.baton(&["runs", "list", "--state", "running"]).out.contains("one");
    assert!((0..1_000).any(|_| is_moving()), "the run did not begin");
    place.baton(&["runs", "cancel", "one"]).ends(3).says("accepted");
    let moved = Done::after(moving).ends(1).says("✓ one").says("cancelled");
    assert!(!moved.out.contains("two"), "{}", moved.out);
}

#[test]
fn a_person_says_what_became_of_a_call_in_doubt() {
    let doubt = "name: doubt\nnodes:\n  - {id: act, tool: doubtful, retry: {max_attempts: 1}}\n";
    let place = Place::with(&[("workflows/doubt.yaml", doubt), ("tools/tools.yaml", TOOLS)]);
    for id in ["one", "two"] {
        place.baton(&["run", "doubt", "--id", id]).ends(3).says("nobody knows whether `act#0.0` acted");
    }
    place.baton(&["runs", "resolve", "one", "act", "--not-done"]).ends(2).warns("names no call");
    place.baton(&["runs", "resolve", "one", "act#0.0"]).ends(2).warns("--not-done");
    place.baton(&["runs", "resolve", "one", "act#3.0", "--not-done"]).ends(1).warns("refused[RUN-009]");
    place.baton(&["runs", "resolve", "one", "act#0.0", "--done", r#"{"id": 7}"#]).ends(0).says("\"id\": 7");
    place.baton(&["runs", "resolve", "two", "act#0.0", "--not-done"]).ends(1).says("failed");
}

#[test]
fn a_run_that_waits_for_another_is_moved_on_by_the_others_answer() {
    let place = place();
    place.write(
        "workflows/outer.yaml",
        "name: outer\nnodes:\n  - {id: inner, type: subworkflow, workflow: order, input: {item: hat}}\n",
    );
    let done = place.baton(&["run", "outer", "--id", "one"]).ends(3);
    assert!(way_on(&done).starts_with("baton runs answer one/"), "{}", done.out);
    place.shell(&way_on(&done)).ends(0);
    assert_eq!(show(&place, "one")["state"], "completed");
}

#[test]
fn lists_summaries_and_journals_are_there_for_people_and_programs() {
    let place = waiting();
    place.baton(&["run", "order", "--id", "two", "--set", "item=hat"]).ends(3);
    place.baton(&["runs", "answer", "two", "agree", "--approve"]).ends(0);
    let list = place.baton(&["runs", "list", "--json"]).ends(0).json();
    let runs: Vec<&str> = list.as_array().expect("rows").iter().filter_map(|row| row["run"].as_str()).collect();
    assert_eq!(runs, ["two", "one"]);
    place.baton(&["runs", "list", "--state", "waiting"]).ends(0).says("one");
    place.baton(&["runs", "list", "--workflow", "nothing"]).ends(0).says("no runs");
    let page = place.baton(&["runs", "list", "--limit", "1", "--before", "two", "--json"]).ends(0).json();
    assert_eq!(page[0]["run"], "one");
    let summary = place.baton(&["runs", "summary", "two", "--json"]).ends(0).json();
    assert_eq!((&summary["total_steps"], &summary["successful"]), (&json!(2), &json!(2)));
    let journal = place.baton(&["runs", "journal", "two", "--json"]).ends(0).out;
    let entries: Vec<Value> = journal.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(entries[0]["seq"], 1);
    assert!(entries[0]["events"][0].get("started").is_some());
    place.baton(&["runs", "journal", "two"]).ends(0).says("finished");
}

#[test]
fn a_run_that_is_not_there_gets_a_suggestion() {
    let place = waiting();
    place.baton(&["runs", "show", "on"]).ends(2).warns("did you mean `one`?");
    place.baton(&["runs", "cancel", "xyzzy-42"]).ends(2).warns("baton runs list");
    place.baton(&["run", "ordr"]).ends(2).warns("did you mean `order`?");
    place.baton(&["run", "order", "--id", "one"]).ends(2).warns("choose another --id");
}
