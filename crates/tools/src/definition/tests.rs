use serde_json::{Value, json};

use super::*;

#[track_caller]
fn refused(given: Value, place: &str, reason: &str) {
    match ToolDefinition::parse(given) {
        Err(ToolSetupError::Definition { place: found, reason: said, .. }) => {
            assert_eq!(found, place, "{said}");
            assert!(said.contains(reason), "{said}");
        }
        other => panic!("{other:?}"),
    }
}

fn script(results: &Value) -> Value {
    json!({"name": "t", "kind": "script", "results": results})
}

fn http(more: &Value) -> Value {
    let mut tool = json!({"name": "t", "kind": "http", "url": "https://api.example.com/x"});
    tool.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    tool
}

#[test]
fn a_document_holds_one_tool_or_several() {
    let one = script(&json!([{"output": 1}]));
    let names = |document: Value| ToolDefinition::parse(document).unwrap().tools.len();
    assert_eq!(names(one.clone()), 1);
    assert_eq!(names(json!([one, one])), 2);
    assert_eq!(names(json!({"tools": [one]})), 1);
    assert_eq!(ToolDefinition::parse(one).unwrap().tools[0].name(), "t");
}

#[test]
fn what_the_recipe_shows_can_be_used() {
    let recipe = include_str!("../../../../docs/recipes/add-a-tool.md");
    let examples: Vec<&str> = recipe.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(examples.len(), 4);
    for example in examples {
        let mut document = baton_core::definition::source::read(example.as_bytes()).unwrap().to_json();
        // The app has already read the file at this point.
        if document["document"].is_string() {
            document["document"] = json!({"openapi": "3.1.0", "paths": {
                "/items": {"post": {"operationId": "addItem"}}, "/all": {"delete": {}},
                "/search": {"post": {"parameters": [{"name": "locale", "in": "query", "schema": {"type": "string"}}]}},
            }});
        }
        ToolDefinition::parse(document).unwrap();
    }
}

#[test]
fn a_mistake_is_told_with_its_place() {
    refused(json!(7), "", "an object with `name` and `kind`");
    refused(json!({"name": "t"}), "kind", "`kind: script`, `kind: http`, `kind: openapi` or `kind: mcp`");
    refused(json!({"name": "t", "kind": "soap"}), "kind", "`soap` is no kind");
    refused(json!({"name": "a b", "kind": "script"}), "name", "letters, digits");
    refused(json!({"name": "t", "kind": "script", "parameters": {"type": "strnig"}}), "parameters", "no JSON Schema");
    refused(json!({"name": "t", "kind": "script", "cost_usd": -1}), "cost_usd", "zero or more");
    refused(json!({"name": "t", "kind": "script", "resluts": []}), "", "unknown field `resluts`");
    refused(script(&json!([])), "results", "1 to 1000");
    refused(script(&json!([{}])), "results.0", "an `output` or a `fault`");
    refused(script(&json!([{"output": "{{ argumens.x }}"}])), "results.0.output", "did you mean `arguments`?");
    refused(script(&json!([{"output": 1}, {"output": "{{ x"}])), "results.1.output", "");
    refused(script(&json!([{"output": 1, "when": "a >"}])), "results.0.when", "");
    refused(script(&json!([{"output": 1, "when": 5}])), "results.0.when", "an expression");
    refused(script(&json!([{"output": 1, "fault": {"code": "X"}}])), "results.0.fault", "unknown: true");
    refused(script(&json!([{"output": 1, "latency_ms": 1e9 as u64}])), "results.0.latency_ms", "at most");
}

#[test]
fn a_request_template_says_whom_it_calls() {
    refused(http(&json!({"url": "https://{{ arguments.host }}/x"})), "url", "written out");
    refused(http(&json!({"url": "https://me:pw@api.example.com/"})), "url", "no credentials");
    refused(http(&json!({"url": "/x"})), "url", "https://host/path");
    refused(http(&json!({"url": "ftp://api.example.com/"})), "url", "http:// or https://");
    refused(http(&json!({"url": "https://api.example.com/{{ secrets.token }}"})), "url", "unknown name `secrets`");
    refused(http(&json!({"query": {"q": "{{ argument.q }}"}})), "query.q", "did you mean `arguments`?");
    refused(http(&json!({"method": "BREW"})), "method", "`BREW` is none of");
    refused(http(&json!({"result": "a["})), "result", "");
    refused(
        http(&json!({"errors": [{"when": "stauts == `402`", "code": "X"}]})),
        "errors.0.when",
        "did you mean `status`?",
    );
    refused(http(&json!({"lookup": {"url": "https://api.example.com/", "done": "body."}})), "lookup.done", "");
}

#[test]
fn a_compensation_is_checked_where_it_is_written() {
    let undone_by = |booking: &str| json!({"compensation": {"tool_name": "free", "parameters": {"id": booking}}});
    let place = "compensation.parameters";
    refused(http(&undone_by("{{ outptu.id }}")), place, "unknown name `outptu`; did you mean `output`?");
    refused(http(&undone_by("{{ output.")), place, "");
    // A name of the calling run: one of its input or of a node.
    for known in ["{{ output.id }}", "{{ arguments.id }}", "{{ customer.id }}"] {
        ToolDefinition::parse(http(&undone_by(known))).unwrap();
    }
}

#[test]
fn a_class_is_one_that_the_tool_can_keep() {
    refused(http(&json!({"class": "keyed"})), "class", "idempotency_header");
    refused(http(&json!({"class": "verify"})), "class", "lookup");
    refused(http(&json!({"class": "pure"})), "class", "not `pure`");
    let class = |more: Value| ToolDefinition::parse(http(&more)).unwrap().tools[0].profile.class.unwrap();
    use baton_core::tool::EffectClass;
    assert_eq!(class(json!({})), EffectClass::Once);
    assert_eq!(class(json!({"method": "get"})), EffectClass::Read);
    assert_eq!(class(json!({"idempotency_header": "Idempotency-Key"})), EffectClass::Keyed);
    assert_eq!(class(json!({"method": "PUT", "class": "keyed"})), EffectClass::Keyed);
    assert_eq!(class(json!({"lookup": {"url": "https://api.example.com/", "done": "body.done"}})), EffectClass::Verify);
}
