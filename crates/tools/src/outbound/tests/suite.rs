//! Tests every outbound path against every notation of an internal address. An internal listener must receive
//! nothing.

use std::sync::Arc;
use std::time::Duration;

use baton_core::agent::{AgentDefinition, AgentKind, AgentTask};
use baton_core::id::TenantId;
use baton_core::tool::ToolOutcome;
use baton_ports::remote_agents::{RemoteAgents as _, StepRequest};
use serde_json::{Value, json};

use crate::testing::ToolsFixture;
use crate::testing::service::{FakeService, json as answer, redirect};
use crate::{AgentEndpoints, ToolDefinition, ToolsConfig};

const LIMIT: Duration = Duration::from_secs(5);
/// The address of an allowed service. It differs from the address that must not be reached.
const ALLOWED: &str = "127.0.0.2";

/// Notations of the address of the listener at this port of 127.0.0.1, and of addresses that no call may reach.
fn inside(port: u16) -> Vec<String> {
    let forms = [
        // Numbers in other bases, and with fewer parts.
        "http://127.0.0.1:PORT/",
        "http://127.1:PORT/",
        "http://127.0.1:PORT/",
        "http://2130706433:PORT/",
        "http://0x7f000001:PORT/",
        "http://0x7f.0x0.0x0.0x1:PORT/",
        "http://0177.0.0.01:PORT/",
        "http://017700000001:PORT/",
        "http://0:PORT/",
        "http://0.0.0.0:PORT/",
        // Characters that normalise to digits and dots, and ends that are cut off.
        "http://127.0.0.1.:PORT/",
        "http://１２７.0.0.1:PORT/",
        "http://127。0。0。1:PORT/",
        "http://%31%32%37.0.0.1:PORT/",
        "http://localhost:PORT/",
        "http://LOCALHOST:PORT/",
        // An IPv4 address within an IPv6 one: mapped, compatible, translated, tunnelled.
        "http://[::1]:PORT/",
        "http://[::]:PORT/",
        "http://[0:0:0:0:0:0:0:1]:PORT/",
        "http://[::ffff:127.0.0.1]:PORT/",
        "http://[::ffff:7f00:1]:PORT/",
        "http://[::127.0.0.1]:PORT/",
        "http://[::ffff:0:127.0.0.1]:PORT/",
        "http://[64:ff9b::127.0.0.1]:PORT/",
        "http://[64:ff9b:1::127.0.0.1]:PORT/",
        "http://[2002:7f00:1::]:PORT/",
        "http://[2001:0:7f00:1::1]:PORT/",
        // The actual host differs from the apparent one.
        "http://public.example@127.0.0.1:PORT/",
        "http://public.example:80@127.0.0.1:PORT/",
        "http://127.0.0.1:PORT\\@public.example/",
        "http://127.0.0.1:PORT#@public.example/",
        "http://127.0.0.1:PORT?@public.example/",
        "http:\\\\127.0.0.1:PORT\\",
        "http:///127.0.0.1:PORT/",
        "\thttp://127.0.0.1:PORT/\n",
        "https://127.0.0.1:PORT/",
        // Cloud services and private networks.
        "http://169.254.169.254/latest/meta-data/",
        "http://0xa9fea9fe/latest/meta-data/",
        "http://2852039166/latest/meta-data/",
        "http://[::ffff:a9fe:a9fe]/latest/meta-data/",
        "http://[64:ff9b::a9fe:a9fe]/latest/meta-data/",
        "http://[2002:a9fe:a9fe::]/latest/meta-data/",
        "http://[fd00:ec2::254]/latest/meta-data/",
        "http://100.100.100.200/latest/meta-data/",
        "http://[fe80::1]:PORT/",
        "http://10.0.0.1:PORT/",
        "http://192.168.0.1:PORT/",
        // Not HTTP at all.
        "file:///etc/passwd",
        "ftp://127.0.0.1:PORT/",
        "gopher://127.0.0.1:PORT/_x",
        "ws://127.0.0.1:PORT/",
        "unix:/run/docker.sock",
        "data:text/plain,inside",
    ];
    forms.iter().map(|form| form.replace("PORT", &port.to_string())).collect()
}

/// Outbound paths that take an address from the caller.
#[derive(Clone, Copy, Debug)]
enum CallerAddressPath {
    HttpRequest,
    Agent,
    /// The servers of a document that nobody vouches for.
    Operation,
    /// A reference in a document to another one.
    Reference,
}

