//! Tests against servers that implement the protocol by hand: small shell scripts, and a service on loopback. `cargo
//! xtask test` covers servers of the official libraries.

mod output_schema;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use baton_core::tool::{EffectClass, QuestionOutcome, QuestionReply, ToolInvocation, ToolOutcome, ToolQuestion};
use baton_ports::tools::ToolGateway as _;
use serde_json::{Value, json};

use super::McpSource;
use crate::testing::service::{CannedResponse, FakeService, RecordedRequest, json as says};
use crate::testing::{InMemoryRecords, ManualClock, NOW, not_done, unknown};
use crate::{ToolDefinition, ToolRegistry, ToolRisk, ToolServices, ToolsConfig};

/// A server as a shell script. It responds by the name of the method; `CALL` is what it does when a tool is called.
const SHELL: &str = r#"
while read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
  case "$line" in
    *'"method":"initialize"'*) echo '{"jsonrpc":"2.0","id":'"$id"',"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}}';;
    *'"method":"tools/list"'*) echo '{"jsonrpc":"2.0","id":'"$id"',"result":{"tools":[{"name":"act","description":"Acts","inputSchema":{"type":"object","properties":{"word":{"type":"string"}}}}]}}';;
    *'"method":"tools/call"'*) CALL;;
    *'"id"'*) echo '{"jsonrpc":"2.0","id":'"$id"',"error":{"code":-32601,"message":"Method not found"}}';;
  esac
done
"#;
/// The default result of the shell server's tool.
const ANSWERS: &str = r#"echo '{"jsonrpc":"2.0","id":'"$id"',"result":{"content":[{"type":"text","text":"acted"}]}}'"#;

fn source(definition: Value) -> McpSource {
    let mut parsed = ToolDefinition::parse(definition).unwrap();
    assert_eq!((parsed.sources.len(), parsed.tools.len()), (1, 0));
    parsed.sources.remove(0)
}

fn shell(call: &str, more: Value) -> McpSource {
    let script = SHELL.replace("CALL", call);
    let mut definition = json!({"name": "sh", "kind": "mcp", "command": "sh", "args": ["-c", script]});
    definition.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    source(definition)
}

/// A registry that knows the tools that the server lists.
async fn registry(source: &McpSource, config: Value) -> ToolRegistry {
    let config: ToolsConfig = serde_json::from_value(config).unwrap();
    let listing = source.list(&config).await.unwrap();
    let (tools, unsupported) = source.tools(&listing);
    assert_eq!(unsupported, []);
    let services = ToolServices::new(Arc::new(InMemoryRecords::default()), Arc::new(ManualClock::at(NOW)));
    ToolRegistry::with_sources(config, tools, vec![source.clone()], &services).unwrap()
}

async fn call(registry: &ToolRegistry, tool: &str, arguments: Value) -> ToolOutcome {
    call_within(registry, tool, arguments, Duration::from_secs(20)).await
}

async fn call_within(registry: &ToolRegistry, tool: &str, arguments: Value, limit: Duration) -> ToolOutcome {
    call_of(registry, None, tool, arguments, limit).await
}

async fn call_of(
    registry: &ToolRegistry,
    tenant: Option<&str>,
    tool: &str,
    arguments: Value,
    limit: Duration,
) -> ToolOutcome {
    let mut call = crate::testing::ToolsFixture::new().call("run/node/0/0", tool, arguments);
    if let Some(tenant) = tenant {
        call.tenant = tenant.into();
    }
    perform(registry, call, limit).await
}

/// Calls a tool with earlier answers to its questions.
async fn call_with(registry: &ToolRegistry, tool: &str, replies: &[(&ToolQuestion, QuestionOutcome)]) -> ToolOutcome {
    let mut call = crate::testing::ToolsFixture::new().call("run/node/0/1", tool, json!({}));
    let reply = |(question, said): &(&ToolQuestion, QuestionOutcome)| QuestionReply {
        question: (*question).clone(),
        said: said.clone(),
    };
    call.replies = replies.iter().map(reply).collect();
    perform(registry, call, Duration::from_secs(20)).await
}

/// The question of a call.
#[track_caller]
fn asks(outcome: ToolOutcome) -> ToolQuestion {
    match outcome {
        ToolOutcome::Asks { question, .. } => *question,
        other => panic!("it asks nothing: {other:?}"),
    }
}

/// The text of a completed call.
#[track_caller]
fn text(outcome: ToolOutcome) -> String {
    match outcome {
        ToolOutcome::Done { output, .. } => output["text"].as_str().unwrap().to_owned(),
        other => panic!("not done: {other:?}"),
    }
}

fn seat(seat: &str) -> QuestionOutcome {
    QuestionOutcome::Filled { form: json!({"seat": seat}) }
}

