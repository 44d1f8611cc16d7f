//! A project's files that change while `baton serve` runs: they are loaded, or an error is logged and the previous
//! state stays in effect.

use serde_json::{Value, json};

use crate::server::{BatonServer, wait_for};
use crate::test_folder::TestFolder;

const TICK: &str = "name: tick\nnodes: [{id: say, type: transform, set: {text: tick}}]\n";

fn greets(words: &str) -> String {
    format!("name: greet\nkind: script\nclass: read\nresults: [{{output: {{said: '{words}'}}}}]\n")
}

fn daily(cron: &str) -> String {
    format!("schedules: [{{name: daily, workflow: tick, cron: '{cron}'}}]\n")
}

/// A server with its admin key.
struct ReloadApi {
    place: TestFolder,
    server: BatonServer,
    key: String,
}

impl ReloadApi {
    fn of(files: &[(&str, &str)]) -> Self {
        let place = TestFolder::with(files);
        let server = BatonServer::start(&place);
        let key = server.key().expect("a key").to_owned();
        Self { place, server, key }
    }

    fn ask(&self, request: &str) -> (u16, Value) {
        let answer = self.server.ask(request, &self.key, "", &Value::Null);
        (answer.status, answer.body)
    }

    fn called(&self, tool: &str) -> Value {
        let call = json!({ "arguments": {} });
        let told = self.server.ask(&format!("POST /api/v1/tools/{tool}/execute"), &self.key, "", &call).body;
        told["data"]["said"].clone()
    }

    /// Calls the tool until it returns these words.
    fn comes_to_say(&self, tool: &str, words: &str) {
        wait_for(&format!("`{tool}` says {words}"), || (self.called(tool) == words).then_some(()));
    }
}

#[test]
fn a_changed_tool_is_called_as_it_is_now_and_a_bad_file_changes_nothing() {
    let mut api = ReloadApi::of(&[("tools/greet.yaml", &greets("Hello"))]);
    assert_eq!(api.called("greet"), "Hello");
    api.place.write("tools/greet.yaml", greets("Hola"));
    api.comes_to_say("greet", "Hola");
    api.place.write("tools/part.yaml", greets("Au revoir").replace("greet", "part"));
    api.comes_to_say("part", "Au revoir");
    // First a file that cannot be parsed, then one with a conflicting tool.
    api.place.write("tools/greet.yaml", "name: greet\nkind: scribble\n");
    api.server.logs("are not taken in");
    assert_eq!((api.called("greet"), api.called("part")), (json!("Hola"), json!("Au revoir")));
    api.place.write("tools/greet.yaml", greets("Twice").replace("greet", "part"));
    api.server.logs("`part`");
    assert_eq!((api.called("greet"), api.called("part")), (json!("Hola"), json!("Au revoir")));
    api.place.write("tools/greet.yaml", greets("Ciao"));
    api.comes_to_say("greet", "Ciao");
    std::fs::remove_file(api.place.path().join("tools/part.yaml")).expect("is there");
    wait_for("it is gone", || (api.ask("GET /api/v1/tools/part").0 == 404).then_some(()));
}

#[test]
fn a_tool_that_could_not_be_taken_in_is_tried_again_with_whatever_changes_next() {
    let mut api =
        ReloadApi::of(&[("tools/greet.yaml", &greets("Hello")), ("agents/wise.yaml", "name: wise\ntype: simple\n")]);
    api.place.write("agents/wise.yaml", "name: wise\ntype: owl\n");
    api.server.logs("are not taken in");
    api.place.write("tools/greet.yaml", greets("Hola"));
    api.server.logs("are not taken in");
    assert_eq!(api.called("greet"), "Hello", "the folder cannot be read as a whole");
    api.place.write("agents/wise.yaml", "name: wise\ntype: simple\ndescription: An owl\n");
    api.comes_to_say("greet", "Hola");
    wait_for("the agent is as it is now", || {
        (api.ask("GET /api/v1/agents/wise").1["description"] == "An owl").then_some(())
    });
}

#[test]
fn changed_triggers_hold_and_a_bad_file_or_a_broken_workflow_takes_none_out() {
    let mut api = ReloadApi::of(&[("workflows/tick.yaml", TICK)]);
    let cron = |api: &ReloadApi| api.ask("GET /api/v1/schedules/daily").1["cron"].clone();
    assert_eq!(api.ask("GET /api/v1/schedules/daily").0, 404);
    api.place.write("triggers/daily.yaml", daily("30 2 * * *"));
    wait_for("it is kept", || (cron(&api) == "30 2 * * *").then_some(()));
    api.place.write("triggers/daily.yaml", daily("45 3 * * *"));
    wait_for("it is changed", || (cron(&api) == "45 3 * * *").then_some(()));
    api.place.write("triggers/daily.yaml", "schedules: [{name: daily, workflow: tick, cron: at noon}]\n");
    api.server.logs("is not kept");
    assert_eq!(cron(&api), "45 3 * * *");
    api.place.write("workflows/tick.yaml", "name: tick\nnodes: [{id: say, tool: nothing_like_it}]\n");
    api.server.logs("what stood before stands");
    std::fs::remove_file(api.place.path().join("triggers/daily.yaml")).expect("is there");
    api.server.logs("what stood before stands");
    assert_eq!(cron(&api), "45 3 * * *", "as long as not all workflows can be read");
    api.place.write("workflows/tick.yaml", TICK);
    wait_for("it is taken out", || (api.ask("GET /api/v1/schedules/daily").0 == 404).then_some(()));
}

#[test]
fn a_project_that_is_not_there_for_a_while_takes_nothing_out() {
    let mut api = ReloadApi::of(&[("tools/greet.yaml", &greets("Hello")), ("workflows/tick.yaml", TICK)]);
    assert_eq!(api.called("greet"), "Hello");
    for folder in ["tools", "workflows"] {
        std::fs::remove_dir_all(api.place.path().join(folder)).expect("is there");
    }
    std::fs::remove_file(api.place.path().join("baton.toml")).expect("is there");
    api.server.logs("is no project");
    assert_eq!(api.called("greet"), "Hello");
    api.place.write("tools/greet.yaml", greets("Hola"));
    api.comes_to_say("greet", "Hola");
}