impl CallerAddressPath {
    const ALL: [Self; 4] = [Self::HttpRequest, Self::Agent, Self::Operation, Self::Reference];

    /// Returns the result: the code of the refusal, or the reported reason if there is nothing to call.
    async fn ask(self, url: &str) -> Result<Value, String> {
        match self {
            Self::HttpRequest => outcome(ToolsFixture::new(), "http_request", json!({"url": url})).await,
            Self::Agent => think(json!({}), url).await,
            Self::Operation => operation(json!({}), url, false).await,
            Self::Reference => {
                let item = json!({"$ref": format!("{url}#/paths/x")});
                let document =
                    json!({"openapi": "3.1.0", "servers": [{"url": "https://public.example"}], "paths": {"/": item}});
                let parsed =
                    ToolDefinition::parse(json!({"name": "doc", "kind": "openapi", "document": document})).unwrap();
                assert_eq!(parsed.tools.len(), 0, "{url}");
                Err(parsed.unsupported[0].reason.clone())
            }
        }
    }
}

/// Outbound paths that may be redirected. Each calls a permitted service.
#[derive(Clone, Copy, Debug)]
enum RedirectablePath {
    HttpRequest,
    Agent,
    Operation,
    Defined,
    Document,
    Vendor,
    Composio,
    Mcp,
}

impl RedirectablePath {
    const ALL: [Self; 8] = [
        Self::HttpRequest,
        Self::Agent,
        Self::Operation,
        Self::Defined,
        Self::Document,
        Self::Vendor,
        Self::Composio,
        Self::Mcp,
    ];

    async fn ask(self, url: &str) -> Result<Value, String> {
        let allow = json!({"outbound": {"allow": [ALLOWED]}});
        let config = |value: Value| serde_json::from_value::<ToolsConfig>(value).unwrap();
        match self {
            Self::HttpRequest => outcome(ToolsFixture::with(allow), "http_request", json!({"url": url})).await,
            Self::Agent => think(allow, url).await,
            Self::Operation => operation(json!({}), url, true).await,
            Self::Defined => {
                let tool = json!({"name": "own", "kind": "http", "method": "GET", "url": url});
                outcome(ToolsFixture::with_definitions(json!({}), tool), "own", json!({})).await
            }
            Self::Document => {
                let read = crate::document(url, &config(json!({}))).await;
                read.map(|bytes| Value::from(String::from_utf8_lossy(&bytes).into_owned()))
            }
            Self::Vendor => {
                let sendgrid = json!({"api_key": "k", "from": "a@clinic.example", "base_url": url});
                let letter = json!({"to": "b@clinic.example", "subject": "s", "body": "b"});
                outcome(ToolsFixture::with(json!({"email": {"sendgrid": sendgrid}})), "send_email", letter).await
            }
            Self::Composio => {
                let composio = json!({"api_key": "k", "base_url": url, "toolkits": ["shop"]});
                let world = ToolsFixture::with(json!({"composio": composio}));
                let greeted = world.registry.composio().unwrap().ping().await;
                greeted.map(|()| Value::Null).map_err(|fault| format!("{fault:?}"))
            }
            Self::Mcp => {
                let parsed = ToolDefinition::parse(json!({"name": "far", "kind": "mcp", "url": url})).unwrap();
                let listed = parsed.sources[0].list(&config(json!({}))).await;
                listed.map(|_| Value::Null)
            }
        }
    }
}

async fn outcome(world: ToolsFixture, tool: &str, arguments: Value) -> Result<Value, String> {
    match world.send(&world.call("k", tool, arguments)).await.outcome {
        ToolOutcome::Done { output, .. } => Ok(Arc::unwrap_or_clone(output)),
        ToolOutcome::NotDone { fault, .. } | ToolOutcome::Unknown { fault } => {
            Err(format!("{}: {}", fault.code, fault.message))
        }
        asks @ ToolOutcome::Asks { .. } => panic!("asks a person: {asks:?}"),
    }
}

async fn think(settings: Value, endpoint: &str) -> Result<Value, String> {
    let endpoints = AgentEndpoints::new(&serde_json::from_value(settings).unwrap());
    let agent = AgentDefinition::new("proxy", AgentKind::Custom);
    let (system, prompt, language) = (String::new(), "x".to_owned(), String::new());
    let task = AgentTask { agent, system, prompt, tools: Vec::new(), selects: false, language };
    let tenant = TenantId::new("acme");
    let thought = StepRequest { tenant: &tenant, key: "k", endpoint, task: &task, seen: &[] };
    let step = endpoints.think(thought, LIMIT).await;
    step.map(|_| Value::Null).map_err(|fault| format!("{}: {}", fault.fault.code, fault.fault.message))
}

