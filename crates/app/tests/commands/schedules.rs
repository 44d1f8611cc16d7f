//! End-to-end tests of schedules: files in a folder, the API, the command line, and a server that is killed.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::server::{BatonServer, wait_for};
use crate::test_folder::TestFolder;

const TICK: &str = "\
name: tick
input: {at: {type: string, default: ''}}
nodes: [{id: note, type: transform, set: {at: '{{ input.at }}'}}]
";
const NIGHTLY: &str = "\
name: nightly
nodes:
  - {id: start, trigger: schedule, cron: '0 2 * * *', zone: Europe/Madrid, missed: all}
  - {id: note, type: transform, set: {done: true}}
edges: [{from: start, to: note}]
";
const TRIGGERS: &str = "\
schedules:
  - {name: each-second, workflow: tick, cron: '* * * * * *', missed: run_all, input: {at: '{{ scheduled_at }}'}}
  - {name: wrong, workflow: tick, cron: '61 * * * *'}
";

fn place() -> TestFolder {
    TestFolder::with(&[
        ("workflows/tick.yaml", TICK),
        ("workflows/nightly.yaml", NIGHTLY),
        ("triggers/triggers.yaml", TRIGGERS),
    ])
}

/// The scheduled times of the schedule's runs.
fn instants(server: &BatonServer, key: &str) -> Vec<String> {
    let runs =
        server.ask("GET /api/v1/executions?workflow_id=tick&limit=200", key, "", &Value::Null).expect_status(200);
    let runs = runs["executions"].as_array().expect("runs").clone();
    let ids = runs.iter().map(|run| run["execution_id"].as_str().expect("an id"));
    ids.map(|id| server.ask(&format!("GET /api/v1/executions/{id}"), key, "", &Value::Null).expect_status(200))
        .filter_map(|run| run["outputs"]["note"]["at"].as_str().map(str::to_owned))
        .filter(|at| !at.is_empty())
        .collect()
}

#[test]
fn a_schedule_of_the_folder_comes_round_once_an_instant_though_the_server_is_killed() {
    let place = place();
    let server = BatonServer::start(&place);
    let key = server.key().expect("a key").to_owned();
    wait_for("three instants", || (instants(&server, &key).len() >= 3).then_some(()));
    server.kill();
    let server = BatonServer::start(&place);
    let before = instants(&server, &key).len();
    wait_for("three more", || (instants(&server, &key).len() >= before + 3).then_some(()));
    let paused = server.ask("POST /api/v1/schedules/each-second/pause", &key, "", &Value::Null).expect_status(200);
    assert_eq!((&paused["enabled"], &paused["next"]), (&json!(false), &json!([])), "{paused}");
    let all = wait_for("all have ended", || {
        let runs =
            server.ask("GET /api/v1/executions?workflow_id=tick&limit=200", &key, "", &Value::Null).expect_status(200);
        let all = instants(&server, &key);
        (Some(all.len()) == runs["executions"].as_array().map(Vec::len)).then_some(all)
    });
    let apart: BTreeSet<&String> = all.iter().collect();
    assert_eq!(apart.len(), all.len(), "no instant twice: {all:?}");
    // All missed runs are made up for, so no second is missing.
    let mut seconds: Vec<jiff::Timestamp> = apart.iter().map(|at| at.parse().expect("a time")).collect();
    seconds.sort();
    assert!(seconds.windows(2).all(|two| two[1].as_second() - two[0].as_second() == 1), "{seconds:?}");
}

#[test]
fn a_trigger_of_a_workflow_is_a_schedule_and_what_is_wrong_is_said() {
    let place = place();
    let listed = place.baton(&["schedules", "list", "--json"]).expect_code(0).json();
    let names: Vec<&str> = listed.as_array().expect("a list").iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names, ["each-second", "nightly.start"]);
    let nightly = place.baton(&["schedules", "show", "nightly.start", "--next", "3", "--json"]).expect_code(0).json();
    assert_eq!((&nightly["workflow_id"], &nightly["zone"]), (&json!("nightly"), &json!("Europe/Madrid")));
    assert_eq!((&nightly["missed"], nightly["next"].as_array().map(Vec::len)), (&json!("run_all"), Some(3)));
    let said = place.baton(&["schedules", "list"]).expect_code(0);
    assert!(said.err.contains("`wrong` is not kept") && said.err.contains("minute: `61`"), "{}", said.err);
    let said = place.baton(&["schedules", "show", "nightly.stat"]).expect_code(2);
    assert!(said.err.contains("did you mean `nightly.start`?"), "{}", said.err);
}

#[test]
fn a_schedule_is_run_now_paused_and_resumed_at_the_command_line() {
    let place = place();
    let begun = place.baton(&["schedules", "run", "nightly.start", "--json"]).expect_code(0).json();
    let run = begun["execution_id"].as_str().expect("an id");
    place.baton(&["runs", "work"]).expect_code(0);
    assert_eq!(place.baton(&["runs", "show", run, "--json"]).expect_code(0).json()["status"], "completed");
    let paused = place.baton(&["schedules", "pause", "nightly.start", "--json"]).expect_code(0).json();
    assert_eq!(paused["enabled"], false);
    let still = place.baton(&["schedules", "show", "nightly.start", "--json"]).expect_code(0).json();
    assert_eq!(still["enabled"], false, "what the folder says does not resume it");
    let resumed = place.baton(&["schedules", "resume", "nightly.start", "--json"]).expect_code(0).json();
    assert_eq!((&resumed["enabled"], resumed["next"].as_array().map(Vec::len)), (&json!(true), Some(1)));
}

