//! `baton generate`: a goal becomes a workflow that runs, or the command stops and reports the errors.

use serde_json::{Value, json};

use super::test_folder::TestFolder;

/// A first draft that names an unknown tool, and a second that is valid.
const MENDED: &str = r#"
agent: workflow_planner
replies:
  - match: {prompt: "mail me when it rains", last: "did you mean `get_weather`"}
    json:
      name: rain_mail
      input: {recipient: string}
      steps:
        - {id: weather, tool_name: get_weather, parameters: {location: London}}
        - id: alert
          tool_name: send_email
          parameters: {to: "{{ '{{ recipient }}' }}", subject: Rain, body: "{{ 'It is {{ weather.condition }}.' }}"}
          depends_on: [weather]
          condition: {field: weather.condition, operator: "==", value: rain}
    cost_usd: 0.003
  - match: {prompt: "mail me when it rains"}
    json: {name: rain_mail, steps: [{id: weather, tool_name: get_wether, parameters: {location: London}}]}
    cost_usd: 0.002
  - match: {prompt: "chat"}
    content: I would rather talk.
  - json: {name: never, steps: [{id: a, tool_name: nobody_has_this}]}
    cost_usd: 0.001
"#;

const WEATHER: &str = r"
name: get_weather
kind: script
class: read
description: The weather somewhere
parameters: {type: object, required: [location], properties: {location: {type: string}}}
results: [{output: {condition: rain}}]
";

fn place() -> TestFolder {
    TestFolder::with(&[("baton.toml", ""), ("replies/planner.yaml", MENDED), ("tools/weather.yaml", WEATHER)])
}

#[test]
fn a_draft_with_a_mistake_is_mended_written_and_runs() {
    let place = place();
    let told = place.baton(&["generate", "Please mail me when it rains", "--json"]).expect_code(0).json();
    assert_eq!((&told["ok"], &told["replies"], &told["cost_usd"]), (&true.into(), &2.into(), &0.005.into()), "{told}");
    assert_eq!(told["file"], "workflows/rain_mail.yaml");
    place.baton(&["validate"]).expect_code(0).expect_stdout("1 workflow");
    let ran = place.baton(&["run", "rain_mail", "--set", "recipient=ana@example.com", "--json"]).expect_code(0).json();
    assert_eq!(ran["outputs"]["alert"]["to"], "ana@example.com", "{ran}");
}

#[test]
fn what_is_said_to_be_next_works_once_it_is_filled_in() {
    let place = place();
    let told = place
        .baton(&["generate", "Please mail me when it rains"])
        .expect_code(0)
        .expect_stdout("workflows/rain_mail.yaml");
    let next = told.out.split_once("Next:").expect("says what is next").1;
    assert_eq!(next.trim(), "baton graph rain_mail\n  baton run rain_mail -s recipient=TEXT");
    for line in next.lines().map(str::trim).filter(|line| !line.is_empty()) {
        place.shell(&line.replace("TEXT", "ana@example.com")).expect_code(0);
    }
}

#[test]
fn a_model_that_does_not_mend_its_draft_is_given_up_with_what_was_found() {
    let place = place();
    let done = place.baton(&["generate", "Do what cannot be done"]).expect_code(1);
    done.expect_stderr("nobody_has_this").expect_stderr("no workflow after 4 replies");
    assert!(!place.path().join("workflows").exists());
}

#[test]
fn a_reply_that_is_no_workflow_is_said_to_be_none() {
    place().baton(&["generate", "chat with me"]).expect_code(1).expect_stderr("the reply holds no complete JSON");
}