/// Calls the only operation of a document with this server, if the document results in a tool.
async fn operation(settings: Value, server: &str, trusted: bool) -> Result<Value, String> {
    let paths = json!({"/": {"get": {"operationId": "get"}}});
    let document = json!({"openapi": "3.0.0", "servers": [{"url": server}], "paths": paths});
    let tool = json!({"name": "doc", "kind": "openapi", "document": document, "trusted": trusted});
    if let Some(none) = ToolDefinition::parse(tool.clone()).unwrap().unsupported.first() {
        return Err(none.reason.clone());
    }
    outcome(ToolsFixture::with_definitions(settings, tool), "doc.get", json!({})).await
}

#[tokio::test]
async fn no_way_out_leads_inside_however_the_address_is_written() {
    let service = FakeService::start(|_| answer(200, &json!({"inside": true}))).await;
    for url in inside(service.port) {
        for door in CallerAddressPath::ALL {
            let refused = door.ask(&url).await.expect_err(&format!("{door:?} {url}"));
            let is_said = ["ADDRESS_NOT_ALLOWED", "INVALID_PARAMETERS", "server", "leads out of the document"];
            assert!(is_said.iter().any(|word| refused.contains(word)), "{door:?} {url}: {refused}");
            assert!(service.received().is_empty(), "{door:?} reached the inside by {url}");
        }
    }
}

#[tokio::test]
async fn no_way_out_follows_a_redirect_inside() {
    let service = FakeService::start(|_| answer(200, &json!({"inside": true}))).await;
    for status in [302, 307] {
        let forms = inside(service.port).into_iter().chain([format!("//127.0.0.1:{}/", service.port)]);
        for url in forms {
            let to = url.clone();
            let allowed = FakeService::at(ALLOWED, move |_| redirect(status, &to)).await;
            for asked in RedirectablePath::ALL {
                let came = asked.ask(&allowed.url("/")).await;
                assert!(service.received().is_empty(), "{asked:?} was redirected inside by {status} to {url:?}");
                assert!(!format!("{came:?}").contains("inside\": true"), "{asked:?} {url:?}: {came:?}");
                assert!(!allowed.received().is_empty(), "{asked:?} asked nobody: {came:?}");
            }
        }
    }
}

#[tokio::test]
async fn no_argument_chooses_whom_a_defined_tool_asks() {
    let inside = FakeService::start(|_| answer(200, &json!({}))).await;
    let own = FakeService::at(ALLOWED, |asked| answer(200, &json!({"target": asked.target}))).await;
    let port = inside.port;
    let document = json!({"openapi": "3.0.0", "servers": [{"url": own.url("")}], "paths": {"/{id}/{rest}": {"get": {
        "operationId": "get", "parameters": [
            {"name": "id", "in": "path", "required": true, "schema": {"type": "string"}},
            {"name": "rest", "in": "path", "required": true, "schema": {"type": "string"}}]}}}});
    let tools = json!([
        {"name": "own", "kind": "http", "method": "GET", "url": own.url("/{{ arguments.id }}/{{ arguments.rest }}")},
        {"name": "bare", "kind": "http", "method": "GET", "url": format!("{}{{{{ arguments.id }}}}", own.url("/"))},
        {"name": "doc", "kind": "openapi", "document": document, "trusted": true},
    ]);
    let world = ToolsFixture::with_definitions(json!({}), tools);
    for id in [
        format!("/127.0.0.1:{port}"),
        format!("//127.0.0.1:{port}/"),
        format!("\\\\127.0.0.1:{port}\\"),
        format!("@127.0.0.1:{port}"),
        format!(":x@127.0.0.1:{port}"),
        format!("http://127.0.0.1:{port}/"),
        format!("../..//127.0.0.1:{port}"),
        format!("\r\nHost: 127.0.0.1:{port}"),
    ] {
        for tool in ["own", "bare", "doc.get"] {
            // The call is performed or refused, but never reaches another host.
            let _ = world.send(&world.call("k", tool, json!({"id": id, "rest": "x"}))).await;
            assert!(inside.received().is_empty(), "{tool} was led inside by {id:?}");
        }
    }
    assert!(own.received().len() >= 8, "the tools do ask their own service");
    assert!(own.received().iter().all(|asked| asked.header("host") == Some(&format!("{ALLOWED}:{}", own.port))));
}
