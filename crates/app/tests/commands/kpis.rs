//! End-to-end tests of `GET /api/v1/kpis`.

use serde_json::{Value, json};

use crate::server::BatonServer;
use crate::test_folder::TestFolder;

const WELL: &str = "name: well\nnodes: [{id: say, type: transform, set: {said: hello}}]\n";
const BADLY: &str = "name: badly\nnodes: [{id: sub, type: subworkflow, workflow: well}, {id: try, tool: broken}]\nedges: [{from: sub, to: try}]\n";
const TOOLS: &str =
    "tools:\n  - {name: broken, kind: script, class: read, results: [{fault: {code: DECLINED, message: no}}]}\n";

#[test]
fn each_figure_says_what_it_is_what_it_should_be_and_whether_it_is() {
    let place = TestFolder::with(&[
        ("tools/tools.yaml", TOOLS),
        ("workflows/well.yaml", WELL),
        ("workflows/badly.yaml", BADLY),
    ]);
    let server = BatonServer::start(&place);
    let key = server.key().expect("a key").to_owned();
    let ask = |request: &str, body: &Value| server.ask(request, &key, "", body);
    let named = |shown: &Value, name: &str| {
        let kpis = shown["kpis"].as_array().expect("figures").iter();
        kpis.clone().find(|kpi| kpi["name"] == name).unwrap_or_else(|| panic!("no {name}: {shown}")).clone()
    };

    let shown = ask("GET /api/v1/kpis", &Value::Null).expect_status(200);
    assert_eq!(shown["kpis"].as_array().expect("figures").len(), 10);
    assert!(shown["kpis"].as_array().expect("figures").iter().all(|kpi| kpi["verdict"] == "no_data"), "{shown}");

    for (workflow, count) in [("well", 3), ("badly", 1)] {
        for _ in 0..count {
            ask("POST /api/v1/workflows/execute", &json!({ "workflow_id": workflow, "input_data": {} }))
                .expect_status(200);
        }
    }
    let shown = ask("GET /api/v1/kpis?days=1", &Value::Null).expect_status(200);
    assert_eq!(shown["complete"], true);
    let success = named(&shown, "success_rate");
    assert_eq!((&success["value"], &success["of"]), (&json!(0.75), &json!(4)), "runs that others began do not count");
    assert_eq!((&success["target"], &success["verdict"]), (&json!({ "at_least": 0.9 }), &json!("missed")));
    assert_eq!(named(&shown, "error_rate")["value"], json!(0.25));
    assert_eq!(named(&shown, "csat")["verdict"], "no_data", "there were no conversations");

    let document = ask("GET /api/v1/openapi.json", &Value::Null).expect_status(200);
    let whole = json!({ "$ref": "#/components/schemas/Kpis", "components": document["components"] });
    let faults: Vec<String> = jsonschema::validator_for(&whole)
        .expect("a schema")
        .iter_errors(&shown)
        .map(|fault| fault.to_string())
        .collect();
    assert!(faults.is_empty(), "{faults:?}\n{shown}");

    let refused = ask("GET /api/v1/kpis?days=0", &Value::Null).expect_status(400);
    assert_eq!(refused["detail"], "`days`: it must be 1 to 366");
}

#[test]
fn conversations_are_counted_as_they_end() {
    let place = TestFolder::with(&[("workflows/well.yaml", WELL)]);
    let server = BatonServer::start(&place);
    let key = server.key().expect("a key").to_owned();
    let ask = |request: &str, body: Value| server.ask(request, &key, "", &body).expect_status(200);
    let begin = |message: &str| {
        let begun = ask("POST /api/v1/conversations", json!({ "workflow_id": "well", "message": message }));
        begun["conversation_id"].as_str().expect("an id").to_owned()
    };
    begin("hello");
    begin("hello again");
    begin("I want to speak to a human");
    let id = begin("speak to a human, please");
    let on = |verb: &str, body: Value| ask(&format!("POST /api/v1/conversations/{id}/{verb}"), body);
    let number = on("take-over", json!({}))["number"].clone();
    on("posts", json!({ "text": "I am here", "number": number }));
    on("resolve", json!({}));
    on("rate", json!({ "score": 4 }));
    let shown = ask("GET /api/v1/kpis", Value::Null);
    let kpis = shown["kpis"].as_array().expect("figures");
    let named =
        |name: &str| kpis.iter().find(|kpi| kpi["name"] == name).unwrap_or_else(|| panic!("no {name}: {shown}"));
    let check = |name: &str, value: Value, of: u64, verdict: &str| {
        let kpi = named(name);
        assert_eq!((&kpi["value"], &kpi["of"], &kpi["verdict"]), (&value, &json!(of), &json!(verdict)), "{kpi}");
    };
    // One of four waits for a person and has not ended.
    check("automation_rate", json!(2.0 / 3.0), 3, "missed");
    check("escalation_rate", json!(1.0 / 3.0), 3, "missed");
    assert_eq!(named("escalation_rate")["reasons"], json!({ "explicit_request": 1.0 / 3.0 }));
    check("csat", json!(4.0), 1, "missed");
    check("reopen_rate", json!(0.0), 3, "no_target");
    check("cost_per_conversation", json!(0.0), 3, "met");
    assert_eq!(named("resolution_time")["of"], json!(3));
    let first = named("first_response_time");
    assert_eq!((&first["of"], &first["target"]), (&json!(1), &json!({ "below": 300.0 })), "{first}");
    on("reopen", json!({}));
    let shown = ask("GET /api/v1/kpis", Value::Null);
    let automation = shown["kpis"].as_array().expect("figures")[0].clone();
    assert_eq!((&automation["value"], &automation["of"]), (&json!(1.0), &json!(2)), "what is open again has not ended");
}

#[test]
fn answers_that_came_from_what_is_kept_are_counted_against_all_that_only_read() {
    let tools = "\
tools:
  - {name: look, kind: script, class: read, results: [{output: {found: 1}}]}
  - {name: act, kind: script, class: keyed, irreversible: done, results: [{output: {done: 1}}]}
";
    let place =
        TestFolder::with(&[("baton.toml", "[tools.tool.look]\ncache_seconds = 600\n"), ("tools/tools.yaml", tools)]);
    let server = BatonServer::start(&place);
    let key = server.key().expect("a key").to_owned();
    for tool in ["look", "look", "look", "look", "act", "act"] {
        let call = json!({ "arguments": {} });
        server.ask(&format!("POST /api/v1/tools/{tool}/execute"), &key, "", &call).expect_status(200);
    }
    let shown = server.ask("GET /api/v1/kpis", &key, "", &Value::Null).expect_status(200);
    let rate = shown["kpis"].as_array().expect("figures").iter().find(|kpi| kpi["name"] == "cache_hit_rate");
    let rate = rate.expect("a figure");
    assert_eq!((&rate["value"], &rate["of"], &rate["verdict"]), (&json!(0.75), &json!(4), &json!("met")), "{rate}");
}
