//! `GET /api/v1/kpis`, from outside.

use serde_json::{Value, json};

use crate::place::Place;
use crate::server::Server;

const WELL: &str = "name: well\nnodes: [{id: say, type: transform, set: {said: hello}}]\n";
const BADLY: &str = "name: badly\nnodes: [{id: sub, type: subworkflow, workflow: well}, {id: try, tool: broken}]\nedges: [{from: sub, to: try}]\n";
const TOOLS: &str =
    "tools:\n  - {name: broken, kind: script, class: read, results: [{fault: {code: DECLINED, message: no}}]}\n";

#[test]
fn each_figure_says_what_it_is_what_it_should_be_and_whether_it_is() {
    let place =
        Place::with(&[("tools/tools.yaml", TOOLS), ("workflows/well.yaml", WELL), ("workflows/badly.yaml", BADLY)]);
    let server = Server::start(&place);
    let key = server.key().expect("a key").to_owned();
    let ask = |request: &str, body: &Value| server.ask(request, &key, "", body);
    let named = |shown: &Value, name: &str| {
        let kpis = shown["kpis"].as_array().expect("figures").iter();
        kpis.clone().find(|kpi| kpi["name"] == name).unwrap_or_else(|| panic!("no {name}: {shown}")).clone()
    };

    let shown = ask("GET /api/v1/kpis", &Value::Null).ends(200);
    assert_eq!(shown["kpis"].as_array().expect("figures").len(), 9);
    assert!(shown["kpis"].as_array().expect("figures").iter().all(|kpi| kpi["verdict"] == "no_data"), "{shown}");

    for (workflow, count) in [("well", 3), ("badly", 1)] {
        for _ in 0..count {
            ask("POST /api/v1/workflows/execute", &json!({ "workflow_id": workflow, "input_data": {} })).ends(200);
        }
    }
    let shown = ask("GET /api/v1/kpis?days=1", &Value::Null).ends(200);
    assert_eq!(shown["complete"], true);
    let success = named(&shown, "success_rate");
    assert_eq!((&success["value"], &success["of"]), (&json!(0.75), &json!(4)), "runs that others began do not count");
    assert_eq!((&success["target"], &success["verdict"]), (&json!({ "at_least": 0.9 }), &json!("missed")));
    assert_eq!(named(&shown, "error_rate")["value"], json!(0.25));
    assert_eq!(named(&shown, "csat")["verdict"], "no_data", "there were no conversations");

    let document = ask("GET /api/v1/openapi.json", &Value::Null).ends(200);
    let whole = json!({ "$ref": "#/components/schemas/Kpis", "components": document["components"] });
    let faults: Vec<String> = jsonschema::validator_for(&whole)
        .expect("a schema")
        .iter_errors(&shown)
        .map(|fault| fault.to_string())
        .collect();
    assert!(faults.is_empty(), "{faults:?}\n{shown}");

    let refused = ask("GET /api/v1/kpis?days=0", &Value::Null).ends(400);
    assert_eq!(refused["detail"], "`days`: it must be 1 to 366");
}