async fn perform(registry: &ToolRegistry, mut call: ToolInvocation, limit: Duration) -> ToolOutcome {
    call.class = registry.facts(&call.tool).unwrap().class;
    match registry.check(&call, None).await {
        baton_ports::tools::CheckResult::Permitted(permit) => permit.perform(limit).await.outcome,
        baton_ports::tools::CheckResult::Answered(performed) => performed.outcome,
        _ => panic!("held back"),
    }
}

#[tokio::test]
async fn a_program_is_started_asked_and_called() {
    let registry = registry(&shell(ANSWERS, json!({})), json!({})).await;
    let described = registry.describe_shared("sh.act").unwrap();
    assert_eq!((described.provider, described.facts.description.as_str()), ("mcp", "Acts"));
    let outcome = call(&registry, "sh.act", json!({"word": "now"})).await;
    assert!(matches!(&outcome, ToolOutcome::Done { output, .. } if output["text"] == "acted"), "{outcome:?}");
    let (code, _) = not_done(call(&registry, "sh.act", json!({"word": 7})).await);
    assert_eq!(code, "INVALID_PARAMETERS", "its schema holds here already");
}

#[tokio::test]
async fn a_program_is_given_the_variables_that_are_named_and_no_others() {
    let tells = r#"echo '{"jsonrpc":"2.0","id":'"$id"',"result":{"content":[{"type":"text","text":"'"$TOKEN $(env | cut -d= -f1 | sort | tr '\n' ' ')"'"}]}}'"#;
    let env = json!({"env": {"TOKEN": "{{ secrets.sh }}"}});
    let registry = registry(&shell(tells, env.clone()), json!({"secrets": {"sh": "t0ken"}})).await;
    let ToolOutcome::Done { output, .. } = call(&registry, "sh.act", json!({})).await else { panic!("not done") };
    let told = output["text"].as_str().unwrap();
    assert!(told.starts_with("t0ken ") && told.contains(" PATH "), "{told}");
    // The test runner's own variables are not passed on.
    assert!(std::env::var("CARGO_MANIFEST_DIR").is_ok() && !told.contains("CARGO"), "{told}");
    let unset = shell(tells, env).list(&ToolsConfig::default()).await.unwrap_err();
    assert!(unset.contains("[tools.secrets]"), "{unset}");
}

#[tokio::test]
async fn a_program_that_dies_in_the_middle_of_a_call_leaves_it_unclear_and_is_started_again_later() {
    let source = shell("echo dying >&2; exit 3", json!({}));
    let registry = registry(&source, json!({})).await;
    let (code, message) = crate::testing::unknown(call(&registry, "sh.act", json!({})).await);
    assert_eq!(code, "SERVICE_UNAVAILABLE", "{message}");
    let (code, message) = not_done(call(&registry, "sh.act", json!({})).await);
    assert_eq!(code, "SERVICE_UNAVAILABLE");
    assert!(message.contains("the connection broke") && message.contains("it is tried again in"), "{message}");
}

