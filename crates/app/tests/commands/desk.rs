//! The task inbox: everything that waits for people.

use serde_json::{Value, json};

use super::test_folder::TestFolder;

const TOOLS: &str = "\
tools:
  - name: reserve
    kind: script
    class: keyed
    compensation: {tool_name: release, parameters: {id: '{{ output.id }}'}}
    retry: {max_attempts: 1}
    results: [{output: {id: r-1}}]
  - name: release
    kind: script
    class: keyed
    irreversible: reserve again
    retry: {max_attempts: 1}
    results: [{fault: {code: GONE, message: the service knows no such reservation}}]
  - {name: decline, kind: script, class: keyed, irreversible: no, results: [{fault: {code: DECLINED, message: no}}]}
  - {name: letter, kind: script, class: keyed, irreversible: sent, results: [{output: {}}]}
  - {name: doubtful, kind: script, class: once, irreversible: sent, results: [{fault: {code: TIMEOUT, message: no answer, unknown: true}}]}
";
const ORDER: &str = "\
name: order
nodes: [{id: post, tool: letter}, {id: hold, tool: reserve}, {id: pay, tool: decline}]
edges: [{from: post, to: hold}, {from: hold, to: pay}]
";
const DOUBT: &str = "name: doubt\nnodes: [{id: act, tool: doubtful, retry: {max_attempts: 1}}]\n";

fn place() -> TestFolder {
    TestFolder::with(&[("tools/tools.yaml", TOOLS), ("workflows/order.yaml", ORDER), ("workflows/doubt.yaml", DOUBT)])
}

fn kinds(place: &TestFolder) -> Vec<Value> {
    let listed = place.baton(&["desk", "list", "--json"]).expect_code(0).json();
    listed.as_array().expect("a list").iter().map(|item| item["kind"].clone()).collect()
}

#[test]
fn what_could_not_be_undone_is_on_the_desk_until_somebody_undid_it() {
    let place = place();
    place.baton(&["run", "order", "--id", "one"]).expect_code(1);
    place
        .baton(&["desk", "list"])
        .expect_code(0)
        .expect_stdout("not_undone")
        .expect_stdout("`hold` could not be undone");
    let told = place.baton(&["runs", "show", "one"]).expect_code(0).expect_stdout("rolled back, newest first");
    let told = told.expect_stdout("reserve not undone: GONE: ");
    told.expect_stdout("letter irreversible: sent");
    place.baton(&["desk", "show", "one"]).expect_code(0).expect_stdout("GONE").expect_stdout("baton desk resolve");
    place.baton(&["desk", "resolve", "one"]).expect_code(2).expect_stderr("--undone").expect_stderr("--again");
    place
        .baton(&["desk", "resolve", "one", "--undone", "--as", "olga"])
        .expect_code(0)
        .expect_stdout("is settled by `olga`; the run stays failed");
    assert_eq!(kinds(&place), Vec::<Value>::new());
    place.baton(&["runs", "show", "one"]).expect_code(0).expect_stdout("reserve undone by hand: by olga");
    let latest = place.baton(&["audit", "list", "--latest", "--tool", "reserve", "--json"]).expect_code(0).json();
    assert_eq!(latest["rows"][0]["status"], "compensated");
    place.baton(&["desk", "resolve", "one", "--undone"]).expect_code(2).expect_stderr("no item");
}

#[test]
fn a_doubt_is_settled_from_the_desk() {
    let place = place();
    place.baton(&["run", "doubt", "--id", "one"]).expect_code(3);
    place.baton(&["run", "doubt", "--id", "two"]).expect_code(3);
    assert_eq!(kinds(&place), [json!("doubt"), json!("doubt")]);
    place.baton(&["desk", "list", "--kind", "not_undone"]).expect_code(0).expect_stdout("nothing waits");
    place.baton(&["desk", "resolve", ""]).expect_code(2).expect_stderr("several");
    place.baton(&["desk", "resolve", "one"]).expect_code(2).expect_stderr("--not-done");
    place.baton(&["desk", "resolve", "one", "--undone"]).expect_code(2).expect_stderr("not settled this way");
    place
        .baton(&["desk", "resolve", "one", "--done", r#"{"id": 7}"#, "--as", "olga"])
        .expect_code(0)
        .expect_stdout("\"id\": 7");
    place.baton(&["desk", "resolve", "two", "--not-done"]).expect_code(1);
    assert_eq!(kinds(&place), Vec::<Value>::new());
    let latest = place.baton(&["audit", "list", "--latest", "--run", "one", "--json"]).expect_code(0).json();
    assert_eq!(latest["rows"][0]["status"], "success", "what a person said is how it stands");
}
