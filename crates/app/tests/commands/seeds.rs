//! The interfaces for programs, by the names in the seeds. Each name must refer to an existing test.

use std::path::Path;

use serde_json::{Value, json};

use super::test_folder::TestFolder;

const WORKFLOW: &str = "\
name: sum
nodes:
  - {id: add, tool: calculator, parameters: {expression: 1 + 2}}
  - {id: pay, tool: card, on_error: compensate}
edges: [{from: add, to: pay}]
";
const CARD: &str = "\
tools:
  - {name: card, kind: script, class: keyed, compensation: {tool_name: give_back}, results: [{output: {paid: true}}]}
  - {name: give_back, kind: script, class: keyed, irreversible: given, results: [{output: {paid: false}}]}
";

fn place() -> TestFolder {
    TestFolder::with(&[("workflows/sum.yaml", WORKFLOW), ("tools/card.yaml", CARD)])
}

#[track_caller]
fn has(value: &Value, names: &[&str]) {
    for name in names {
        assert!(value.get(name).is_some(), "`{name}` is not in {value:#}");
    }
}

#[test]
fn a_run_answers_programs_in_the_words_of_seed_004() {
    let answer = place().baton(&["run", "sum", "--json"]).expect_code(0).json();
    has(&answer, &["execution_id", "status", "outputs", "trace", "total_cost_usd", "duration_ms"]);
    has(&answer["trace"], &["workflow_id", "started_at", "completed_at", "nodes", "costs"]);
    has(&answer["trace"]["costs"], &["total_usd", "by_node"]);
    has(&answer["trace"]["nodes"][0], &["node_id", "duration_ms", "success"]);
    assert_eq!((&answer["outputs"]["add"], &answer["trace"]["workflow_id"]), (&json!({"result": 3}), &json!("sum")));
}

#[test]
fn a_status_is_said_as_seed_004_says_it() {
    let place = place();
    let status = |run: &str| {
        let shown = place.baton(&["runs", "show", run, "--json"]).expect_code(0).json();
        (shown["status"].clone(), shown["state"].clone(), shown["compensated"].clone())
    };
    place.baton(&["run", "sum", "--id", "done"]).expect_code(0);
    assert_eq!(status("done"), (json!("completed"), json!("completed"), json!(false)));
    place.baton(&["runs", "rollback", "done"]).expect_code(0);
    assert_eq!(status("done"), (json!("failed"), json!("compensated"), json!(true)));
    place.write("workflows/late.yaml", "name: late\ntimeout: 10ms\nnodes: [{id: wait, duration: 1h}]\n");
    place.baton(&["run", "late", "--id", "late"]).expect_code(1);
    assert_eq!(status("late"), (json!("timeout"), json!("timed_out"), json!(false)));
}

#[test]
fn a_summary_and_a_timeline_have_the_names_of_seed_003() {
    let place = place();
    place.baton(&["run", "sum", "--id", "one"]).expect_code(0);
    let summary = place.baton(&["runs", "summary", "one", "--json"]).expect_code(0).json();
    has(&summary, &["workflow_id", "total_steps", "successful", "failed", "in_progress"]);
    has(&summary, &["total_duration_ms", "avg_step_duration_ms", "is_active"]);
    assert_eq!((&summary["total_steps"], &summary["is_active"]), (&json!(2), &json!(false)));
    let timeline = place.baton(&["runs", "timeline", "one", "--json"]).expect_code(0).json();
    has(&timeline[0], &["step_id", "tool_name", "started_at", "completed_at", "duration_ms", "success", "error"]);
    assert_eq!((&timeline[1]["step_id"], &timeline[1]["tool_name"]), (&json!("pay"), &json!("card")));
}

#[test]
fn a_run_may_be_given_its_id_and_only_once() {
    let place = place();
    place.baton(&["run", "sum", "--id", "workflow-123"]).expect_code(0);
    place
        .baton(&["run", "sum", "--id", "workflow-123"])
        .expect_code(2)
        .expect_stderr("a run `workflow-123` exists already");
}

/// The rows of the page's tables, as cells.
fn rows(page: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
    let is_row = |line: &&str| line.starts_with("| ") && !line.starts_with("| ---") && !line.starts_with("| name ");
    page.lines().filter(is_row).map(cells).collect()
}

/// The contents of all files with one of these endings, in a folder and its subfolders.
fn text_of(folder: &Path, ending: &str) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            text.push_str(&text_of(&path, ending));
        } else if path.extension().is_some_and(|found| found == ending) {
            text.push_str(&std::fs::read_to_string(&path).expect("text"));
        }
    }
    text
}

#[test]
fn every_name_of_the_seeds_is_shown_by_a_test_that_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs/reference/seed-names.md")).expect("the page");
    let rows = rows(&page);
    assert!(rows.len() > 40, "the page's tables were not found");
    for row in rows {
        let [name, _, works, shown] = row.as_slice() else { panic!("not four cells: {row:?}") };
        if shown.is_empty() {
            assert!(works.starts_with("Later"), "nothing shows {name}");
        }
        for part in shown.split("; ").filter(|part| !part.is_empty()) {
            let (place, tests) = part.split_once(": ").unwrap_or_else(|| panic!("{name}: `{part}` names no test"));
            for test in tests.split("`, `").flat_map(|tests| tests.split("*, *")) {
                let test = test.trim_matches(['`', '*']);
                let is_there = match tests.starts_with('*') {
                    true => text_of(&root.join("examples").join(place).join("tests"), "yaml")
                        .contains(&format!("- name: {test}\n")),
                    false => text_of(&root.join("crates").join(place), "rs").contains(&format!("fn {test}(")),
                };
                assert!(is_there, "{name}: {place} has no test `{test}`");
            }
        }
    }
}