#[tokio::test]
async fn a_program_that_starts_slowly_is_started_once_for_all_who_wait() {
    let folder = tempfile::tempdir().unwrap();
    let (starts, gate) = (folder.path().join("starts"), folder.path().join("gate"));
    std::fs::write(&gate, "").unwrap();
    let slow = format!("echo start >> {}; while [ ! -e {} ]; do :; done; ", starts.display(), gate.display());
    let script = slow + &SHELL.replace("CALL", ANSWERS);
    let source = source(json!({"name": "sh", "kind": "mcp", "command": "sh", "args": ["-c", script]}));
    let registry = registry(&source, json!({})).await;

    // Too slow for these calls: they time out without having done anything, and the start continues without them.
    std::fs::remove_file(&gate).unwrap();
    let impatient = || call_within(&registry, "sh.act", json!({}), Duration::from_millis(150));
    let (first, second) = futures::future::join(impatient(), impatient()).await;
    for outcome in [first, second, impatient().await] {
        let ToolOutcome::NotDone { fault, retryable: true, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(fault.code, "TIMEOUT");
    }
    std::fs::write(&gate, "").unwrap();
    let outcome = call(&registry, "sh.act", json!({})).await;
    assert!(matches!(&outcome, ToolOutcome::Done { output, .. } if output["text"] == "acted"), "{outcome:?}");
    let lines = std::fs::read_to_string(&starts).unwrap();
    assert_eq!(lines, "start\nstart\n", "one start for the list, one for all calls");
}

#[tokio::test]
async fn no_two_tenants_speak_with_a_server_by_the_same_connection() {
    let folder = tempfile::tempdir().unwrap();
    // Each start is another program, which counts its calls.
    let starts = folder.path().join("starts");
    let counts =
        r#"n=$((n+1)); echo '{"jsonrpc":"2.0","id":'"$id"',"result":{"content":[{"type":"text","text":"'"$n"'"}]}}'"#;
    let script = format!("echo start >> {}; n=0; ", starts.display()) + &SHELL.replace("CALL", counts);
    let source = source(json!({"name": "sh", "kind": "mcp", "command": "sh", "args": ["-c", script]}));
    let registry = registry(&source, json!({})).await;
    let counted = async |tenant: &str| {
        let outcome = call_of(&registry, Some(tenant), "sh.act", json!({}), Duration::from_secs(20)).await;
        let ToolOutcome::Done { output, .. } = outcome else { panic!("{outcome:?}") };
        output["text"].as_str().unwrap().to_owned()
    };
    assert_eq!((counted("acme").await, counted("acme").await), ("1".to_owned(), "2".to_owned()));
    assert_eq!((counted("other").await, counted("acme").await), ("1".to_owned(), "3".to_owned()));
    // The connection unused for the longest time is closed, and opened again later.
    for tenant in 0..31 {
        counted(&format!("t{tenant}")).await;
    }
    assert_eq!(counted("acme").await, "4", "it was used after the other");
    assert_eq!(counted("other").await, "1");
    let starts = std::fs::read_to_string(&starts).unwrap();
    assert_eq!(starts.lines().count(), 1 + 2 + 31 + 1, "one for the list, one a tenant, and the one who came back");
}

#[tokio::test]
async fn what_is_no_server_is_said_to_be_none_with_its_last_words() {
    let of = |script: &str| source(json!({"name": "sh", "kind": "mcp", "command": "sh", "args": ["-c", script]}));
    let reason = of("echo no database >&2; exit 1").list(&ToolsConfig::default()).await.unwrap_err();
    assert!(reason.contains("does not speak MCP") && reason.contains("it said: no database"), "{reason}");
    let absent = source(json!({"name": "sh", "kind": "mcp", "command": "no-such-program-anywhere"}));
    let reason = absent.list(&ToolsConfig::default()).await.unwrap_err();
    assert!(reason.contains("`no-such-program-anywhere` cannot be started"), "{reason}");
}

#[tokio::test]
async fn garbage_without_end_and_silence_are_given_up_in_time() {
    for script in ["yes garbage", "while read -r line; do :; done", "cat /dev/zero"] {
        let hostile = source(json!({"name": "sh", "kind": "mcp", "command": "sh", "args": ["-c", script]}));
        let listed = hostile.list_within(&ToolsConfig::default(), Duration::from_secs(1)).await;
        assert_eq!(listed, Err("no list of tools within 1 s".to_owned()), "{script}");
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_is_cancelled_at_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let note = folder.path().join("cancelled");
    // The call gets no response; the cancellation notice is recorded.
    let script = SHELL.replace("CALL", "true").replace(
        "*'\"id\"'*)",
        &format!("*'notifications/cancelled'*) echo yes > {};;\n    *'\"id\"'*)", note.display()),
    );
    let source = source(json!({"name": "sh", "kind": "mcp", "command": "sh", "args": ["-c", script]}));
    let registry = registry(&source, json!({})).await;
    let outcome = call_within(&registry, "sh.act", json!({}), Duration::from_millis(300)).await;
    assert!(matches!(&outcome, ToolOutcome::Unknown { fault } if fault.code == "TIMEOUT"), "{outcome:?}");
    let heard = async {
        while !note.exists() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), heard).await.expect("the server heard of it");
}

/// An HTTP server that responds to a method with `results(method, params)`, or with an error if it returns `None`.
async fn service(results: impl Fn(&str, &Value) -> Option<Value> + Send + Sync + 'static) -> FakeService {
    FakeService::start(move |asked: &RecordedRequest| {
        if asked.method != "POST" {
            return CannedResponse::Answer(405, String::new(), String::new());
        }
        let message = asked.json();
        let (method, params) = (message["method"].as_str().unwrap_or_default(), &message["params"]);
        if message.get("id").is_none() {
            return CannedResponse::Answer(202, String::new(), String::new());
        }
        let result = match method {
            "initialize" => Some(json!({
                "protocolVersion": "2025-06-18", "capabilities": {"tools": {"listChanged": true}},
                "serverInfo": {"name": "http", "version": "1"},
            })),
            method => results(method, params),
        };
        match result {
            Some(error) if error.get("code").is_some() => {
                says(200, &json!({"jsonrpc": "2.0", "id": message["id"], "error": error}))
            }
            Some(result) => says(200, &json!({"jsonrpc": "2.0", "id": message["id"], "result": result})),
            None => {
                let error = json!({"code": -32601, "message": "Method not found"});
                says(200, &json!({"jsonrpc": "2.0", "id": message["id"], "error": error}))
            }
        }
    })
    .await
}

fn tool(name: &str, annotations: Value) -> Value {
    json!({"name": name, "description": name, "inputSchema": {"type": "object"}, "annotations": annotations})
}

fn at(service: &FakeService, more: Value) -> McpSource {
    let mut definition = json!({"name": "far", "kind": "mcp", "url": service.url("/mcp")});
    definition.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    source(definition)
}

#[tokio::test]
async fn what_a_server_says_of_its_tools_counts_where_a_person_vouches_for_it() {
    let tools = json!([
        tool("look", json!({"readOnlyHint": true})),
        tool("set", json!({"idempotentHint": true, "destructiveHint": false})),
        tool("append", json!({"destructiveHint": false})),
        tool("wipe", json!({})),
    ]);
    let service = service(move |method, _| (method == "tools/list").then(|| json!({"tools": tools}))).await;
    let facts = async |more: Value| -> BTreeMap<String, (EffectClass, ToolRisk)> {
        let source = at(&service, more);
        let registry = registry(&source, json!({})).await;
        let of = |name: &str| {
            let described = registry.describe_shared(&format!("far.{name}")).unwrap();
            (name.to_owned(), (described.facts.class, described.risk))
        };
        ["look", "set", "append", "wipe"].map(of).into()
    };
    let all = |class, risk| ["look", "set", "append", "wipe"].map(|name| (name.to_owned(), (class, risk))).into();
    assert_eq!(facts(json!({})).await, all(EffectClass::Once, ToolRisk::High));
    let trusted = facts(json!({"trusted": true})).await;
    assert_eq!(trusted["look"], (EffectClass::Read, ToolRisk::Low));
    assert_eq!(trusted["set"], (EffectClass::Keyed, ToolRisk::Medium));
    assert_eq!(trusted["append"], (EffectClass::Once, ToolRisk::Medium));
    assert_eq!(trusted["wipe"], (EffectClass::Once, ToolRisk::High));
    let said = json!({"tools": {"look": {"class": "read", "risk": "low"}, "set": {"risk": "medium"}}});
    let said = facts(said).await;
    assert_eq!(
        (said["look"], said["set"]),
        ((EffectClass::Read, ToolRisk::Low), (EffectClass::Once, ToolRisk::Medium))
    );
    // Settings of one tool take precedence over settings of all tools.
    let said = facts(json!({"risk": "low", "tools": {"set": {"risk": "medium"}}})).await;
    assert_eq!((said["wipe"].1, said["set"].1), (ToolRisk::Low, ToolRisk::Medium));
}

#[tokio::test]
async fn all_pages_of_a_list_are_read_and_a_list_without_end_is_not() {
    let pages = service(|method, params| {
        let page = params["cursor"].as_str().unwrap_or("0").parse::<usize>().unwrap();
        let mut result = json!({"tools": [tool(&format!("t{page}"), json!({}))]});
        if page < 3 {
            result["nextCursor"] = json!((page + 1).to_string());
        }
        (method == "tools/list").then_some(result)
    })
    .await;
    assert_eq!(at(&pages, json!({})).list(&ToolsConfig::default()).await.unwrap().len(), 4);
    let endless = service(|method, _| {
        (method == "tools/list").then(|| json!({"tools": [tool("again", json!({}))], "nextCursor": "more"}))
    })
    .await;
    let source = at(&endless, json!({}));
    let listing = source.list(&ToolsConfig::default()).await.unwrap();
    let (tools, unsupported) = source.tools(&listing);
    assert_eq!((tools.len(), unsupported.len()), (super::listing::PAGES_MAX, 1), "{unsupported:?}");
}

#[tokio::test]
async fn what_cannot_be_used_of_a_list_is_named_and_the_rest_is_there() {
    let service = service(|method, _| {
        let mut wide = tool("wide", json!({}));
        wide["inputSchema"]["description"] = json!("x".repeat(100_000));
        let mut bare = tool("bare", json!({}));
        bare["inputSchema"] = json!({"type": "string"});
        (method == "tools/list")
            .then(|| json!({"tools": [wide, bare, tool("good one", json!({})), tool("left", json!({}))]}))
    })
    .await;
    let source = at(&service, json!({"prefix": "f", "exclude": ["le*"], "tools": {"gone": {"risk": "low"}}}));
    let listing = source.list(&ToolsConfig::default()).await.unwrap();
    let (tools, unsupported) = source.tools(&listing);
    assert_eq!(tools.iter().map(ToolDefinition::name).collect::<Vec<_>>(), ["f.good_one"]);
    let places: Vec<&str> = unsupported.iter().map(|part| part.place.as_str()).collect();
    assert_eq!(places, ["tools.wide", "tools.bare"]);
}

#[tokio::test]
async fn what_a_definition_names_and_the_server_does_not_have_is_doubted_with_what_may_be_meant() {
    let service = service(|method, _| {
        let names = ["add", "subtract", "list_all", "list_one", "multiply", "divide"];
        (method == "tools/list").then(|| json!({"tools": names.map(|name| tool(name, json!({})))}))
    })
    .await;
    let doubts = async |more: Value| {
        let source = at(&service, more);
        let listing = source.list(&ToolsConfig::default()).await.unwrap();
        let told = source.warnings(&listing).into_iter();
        told.map(|doubt| format!("{}: {}; {}", doubt.place, doubt.message, doubt.hint)).collect::<Vec<_>>()
    };
    let sound = json!({"include": ["add", "list_*"], "exclude": ["list_one"], "tools": {"add": {"class": "read"}}});
    assert_eq!(doubts(sound).await, [""; 0]);
    let wrong = json!({
        "include": ["addd", "list_*", "nothing_like_it"], "exclude": ["le*"],
        "tools": {"substract": {"class": "read"}, "divide": {"risk": "low"}},
    });
    assert_eq!(
        doubts(wrong).await,
        [
            "include.0: `addd` fits no tool of the server; did you mean `add`?",
            "include.2: `nothing_like_it` fits no tool of the server; it has `add`, `subtract`, `list_all`, `list_one`, \
             `multiply` and 1 more",
            "exclude.0: `le*` fits no tool of the server; it has `add`, `subtract`, `list_all`, `list_one`, `multiply` \
             and 1 more",
            "tools.divide: `divide` is left out by `include` or `exclude`, so this holds for none; take it in there, or \
             leave this out",
            "tools.substract: the server has no tool `substract`, so this holds for none; did you mean `subtract`?",
        ]
    );
    // Nothing is known about a server that was never reached.
    let source = at(&service, json!({"include": ["addd"]}));
    assert!(source.warnings(&super::McpToolListing::default()).is_empty());
}

#[tokio::test]
async fn every_kind_of_answer_is_told() {
    let service = service(|method, params| match (method, params["name"].as_str()) {
        ("tools/list", _) => Some(json!({"tools": [
            tool("rich", json!({})), tool("fails", json!({})), tool("wrong", json!({})), tool("breaks", json!({})),
        ]})),
        ("tools/call", Some("rich")) => Some(json!({
            "structuredContent": {"n": 1},
            "content": [
                {"type": "text", "text": "one"}, {"type": "text", "text": "two"},
                {"type": "image", "data": "AP8=", "mimeType": "image/png"},
                {"type": "audio", "data": "A".repeat(2 << 20), "mimeType": "audio/wav"},
                {"type": "resource_link", "uri": "file:///a", "name": "a"},
                {"type": "resource", "resource": {"uri": "file:///b", "mimeType": "text/plain", "text": "b"}},
            ],
        })),
        ("tools/call", Some("fails")) => {
            Some(json!({"isError": true, "content": [{"type": "text", "text": "no such seat"}]}))
        }
        ("tools/call", Some("wrong")) => Some(json!({"code": -32602, "message": "seat is no number"})),
        ("tools/call", Some("breaks")) => Some(json!({"code": -32603, "message": "internal"})),
        _ => None,
    })
    .await;
    let registry = registry(&at(&service, json!({})), json!({})).await;
    let ToolOutcome::Done { output, .. } = call(&registry, "far.rich", json!({})).await else { panic!("not done") };
    assert_eq!(
        *output,
        json!({
            "text": "one\ntwo", "structured": {"n": 1},
            "images": [{"mime_type": "image/png", "data": "AP8="}],
            "sounds": [{"mime_type": "audio/wav", "left_out_bytes": 2 << 20}],
            "links": [{"uri": "file:///a", "name": "a", "mime_type": null, "description": null}],
            "resources": [{"uri": "file:///b", "mime_type": "text/plain", "text": "b"}],
        })
    );
    let (code, message) = not_done(call(&registry, "far.fails", json!({})).await);
    assert_eq!((code.as_str(), message.contains("no such seat")), ("SERVICE_REJECTED", true), "{message}");
    assert_eq!(not_done(call(&registry, "far.wrong", json!({})).await).0, "INVALID_PARAMETERS");
    assert_eq!(crate::testing::unknown(call(&registry, "far.breaks", json!({})).await).0, "SERVICE_UNAVAILABLE");
}

#[tokio::test]
async fn what_a_server_asks_in_place_of_acting_is_asked_and_told_with_its_state() {
    let form = json!({"type": "object", "properties": {"seat": {"type": "string"}}, "required": ["seat"]});
    let asks_for = move |name: &str, message: &str, state: &str| {
        json!({
            "resultType": "input_required", "requestState": state,
            "inputRequests": {name: {"method": "elicitation/create", "params": {
                "mode": "form", "message": message, "requestedSchema": form,
            }}},
        })
    };
    let service = service(move |method, params| match method {
        "tools/list" => Some(json!({"tools": [tool("book", json!({}))]})),
        "tools/call" => Some(match params["requestState"].as_str() {
            None => asks_for("seat", "Which seat?", "seat"),
            Some("seat") => asks_for("meal", "Which meal?", "meal"),
            Some(_) => json!({"content": [{"type": "text", "text": params["inputResponses"].to_string()}]}),
        }),
        _ => None,
    })
    .await;
    let within = json!({"tools": {"book": {"answer_within_seconds": 60}}});
    let registry = registry(&at(&service, within), json!({})).await;
    assert_eq!(registry.facts("far.book").unwrap().class, EffectClass::Once, "in place of acting, so whatever it does");
    let outcome = call(&registry, "far.book", json!({})).await;
    assert!(matches!(outcome, ToolOutcome::Asks { within: Some(60_000), .. }), "{outcome:?}");
    let first = asks(outcome);
    assert_eq!((first.message.as_str(), &first.schema["required"]), ("Which seat?", &json!(["seat"])));
    let second = asks(call_with(&registry, "far.book", &[(&first, seat("1A"))]).await);
    assert_eq!(second.message, "Which meal?");
    let done =
        text(call_with(&registry, "far.book", &[(&first, seat("1A")), (&second, QuestionOutcome::Declined)]).await);
    assert_eq!(serde_json::from_str::<Value>(&done).unwrap(), json!({"meal": {"action": "decline"}}));
}

#[tokio::test]
async fn a_server_that_forgot_where_it_asked_is_asked_afresh_and_told_the_answers() {
    let form = json!({"type": "object", "properties": {"seat": {"type": "string"}}});
    let started = Arc::new(AtomicUsize::new(1));
    let now = started.clone();
    let service = service(move |method, params| match method {
        "tools/list" => Some(json!({"tools": [tool("book", json!({}))]})),
        "tools/call" => {
            let state = format!("sealed by {}", now.load(Ordering::Relaxed));
            let asks = json!({
                "resultType": "input_required", "requestState": state,
                "inputRequests": {"seat": {"method": "elicitation/create", "params": {
                    "mode": "form", "message": "Which seat?", "requestedSchema": form,
                }}},
            });
            Some(match params["requestState"].as_str() {
                None => asks,
                Some(known) if known == state => {
                    json!({"content": [{"type": "text", "text": params["inputResponses"]["seat"]["content"]["seat"]}]})
                }
                Some(_) => json!({"code": -32602, "message": "Invalid or expired requestState"}),
            })
        }
        _ => None,
    })
    .await;
    let registry = registry(&at(&service, json!({})), json!({})).await;
    let question = asks(call(&registry, "far.book", json!({})).await);
    started.fetch_add(1, Ordering::Relaxed);
    assert_eq!(text(call_with(&registry, "far.book", &[(&question, seat("1A"))]).await), "1A");
    // If it asks for something else now, that is another question.
    let other = ToolQuestion { message: "Which row?".to_owned(), ..question };
    assert_eq!(asks(call_with(&registry, "far.book", &[(&other, seat("1A"))]).await).message, "Which seat?");
}

#[tokio::test]
async fn what_a_server_asks_for_that_is_no_form_fails_the_call() {
    let asks = json!({
        "resultType": "input_required",
        "inputRequests": {"login": {"method": "elicitation/create", "params": {
            "mode": "url", "message": "Log in", "url": "https://x.example/login?token=t0ken", "elicitationId": "1",
        }}},
    });
    let nothing = json!({"resultType": "input_required", "inputRequests": {}, "requestState": "round 1"});
    let service = service(move |method, params| match method {
        "tools/list" => Some(json!({"tools": [tool("book", json!({})), tool("later", json!({}))]})),
        "tools/call" if params["name"] == "later" => Some(nothing.clone()),
        "tools/call" => Some(asks.clone()),
        _ => None,
    })
    .await;
    let registry = registry(&at(&service, json!({})), json!({})).await;
    let (code, message) = not_done(call(&registry, "far.book", json!({})).await);
    assert!(code == "INPUT_REQUIRED" && message.contains("https://x.example/login,"), "{code}: {message}");
    assert!(!message.contains("t0ken"), "{message}");
    let outcome = call(&registry, "far.later", json!({})).await;
    let ToolOutcome::NotDone { fault, retryable: true, .. } = outcome else { panic!("{outcome:?}") };
    assert!(fault.message.contains("wants to be called again"), "{}", fault.message);
}

/// Asks for a seat during the call.
const ASKS: &str = r#"echo '{"jsonrpc":"2.0","id":900,"method":"elicitation/create","params":{"mode":"form","message":"Which seat?","requestedSchema":{"type":"object","properties":{"seat":{"type":"string"}}}}}'"#;
/// Waits for the answer and ignores other messages meanwhile.
const HEARS: &str = r#"while read -r answer; do case "$answer" in *'"id":900'*) break;; esac; done"#;
const FAILS: &str =
    r#"echo '{"jsonrpc":"2.0","id":'"$id"',"result":{"isError":true,"content":[{"type":"text","text":"no seats"}]}}'"#;
/// Returns what it received, which must contain nothing that ends a word of the shell.
const TELLS: &str = r#"told=$(printf '%s' "$answer" | sed 's/.*"result"://; s/[\"]//g'); echo '{"jsonrpc":"2.0","id":'"$id"',"result":{"content":[{"type":"text","text":"'"$told"'"}]}}'"#;

#[tokio::test]
async fn what_was_asked_in_the_middle_of_an_act_leaves_it_unknown() {
    for class in ["once", "keyed"] {
        let said = json!({"tools": {"act": {"class": class}}});
        let script = format!("{ASKS}; {HEARS}; {FAILS}");
        let acts = registry(&shell(&script, said.clone()), json!({})).await;
        assert!(acts.facts("sh.act").unwrap().class.has_side_effects());
        let (code, message) = unknown(call(&acts, "sh.act", json!({})).await);
        assert_eq!(code, "INPUT_REQUIRED", "{class}: {message}");
        // A result given without the answer counts: with the answer it would act under another key.
        let script = format!("{ASKS}; {HEARS}; {TELLS}");
        let acts = registry(&shell(&script, said), json!({})).await;
        assert_eq!(text(call(&acts, "sh.act", json!({})).await), "{action:cancel}}", "{class}");
    }
}

#[tokio::test]
async fn what_was_asked_in_the_middle_of_a_call_that_may_be_made_again_is_asked_and_told() {
    let script = format!("{ASKS}; {HEARS}; {TELLS}");
    let first = |class: &str| json!({"class": class, "asks_first": true});
    for said in [json!({"class": "read"}), first("keyed"), first("once")] {
        let registry = registry(&shell(&script, json!({"tools": {"act": said}})), json!({})).await;
        let question = asks(call(&registry, "sh.act", json!({})).await);
        assert_eq!(question.message, "Which seat?");
        for (said, told) in [
            (seat("1A"), "{action:accept,content:{seat:1A}}}"),
            (QuestionOutcome::Declined, "{action:decline}}"),
            (QuestionOutcome::Lapsed, "{action:cancel}}"),
        ] {
            assert_eq!(text(call_with(&registry, "sh.act", &[(&question, said)]).await), told);
        }
    }
}

#[tokio::test]
async fn an_answer_is_told_though_other_calls_are_under_way_or_were_given_up() {
    let quick = format!("{ASKS}; {HEARS}; {TELLS}");
    let script = format!("case \"$line\" in *slow*) sleep 1; {FAILS};; *stuck*) ;; *) {quick};; esac");
    let registry = registry(&shell(&script, json!({"tools": {"act": {"class": "read"}}})), json!({})).await;
    let question = asks(call(&registry, "sh.act", json!({})).await);
    let replies = [(&question, seat("1A"))];
    let (slow, told) =
        tokio::join!(call(&registry, "sh.act", json!({"word": "slow"})), call_with(&registry, "sh.act", &replies));
    assert_eq!(
        (not_done(slow).0.as_str(), text(told).as_str()),
        ("SERVICE_REJECTED", "{action:accept,content:{seat:1A}}}")
    );
    let given_up = call_within(&registry, "sh.act", json!({"word": "stuck"}), Duration::from_millis(300)).await;
    assert_eq!(not_done(given_up).0, "TIMEOUT");
    let told = call_with(&registry, "sh.act", &replies).await;
    assert_eq!(text(told), "{action:accept,content:{seat:1A}}}", "on a connection of its own");
}

#[tokio::test]
async fn an_answer_is_told_though_a_call_was_given_up_beside_one_that_it_waits_for() {
    let folder = tempfile::tempdir().unwrap();
    let gate = folder.path().join("gate");
    let quick = format!("{ASKS}; {HEARS}; {TELLS}");
    let waits = format!("while [ ! -e {} ]; do sleep 0.01; done", gate.display());
    let script = format!("case \"$line\" in *slow*) {waits}; {FAILS};; *stuck*) ;; *) {quick};; esac");
    let registry = registry(&shell(&script, json!({"tools": {"act": {"class": "read"}}})), json!({})).await;
    let question = asks(call(&registry, "sh.act", json!({})).await);
    let replies = [(&question, seat("1A"))];
    let stuck = async {
        let given_up = call_within(&registry, "sh.act", json!({"word": "stuck"}), Duration::from_millis(300)).await;
        assert_eq!(not_done(given_up).0, "TIMEOUT");
        // The slow call holds the connection; the answered one waits for it before the gate is opened.
        let opens = async { std::fs::write(&gate, "").unwrap() };
        tokio::join!(biased; call_with(&registry, "sh.act", &replies), opens).0
    };
    let (slow, told) = tokio::join!(call(&registry, "sh.act", json!({"word": "slow"})), stuck);
    assert_eq!(not_done(slow).0, "SERVICE_REJECTED");
    assert_eq!(text(told), "{action:accept,content:{seat:1A}}}");
}

#[tokio::test]
async fn a_question_of_a_call_that_was_given_up_reaches_nobody_else() {
    let script = format!("case \"$line\" in *first*) {ASKS};; *) {FAILS};; esac");
    let registry = registry(&shell(&script, json!({})), json!({})).await;
    let first = call_within(&registry, "sh.act", json!({"word": "first"}), Duration::from_secs(1)).await;
    assert!(!matches!(first, ToolOutcome::Done { .. }), "{first:?}");
    let (code, message) = not_done(call(&registry, "sh.act", json!({"word": "second"})).await);
    assert!(code == "SERVICE_REJECTED" && !message.contains("seat?"), "{code}: {message}");
}

#[tokio::test]
async fn a_list_that_changed_is_the_catalogue_from_then_on() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let service = service(move |method, _| match method {
        // There is one tool at the start, and another when the first call connects.
        "tools/list" => match count.fetch_add(1, Ordering::Relaxed) {
            0 => Some(json!({"tools": [tool("old", json!({}))]})),
            _ => Some(json!({"tools": [tool("new", json!({})), tool("old", json!({}))]})),
        },
        "tools/call" => Some(json!({"content": []})),
        _ => None,
    })
    .await;
    let registry = registry(&at(&service, json!({})), json!({"tool": {"far.new": {"timeout_ms": 123}}})).await;
    assert!(registry.facts("far.new").is_none());
    assert!(matches!(call(&registry, "far.old", json!({})).await, ToolOutcome::Done { .. }));
    let there = async {
        while registry.facts("far.new").is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), there).await.expect("the new tool is there");
    assert_eq!(registry.facts("far.new").unwrap().timeout, Duration::from_millis(123), "the settings hold for it");
}

