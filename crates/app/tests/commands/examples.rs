//! Every example is a project without an error, and its tests pass.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::test_folder::{CommandOutput, TestFolder};
use crate::upstream::UpstreamModel;

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut examples: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("examples").map(|entry| entry.expect("an entry").path()).collect();
    examples.retain(|path| path.join("baton.toml").is_file());
    examples.sort();
    assert!(examples.len() >= 3, "{examples:?}");
    examples
}

#[test]
fn every_example_is_valid_and_its_tests_pass() {
    let place = TestFolder::empty();
    for example in examples() {
        let example = example.to_str().expect("a path");
        place.baton(&["validate", example]).expect_code(0);
        let tested = place.baton(&["-C", example, "test", "--json"]).expect_code(0).json();
        assert_eq!(tested["failed"], 0, "{example}");
        assert!(tested["passed"].as_u64().is_some_and(|passed| passed > 0), "{example} has no tests");
    }
}

#[test]
fn every_workflow_of_every_example_has_a_test() {
    for example in examples() {
        let texts = |folder: &str| -> Vec<String> {
            let files = std::fs::read_dir(example.join(folder)).expect("a folder");
            files.map(|file| std::fs::read_to_string(file.expect("an entry").path()).expect("text")).collect()
        };
        let tests = texts("tests").concat();
        for workflow in texts("workflows") {
            let name = workflow.lines().map(str::trim).find_map(|line| line.strip_prefix("name: ")).expect("a name");
            let name = name.trim_matches(['"', '\'']);
            assert!(tests.contains(&format!("workflow: {name}\n")), "{}: {name}", example.display());
        }
    }
}

/// The clinic without changes, with a model behind OpenAI's protocol in place of the scripted replies.
#[test]
fn an_example_runs_unchanged_on_a_real_providers_protocol() {
    fn receptionist_or_reader(body: &Value) -> Value {
        let messages = body["messages"].as_array().expect("messages");
        let calls = |name: &str, arguments: Value| {
            let function = json!({ "name": name, "arguments": arguments.to_string() });
            json!({
                "role": "assistant", "content": null,
                "tool_calls": [{ "id": "call_1", "type": "function", "function": function }],
            })
        };
        let says = |content: Value| json!({ "role": "assistant", "content": content.to_string() });
        match (body.get("tools").is_some(), messages.last().expect("one")["role"].as_str()) {
            (false, _) => says(json!({ "treatment": "botox", "date": "tuesday" })),
            (true, Some("user")) => calls("ask_customer", json!({ "question": "10:00 or 11:00?" })),
            (true, _) => says(json!({ "time": "10:00" })),
        }
    }
    let model = UpstreamModel::that_says(receptionist_or_reader);
    let place = TestFolder::copy_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/clinic"));
    let variables = [("OPENAI_API_KEY", "sk-test-1"), ("OPENAI_BASE_URL", model.url.as_str())];
    let run = ["run", "appointment", "--input", "@inputs/appointment.json", "--say", "10:00", "--id", "one", "--json"];
    let done = CommandOutput::wait_for(place.spawn_with(&variables, &run)).expect_code(0).json();
    assert_eq!(done["state"], "completed", "{done}");
    let asked = model.asked();
    assert_eq!(asked.len(), 3, "the reader once, the receptionist before and after the answer: {asked:?}");
    assert!(asked.iter().all(|one| one.key == "sk-test-1"));
    let heard = asked[2].body["messages"].to_string();
    assert!(heard.contains("10:00 or 11:00?") && heard.contains("10:00"), "{heard}");
    let reader = &asked[0].body;
    assert_eq!(reader["response_format"]["type"], "json_object", "as far as its model can: {reader}");
    assert!(reader["messages"][0]["content"].to_string().contains("additionalProperties"), "else in words: {reader}");
    let shown = place.baton(&["runs", "show", "one", "--json"]).expect_code(0).json();
    assert!(shown["nodes"][0]["cost_usd"].as_f64().is_some_and(|cost| cost > 0.0), "it is priced: {shown}");
}