#[test]
fn a_workflow_that_is_there_is_not_written_over() {
    let place = place();
    place.baton(&["generate", "mail me when it rains"]).expect_code(0).expect_stdout("workflows/rain_mail.yaml");
    place.baton(&["generate", "mail me when it rains"]).expect_code(0).expect_stdout("workflows/rain_mail_2.yaml");
    place.baton(&["generate", "mail me when it rains", "--name", "rain_mail"]).expect_code(2).expect_stderr("--name");
    place.baton(&["generate", "mail me when it rains", "--name", "rain_mail_3"]).expect_code(0);
    place
        .baton(&["generate", "mail me when it rains", "--name", "other", "--print"])
        .expect_code(0)
        .expect_stdout("name: other\n");
    assert!(!place.path().join("workflows/other.yaml").exists());
}

#[test]
fn a_goal_of_nothing_is_refused() {
    place().baton(&["generate", "  "]).expect_code(2).expect_stderr("a goal has 1 to 4000 characters");
}

#[test]
fn where_the_workflow_goes_is_looked_at_before_a_model_is_paid() {
    let place = place();
    place.write("workflows/other.yaml", "name: other\nnodes: [{id: a, type: transform, set: {x: 1}}]\n");
    for (name, says) in
        [("other", "there already"), ("../other", "no name of a file"), (".hidden", "no name of a file")]
    {
        place.baton(&["generate", "Please mail me when it rains", "--name", name]).expect_code(2).expect_stderr(says);
    }
    place.baton(&["models", "decisions"]).expect_code(0).expect_stdout("no model was asked");
    // A taken name is no reason to discard a draft that was paid for.
    place.write("workflows/rain_mail.yaml", "name: rain_mail\nnodes: [{id: a, type: transform, set: {x: 1}}]\n");
    let told = place.baton(&["generate", "Please mail me when it rains", "--json"]).expect_code(0).json();
    assert_eq!((&told["name"], &told["file"]), (&"rain_mail_2".into(), &"workflows/rain_mail_2.yaml".into()), "{told}");
}

/// The model plans only with the tools that it is shown.
const SHOWN: &str = r#"
agent: workflow_planner
replies:
  - match: {prompt: "- aaa.zz_barometer:"}
    json: {name: pressure, input: {city: string}, steps: [{id: a, tool_name: aaa.zz_barometer, parameters: {city: "{{ '{{ city }}' }}"}}]}
  - match: {prompt: "- send_email:"}
    json:
      name: mail
      input: {to: string}
      steps: [{id: a, tool_name: send_email, parameters: {to: "{{ '{{ to }}' }}", subject: Hi, body: Hello}}]
"#;

#[test]
fn a_thousand_imported_tools_hide_neither_the_shipped_ones_nor_the_one_that_is_meant() {
    let operation = |number: usize| {
        let id = format!("op_{number:04}");
        let operation = json!({"operationId": id, "summary": "Does something with a thing", "responses": {"200": {"description": "done"}}});
        (format!("/{id}"), json!({ "get": operation }))
    };
    let mut paths: serde_json::Map<String, Value> = (0..1_000).map(operation).collect();
    let city = json!([{"name": "city", "in": "query", "required": true, "schema": {"type": "string"}}]);
    let barometer = json!({
        "operationId": "zz_barometer", "summary": "Reads the barometer of a city", "parameters": city, "responses": {"200": {"description": "done"}}
    });
    paths.insert("/barometer".to_owned(), json!({ "get": barometer }));
    let document = json!({
        "openapi": "3.0.3", "info": {"title": "Many", "version": "1"}, "servers": [{"url": "https://api.example.com"}],
        "paths": paths
    });
    let definition = json!({"name": "aaa", "kind": "openapi", "document": "apis/many.json"}).to_string();
    let place = TestFolder::with(&[
        ("baton.toml", ""),
        ("replies/planner.yaml", SHOWN),
        ("apis/many.json", &document.to_string()),
        ("tools/many.json", &definition),
    ]);
    place.baton(&["generate", "Please write a letter to somebody"]).expect_code(0).expect_stdout("workflows/mail.yaml");
    place
        .baton(&["generate", "What does the barometer say in Oslo?"])
        .expect_code(0)
        .expect_stdout("workflows/pressure.yaml");
}