#[tokio::test]
async fn headers_carry_secrets_and_a_server_that_is_down_is_said_to_be() {
    let service =
        service(|method, _| (method == "tools/list").then(|| json!({"tools": [tool("look", json!({}))]}))).await;
    let secret = json!({"headers": {"Authorization": "Bearer {{ secrets.far }}"}});
    let config = serde_json::from_value(json!({"secrets": {"far": "t0ken"}})).unwrap();
    let listing = at(&service, secret).list(&config).await.unwrap();
    assert!(service.received().iter().all(|asked| asked.header("authorization") == Some("Bearer t0ken")));
    let gone = source(json!({"name": "gone", "kind": "mcp", "url": "http://127.0.0.1:1/mcp"}));
    let reason = gone.list(&ToolsConfig::default()).await.unwrap_err();
    assert!(reason.contains("127.0.0.1") && !reason.contains("rmcp::"), "{reason}");
    // The earlier list stays valid, and a call reports why it fails.
    let (tools, _) = gone.tools(&listing);
    let services = ToolServices::new(Arc::new(InMemoryRecords::default()), Arc::new(ManualClock::at(NOW)));
    let registry = ToolRegistry::with_sources(ToolsConfig::default(), tools, vec![gone], &services).unwrap();
    let outcome = call(&registry, "gone.look", json!({})).await;
    let ToolOutcome::NotDone { fault, retryable: true, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(fault.code, "SERVICE_UNAVAILABLE");
    assert!(fault.message.contains("the MCP server `gone` cannot be reached"), "{}", fault.message);
}

#[test]
fn a_definition_that_cannot_hold_is_refused_with_the_way_out() {
    for (more, expect) in [
        (json!({}), "either `command`"),
        (json!({"command": "x", "url": "https://x.example"}), "either `command`"),
        (json!({"url": "ftp://x.example"}), "https://mcp.example.com/mcp"),
        (json!({"url": "https://me:pw@x.example"}), "without user and password"),
        (json!({"command": "x", "headers": {"a": "b"}}), "are for a server with a `url`"),
        (json!({"url": "https://x.example", "env": {"a": "b"}}), "started by `command`"),
        (json!({"url": "https://x.example", "headers": {"Mcp-Session-Id": "b"}}), "is set by the connection"),
        (json!({"command": "x", "class": "read"}), "write it under `tools.NAME.class`"),
        (json!({"command": "x", "tools": {"a": {"class": "verify"}}}), "say `once`"),
        (json!({"command": "x", "parameters": {}}), "parameters`: is what the server says of each tool"),
        (json!({"command": "x", "output_fields": ["id"]}), "write it under `tools.NAME.output_fields`"),
        (json!({"command": "x", "tools": {"a": {"colour": "red"}}}), "tools.a`: unknown field `colour`"),
        (json!({"command": "x", "tools": {"a": {"clas": "read"}}}), "did you mean `class`?"),
        (json!({"command": "x", "tools": {"a": {"parameters": {}}}}), "tools.a.parameters`: is what the server says"),
        (json!({"command": "x", "tools": {"a": {"cost_usd": -1}}}), "tools.a.cost_usd`: is a price"),
        (json!({"command": "x", "env": {"A": "{{ secret.a }}"}}), "did you mean `secrets`?"),
        (json!({"command": "x", "prefix": "a.b"}), "say `prefix`"),
    ] {
        let mut definition = json!({"name": "far", "kind": "mcp"});
        definition.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let error = ToolDefinition::parse(definition).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    }
}
