//! `baton doctor`: each finding with a way out.

use serde_json::Value;

use super::place::Place;

fn state<'a>(found: &'a Value, what: &str) -> &'a str {
    let checks = found["checks"].as_array().expect("checks");
    let check = checks.iter().find(|check| check["what"] == what);
    check.and_then(|check| check["state"].as_str()).unwrap_or("not looked at")
}

#[test]
fn a_fresh_project_is_well_and_asking_leaves_no_trace() {
    let place = Place::empty();
    place.baton(&["init", "p"]).ends(0);
    let found = place.baton(&["-C", "p", "doctor", "--json"]).ends(0).json();
    assert_eq!(found["ok"], true);
    for what in ["project", "workflows", "models", "mail", "sandbox", "clock", "database"] {
        assert_eq!(state(&found, what), "ok", "{what}");
    }
    assert!(!place.path().join("p/.baton").exists());
}

#[test]
fn settings_that_cannot_be_read_fail_with_their_place() {
    let place = Place::with(&[("baton.toml", "tenant = \n")]);
    place.baton(&["doctor"]).ends(1).says("fail project").says("baton.toml");
}

#[test]
fn a_workflow_that_cannot_run_and_a_model_that_is_not_there_fail() {
    let place = Place::with(&[
        ("baton.toml", "[models]\nbase_url = \"http://127.0.0.1:1/v1\"\n"),
        ("workflows/a.yaml", "name: a\nnodes:\n  - {id: a, tool: nothing}\n"),
    ]);
    let found = place.baton(&["doctor", "--json"]).ends(1).json();
    assert_eq!(found["ok"], false);
    assert_eq!(state(&found, "workflows"), "fail");
    assert_eq!(state(&found, "models"), "fail");
}

#[test]
fn a_run_that_nobody_moves_is_said_with_the_command_that_does() {
    let place = Place::with(&[("workflows/a.yaml", "name: a\nnodes:\n  - {id: a, type: transform, set: {x: 1}}\n")]);
    place.baton(&["run", "a", "--id", "one", "--detach"]).ends(3).says("one");
    place.baton(&["doctor"]).ends(0).says("1 run has something to do").says("baton runs work");
    place.baton(&["runs", "work"]).ends(0).says("1 run moved");
    place.baton(&["doctor"]).ends(0).says("1 completed").says("no run waits for somebody to move it");
}

#[test]
fn a_database_that_is_none_fails() {
    let place = Place::with(&[("baton.toml", ""), (".baton/baton.db", "this is no database, whatever its name says")]);
    place.baton(&["doctor"]).ends(1).says("fail database");
}

#[test]
fn a_sandbox_that_cannot_be_set_up_so_fails_with_its_setting() {
    let place = Place::with(&[("baton.toml", "[sandbox]\nchildren = 0\n")]);
    place.baton(&["doctor"]).ends(1).says("`children` is 0");
}