#[test]
fn schedules_are_made_changed_and_taken_out_over_the_api() {
    let place = TestFolder::with(&[("workflows/tick.yaml", TICK)]);
    let server = BatonServer::start(&place);
    let key = server.key().expect("a key").to_owned();
    let ask = |request: &str, body: Value| server.ask(request, &key, "", &body);
    let daily = json!({ "name": "daily", "workflow_id": "tick", "cron": "30 2 * * *", "zone": "Europe/Madrid" });
    let made = ask("POST /api/v1/schedules", daily.clone()).expect_status(201);
    assert_eq!(made["next"].as_array().map(Vec::len), Some(5), "{made}");
    ask("POST /api/v1/schedules", daily.clone()).expect_status(200);
    let mut other = daily.clone();
    other["cron"] = json!("@hourly");
    assert_eq!(ask("POST /api/v1/schedules", other.clone()).expect_status(409)["code"], "NAME_TAKEN");
    let changed = ask("PUT /api/v1/schedules/daily", other).expect_status(200);
    assert_eq!((&changed["cron"], &changed["created_at"]), (&json!("@hourly"), &made["created_at"]));
    let begun = |key_header: &str| {
        let answer = server.ask("POST /api/v1/schedules/daily/run", &key, key_header, &Value::Null);
        answer.expect_status(202)["execution_id"].as_str().expect("an id").to_owned()
    };
    assert_eq!(begun("Idempotency-Key: k\r\n"), begun("Idempotency-Key: k\r\n"), "one run a key");
    assert_ne!(begun(""), begun(""));
    for (wrong, field) in [
        (json!({ "name": "x", "workflow_id": "tick", "cron": "* * *" }), "`cron`"),
        (json!({ "name": "x", "workflow_id": "tick", "cron": "@daily", "zone": "Mars/Olympus" }), "`zone`"),
        (json!({ "name": "x/y", "workflow_id": "tick", "cron": "@daily" }), "`name`"),
        (json!({ "name": "x", "workflow_id": "none", "cron": "@daily" }), "no workflow"),
        (json!({ "name": "x", "workflow_id": "tick", "cron": "@daily", "input_data": { "at": 5 } }), "at"),
        (
            json!({ "name": "x", "workflow_id": "tick", "cron": "@daily", "input_data": { "at": "{{ nothing }}" } }),
            "`input`",
        ),
        (json!({ "name": "x", "workflow_id": "tick", "cron": "@daily", "missed": "never" }), "never"),
    ] {
        let refused = ask("POST /api/v1/schedules", wrong).expect_status(422);
        assert!(refused["detail"].as_str().expect("why").contains(field), "{refused}");
    }
    let human = place.baton(&["keys", "create", "ana", "--role", "human_agent", "--json"]).expect_code(0).json();
    let human = human["key"].as_str().expect("a key");
    server.ask("POST /api/v1/schedules", human, "", &daily).expect_status(403);
    ask("DELETE /api/v1/schedules/daily", Value::Null).expect_status(204);
    assert_eq!(ask("GET /api/v1/schedules/daily", Value::Null).expect_status(404)["code"], "TRIGGER_NOT_FOUND");
}

#[test]
fn what_files_of_triggers_say_wrong_is_found_before_it_is_served() {
    let tick = "name: tick\nnodes: [{id: say, type: transform, set: {text: tick}}]\n";
    let place = TestFolder::with(&[("workflows/tick.yaml", tick)]);
    let found = |triggers: &str| {
        place.write("triggers/all.yaml", triggers);
        place.baton(&["validate", "--json"]).expect_code(0).json()["doubts"].to_string()
    };
    assert_eq!(found("schedules: [{name: daily, workflow: tick, cron: '@daily'}]\n"), "[]");
    for (wrong, says) in [
        ("schedules: [{name: daily, workflow: tik, cron: '@daily'}]\n", "did you mean `tick`?"),
        ("schedules: [{name: daily, workflow: tick, cron: '0 9 * *'}]\n", "`cron`"),
        ("schedules: [{name: daily, workflow: tick, cron: '@daily', zone: Europe/Madri}]\n", "`zone`"),
        ("webhooks: [{name: crm, workflow: tik}]\n", "webhook `crm`"),
    ] {
        let told = found(wrong);
        assert!(told.contains(says), "{wrong}: {told}");
        place.baton(&["doctor"]).expect_stdout("triggers/");
    }
    // With this file the server does not start.
    place.write("triggers/all.yaml", "webhooks: [{nme: crm, workflow: tick}]\n");
    place
        .baton(&["validate"])
        .expect_code(2)
        .expect_stdout("triggers/all.yaml")
        .expect_stdout("nme")
        .expect_stdout("1 workflow: 1 error");
    let told = place.baton(&["validate", "--json"]).expect_code(2).json();
    assert_eq!(
        (&told["files"][0]["ready"], told["faults"].as_array().map(Vec::len)),
        (&json!(true), Some(1)),
        "{told}"
    );
    place.baton(&["doctor"]).expect_stdout("triggers/").expect_stdout("nme");
}
