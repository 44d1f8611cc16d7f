//! Output schemas that servers declare.

use baton_core::tool::ToolOutcome;
use serde_json::{Value, json};

use super::{at, call, registry, service, tool};
use crate::testing::service::FakeService;
use crate::testing::{not_done, unknown};
use crate::{ToolDefinition, ToolRegistry, ToolRisk, ToolsConfig};

/// The dialect that the TypeScript SDK uses.
const DIALECT: &str = "http://json-schema.org/draft-07/schema#";

/// Declares a number in `seat`, and returns what the caller passes.
fn promising(name: &str, annotations: Value) -> Value {
    let mut tool = tool(name, annotations);
    tool["outputSchema"] = json!({"$schema": DIALECT, "type": "object", "required": ["seat"], "properties": {"seat": {"$ref": "#/$defs/Seat"}},
        "$defs": {"Seat": {"type": "integer"}}});
    tool
}

async fn server() -> FakeService {
    let tools = json!([
        promising("look", json!({"readOnlyHint": true})),
        promising("book", json!({})),
        tool("free", json!({}))
    ]);
    service(move |method, params| match method {
        "tools/list" => Some(json!({"tools": tools})),
        "tools/call" => {
            let mut result = json!({"content": [{"type": "text", "text": "said"}]});
            if let Some(data) = params["arguments"].get("data") {
                result["structuredContent"] = data.clone();
            }
            Some(result)
        }
        _ => None,
    })
    .await
}

async fn said(registry: &ToolRegistry, tool: &str, data: Option<Value>) -> ToolOutcome {
    call(registry, tool, data.map_or(json!({}), |data| json!({"data": data}))).await
}

#[tokio::test]
async fn an_answer_that_breaks_its_servers_promise_is_no_result() {
    let server = server().await;
    let registry = registry(&at(&server, json!({"trusted": true})), json!({})).await;
    let kept = said(&registry, "far.look", Some(json!({"seat": 7}))).await;
    assert!(matches!(&kept, ToolOutcome::Done { output, .. } if output["structured"]["seat"] == 7), "{kept:?}");
    let (code, message) = not_done(said(&registry, "far.look", Some(json!({"seat": "window"}))).await);
    assert_eq!(code, "SERVICE_UNAVAILABLE");
    assert!(message.contains("its own `outputSchema`") && message.contains("`seat`"), "{message}");
    assert!(!message.contains("window"), "what was said is nobody's here: {message}");
    assert!(not_done(said(&registry, "far.look", None).await).1.contains("no data in it"));
    // A tool with side effects has acted, and its outcome is unknown.
    assert_eq!(unknown(said(&registry, "far.book", Some(json!({}))).await).0, "SERVICE_UNAVAILABLE");
    for data in [None, Some(json!({"seat": "window"}))] {
        assert!(matches!(said(&registry, "far.free", data).await, ToolOutcome::Done { .. }), "it promises nothing");
    }
}

#[tokio::test]
async fn what_a_server_promises_is_in_the_catalogue_unless_a_person_says_otherwise() {
    let server = server().await;
    let whole = json!({
        "$schema": DIALECT, "type": "object", "required": ["text", "structured"], "$defs": {"Seat": {"type": "integer"}},
        "properties": {"text": {"type": "string"}, "structured": {
            "type": "object", "required": ["seat"], "properties": {"seat": {"$ref": "#/$defs/Seat"}}}},
    });
    let own = json!({"type": "object"});
    let registry =
        registry(&at(&server, json!({"tools": {"book": {"output_schema": own, "version": "x"}}})), json!({})).await;
    let described = |name: &str| registry.describe_shared(name).unwrap();
    assert_eq!(described("far.look").output_schema.as_deref(), Some(&whole));
    assert_eq!(described("far.look").version.as_deref(), Some("1"), "the server's");
    assert_eq!(described("far.free").output_schema, None);
    assert_eq!(
        (described("far.book").output_schema.as_deref(), described("far.book").version.as_deref()),
        (Some(&own), Some("x"))
    );
    assert_eq!(described("far.book").risk, ToolRisk::High);
    // An output schema in the definition overrides the server's.
    assert!(matches!(said(&registry, "far.book", Some(json!({}))).await, ToolOutcome::Done { .. }));
}

#[tokio::test]
async fn a_promise_that_is_none_is_named_and_the_tool_is_there() {
    let service = service(|method, _| {
        let mut broken = promising("broken", json!({}));
        broken["outputSchema"]["properties"] = json!({"seat": {"type": "chair"}});
        let mut wide = promising("wide", json!({}));
        wide["outputSchema"]["description"] = json!("x".repeat(100_000));
        (method == "tools/list").then(|| json!({"tools": [broken, wide]}))
    })
    .await;
    let source = at(&service, json!({}));
    let (tools, unsupported) = source.tools(&source.list(&ToolsConfig::default()).await.unwrap());
    assert_eq!(tools.iter().map(ToolDefinition::name).collect::<Vec<_>>(), ["far.broken", "far.wide"]);
    let places: Vec<&str> = unsupported.iter().map(|part| part.place.as_str()).collect();
    assert_eq!(places, ["tools.broken.outputSchema", "tools.wide.outputSchema"]);
}
