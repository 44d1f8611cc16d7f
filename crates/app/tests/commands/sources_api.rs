//! Tool sources over HTTP: those of the project's files can be read and refreshed, and a tenant can add sources that no
//! other tenant sees or calls.

use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::captured_request::CapturedRequest;
use crate::server::{ApiAnswer, BatonServer, wait_for};
use crate::two_tenants::TwoTenants;

/// The service's configuration. The default service is up.
#[derive(Default)]
struct ShopState {
    /// Names of its operations and of its tools.
    operations: Vec<String>,
    is_down: bool,
    /// Whether its MCP server repeats the key it was sent.
    repeats: bool,
    /// The keys in calls.
    keys: Vec<String>,
}

/// A service with an OpenAPI document at `/openapi.json`, its operation at `/order`, and an MCP server at `/mcp`.
struct ShopService {
    url: String,
    state: Arc<Mutex<ShopState>>,
}

impl ShopService {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let state = ShopState { operations: vec!["getOrder".to_owned()], ..ShopState::default() };
        let state = Arc::new(Mutex::new(state));
        let (all, at) = (state.clone(), url.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (all, at) = (all.clone(), at.clone());
                // The client may be gone.
                std::thread::spawn(move || answer(stream, &all, &at).ok());
            }
        });
        Self { url, state }
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    fn has(&self, operations: &[&str]) {
        self.state.lock().expect("a lock").operations = operations.iter().map(ToString::to_string).collect();
    }

    fn is_down(&self, is_down: bool) {
        self.state.lock().expect("a lock").is_down = is_down;
    }

    fn keys(&self) -> Vec<String> {
        self.state.lock().expect("a lock").keys.clone()
    }

    /// Its document, with a part that cannot become a tool.
    fn document(&self) -> Value {
        document(&self.url, &self.state.lock().expect("a lock").operations)
    }
}

fn document(url: &str, operations: &[String]) -> Value {
    let path = |name: &String| {
        let operation = json!({"get": {"operationId": name, "summary": name, "security": [{"key": []}]}});
        (format!("/order/{name}"), operation)
    };
    let mut paths: serde_json::Map<String, Value> = operations.iter().map(path).collect();
    paths.insert("/echo".to_owned(), json!({"trace": {"operationId": "echo"}}));
    json!({
        "openapi": "3.0.3", "info": {"title": "Shop", "version": "1"}, "servers": [{"url": url}], "paths": paths,
        "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    })
}

fn answer(stream: TcpStream, state: &Mutex<ShopState>, url: &str) -> std::io::Result<()> {
    let heard = CapturedRequest::read_from(stream)?;
    let key = heard.header("authorization").unwrap_or_default().to_owned();
    let mut state = state.lock().expect("a lock");
    let (status, reply) = match (heard.method.as_str(), heard.path.as_str()) {
        _ if state.is_down => ("503 Service Unavailable", json!({"error": "down"})),
        (_, "/openapi.json") => ("200 OK", document(url, &state.operations)),
        (_, path) if path.starts_with("/order/") => {
            state.keys.push(key);
            ("200 OK", json!({"path": path}))
        }
        ("POST", "/mcp") => {
            let message = serde_json::from_slice(&heard.body)?;
            let told = state.repeats.then(|| key.clone());
            state.keys.push(key);
            spoken(&message, &state.operations, told)
        }
        _ => ("405 Method Not Allowed", json!({})),
    };
    drop(state);
    let reply = if reply.is_null() { String::new() } else { reply.to_string() };
    heard.answer(status, &reply)
}

/// The response of an MCP server, or an error that repeats the key it was sent.
fn spoken(message: &Value, tools: &[String], told: Option<String>) -> (&'static str, Value) {
    let Some(id) = message.get("id") else { return ("202 Accepted", Value::Null) };
    let tool = |name: &String| json!({"name": name, "description": name, "inputSchema": {"type": "object"}});
    let result = match message["method"].as_str().unwrap_or_default() {
        "initialize" => json!({
            "protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "shop", "version": "1"},
        }),
        "tools/list" if told.is_some() => {
            let error = json!({"code": -32000, "message": format!("not for {}", told.unwrap_or_default())});
            return ("200 OK", json!({"jsonrpc": "2.0", "id": id, "error": error}));
        }
        "tools/list" => json!({"tools": tools.iter().map(tool).collect::<Vec<_>>()}),
        "tools/call" => json!({"content": [{"type": "text", "text": "good day"}]}),
        _ => return ("200 OK", json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "no method"}})),
    };
    ("200 OK", json!({"jsonrpc": "2.0", "id": id, "result": result}))
}

/// Allows requests to services on this machine.
const ALLOWS: &str = "[tools.outbound]\nallow = [\"127.0.0.1\"]\n";

impl TwoTenants {
    fn get(&self, path: &str, key: &str) -> Value {
        self.ask(&format!("GET {path}"), key, &Value::Null).expect_status(200)
    }

    fn calls(&self, tool: &str, key: &str) -> ApiAnswer {
        self.ask(&format!("POST /api/v1/tools/{tool}/execute"), key, &json!({}))
    }
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().filter_map(|one| one["name"].as_str()).collect()
}

#[test]
fn sources_of_the_files_are_listed_with_their_state_and_asked_anew() {
    let shop = ShopService::open();
    let at_address = json!({"name": "shop", "kind": "openapi", "document": shop.at("/openapi.json")}).to_string();
    let program = json!({"name": "sh", "kind": "mcp", "command": "sh", "args": ["-c", "echo s3cr3t >&2; exit 1"]});
    let world = TwoTenants::with(&[
        ("baton.toml", ALLOWS),
        ("tools/shop.json", &at_address),
        ("tools/sh.json", &program.to_string()),
    ]);
    let listed = world.get("/api/v1/sources", &world.own);
    assert_eq!(names(&listed["sources"]), ["sh", "shop"]);
    let (sh, found) = (&listed["sources"][0], &listed["sources"][1]);
    assert_eq!((&sh["kind"], &sh["reachable"], &sh["tool_count"]), (&json!("mcp"), &json!(false), &json!(0)));
    assert!(sh["last_error"].as_str().expect("why").contains("s3cr3t"), "{sh}");
    assert_eq!((&found["kind"], &found["reachable"]), (&json!("openapi"), &json!(true)));
    assert_eq!((&found["tool_count"], &found["unsupported_count"]), (&json!(1), &json!(2)));
    assert_eq!((&found["file"], &found["address"]), (&json!("tools/shop.json"), &json!(shop.at("/openapi.json"))));
    // The standard error of a program is visible only to the project's own tenant.
    let theirs = world.get("/api/v1/sources/sh", &world.theirs).to_string();
    assert!(!theirs.contains("s3cr3t") && theirs.contains("did not answer"), "{theirs}");
    let address = &world.get("/api/v1/sources/shop", &world.theirs)["address"];
    assert_eq!(address, &Value::Null, "nor is where a document lies");
    let refused = world.ask("POST /api/v1/sources/shop/refresh", &world.theirs, &Value::Null).expect_status(409);
    assert_eq!(refused["code"], "SOURCE_OF_FILE");

    let shown = world.get("/api/v1/sources/shop", &world.own);
    assert_eq!(shown["tools"], json!(["shop.getOrder"]));
    let unsupported = json!([
        {"place": "paths./echo.trace", "reason": "TRACE is not called"},
        {
            "place": "paths./order/getOrder.get.security.0",
            "reason": "it is called without a key; give `auth.key` for one",
        },
    ]);
    assert_eq!(shown["unsupported"], unsupported);
    shop.has(&["getOrder", "listOrders"]);
    let asked = world.ask("POST /api/v1/sources/shop/refresh", &world.own, &Value::Null).expect_status(200);
    assert_eq!(asked["tools"], json!(["shop.getOrder", "shop.listOrders"]));
    world.calls("shop.listOrders", &world.theirs).expect_status(200);
    // Workflows may name the new tool too.
    wait_for("workflows may name the new tool", || {
        let workflow = "name: look\nnodes: [{id: look, tool: shop.listOrders}]\n";
        let checked =
            world.server.write("POST /api/v1/workflows/validate", &world.own, "", workflow).expect_status(200);
        (checked["ok"] == true).then_some(())
    });
    shop.is_down(true);
    let silent = world.ask("POST /api/v1/sources/shop/refresh", &world.own, &Value::Null).expect_status(200);
    assert_eq!((&silent["reachable"], &silent["tool_count"]), (&json!(false), &json!(2)));
    assert!(silent["last_error"].as_str().expect("why").contains("503"), "{silent}");

    let changed = world.ask("DELETE /api/v1/sources/shop", &world.own, &Value::Null).expect_status(409);
    assert_eq!(changed["code"], "SOURCE_OF_FILE");
    assert!(changed["hint"].as_str().expect("a hint").contains("tools/shop.json"), "{changed}");
    let unknown = world.ask("GET /api/v1/sources/shopp", &world.own, &Value::Null).expect_status(404);
    assert_eq!((&unknown["code"], &unknown["hint"]), (&json!("SOURCE_NOT_FOUND"), &json!("did you mean `shop`?")));
}

#[test]
fn a_tenant_adds_a_document_for_itself_and_it_stands_after_a_restart() {
    let shop = ShopService::open();
    let TwoTenants { place, server, own, theirs } = TwoTenants::with(&[("baton.toml", ALLOWS)]);
    let new = json!({"name": "shop", "kind": "openapi", "document": shop.at("/openapi.json")});
    let made = server.ask("POST /api/v1/sources", &theirs, "Idempotency-Key: one\r\n", &new);
    let tag = made.header("etag").expect("a tag").to_owned();
    let made = made.expect_status(201);
    assert_eq!((&made["tools"], &made["file"]), (&json!(["shop.getOrder"]), &Value::Null));
    let again = server.ask("POST /api/v1/sources", &theirs, "Idempotency-Key: one\r\n", &new);
    assert_eq!(again.expect_status(201)["name"], "shop", "it was made once");
    assert_eq!(server.ask("POST /api/v1/sources", &theirs, "", &new).expect_status(409)["code"], "NAME_TAKEN");

    let execute =
        |server: &BatonServer, key: &str| server.ask("POST /api/v1/tools/shop.getOrder/execute", key, "", &json!({}));
    assert_eq!(execute(&server, &theirs).expect_status(200)["success"], true);
    assert_eq!(execute(&server, &own).expect_status(404)["code"], "TOOL_NOT_FOUND", "it is nobody else's");
    let tools = |key: &str| {
        server.ask("GET /api/v1/tools?search=shop.", key, "", &Value::Null).expect_status(200)["tools"].clone()
    };
    assert_eq!((names(&tools(&theirs)), names(&tools(&own))), (vec!["shop.getOrder"], vec![]));
    assert_eq!(server.ask("GET /api/v1/tools/shop.getOrder", &own, "", &Value::Null).status, 404);
    let found =
        |key: &str| server.ask("GET /api/v1/tools/search?query=getOrder", key, "", &Value::Null).expect_status(200);
    assert!(found(&theirs).to_string().contains("shop.getOrder") && !found(&own).to_string().contains("shop.getOrder"));
    // A workflow that names it is valid for the tenant, and for no other.
    let workflow = "name: look\nnodes: [{id: look, tool: shop.getOrder}]\n";
    let save = |key: &str| server.write("POST /api/v1/workflows?activate=true", key, "", workflow);
    assert_eq!((save(&own).status, save(&theirs).status), (422, 201));
    assert_eq!(server.ask("GET /api/v1/sources", &own, "", &Value::Null).expect_status(200)["sources"], json!([]));
    assert_eq!(server.ask("GET /api/v1/sources/shop", &own, "", &Value::Null).status, 404);
    let rows = server.ask("GET /api/v1/audit?limit=50", &theirs, "", &Value::Null).expect_status(200).to_string();
    assert!(rows.contains("sources.create"), "{rows}");

    // The tools stay available while the service is down, in another process too.
    shop.is_down(true);
    assert_eq!(server.stop(), Some(0));
    let server = BatonServer::start(&place);
    let shown = server.ask("GET /api/v1/sources/shop", &theirs, "", &Value::Null).expect_status(200);
    assert_eq!(shown["tools"], json!(["shop.getOrder"]));
    assert_eq!(shown["definition"], json!({"kind": "openapi", "document": shop.at("/openapi.json")}));
    shop.is_down(false);
    let run = json!({"workflow_id": "look"});
    let run = server.ask("POST /api/v1/workflows/execute", &theirs, "Prefer: wait=20\r\n", &run).expect_status(200);
    assert_eq!(run["status"], "completed", "{run}");

    // A change must name the version that was read.
    let with = |tag: &str| format!("If-Match: {tag}\r\n");
    let less = json!({"kind": "openapi", "document": shop.at("/openapi.json"), "exclude": ["getOrder"]});
    assert_eq!(
        server.ask("PUT /api/v1/sources/shop", &theirs, &with("\"77\""), &less).expect_status(412)["code"],
        "CHANGED_MEANWHILE"
    );
    let put = server.ask("PUT /api/v1/sources/shop", &theirs, &with(&tag), &less);
    let newer = put.header("etag").expect("a tag").to_owned();
    assert_eq!(put.expect_status(200)["tools"], json!([]));
    assert_eq!(execute(&server, &theirs).status, 404, "the tool is gone");
    assert_eq!(server.ask("DELETE /api/v1/sources/shop", &theirs, &with(&tag), &Value::Null).status, 412);
    assert_eq!(server.ask("DELETE /api/v1/sources/shop", &theirs, &with(&newer), &Value::Null).status, 204);
    assert_eq!(server.ask("GET /api/v1/sources/shop", &theirs, "", &Value::Null).status, 404);
    // The version from before the removal does not match the new source.
    server.ask("POST /api/v1/sources", &theirs, "", &new).expect_status(201);
    assert_eq!(server.ask("PUT /api/v1/sources/shop", &theirs, &with(&tag), &less).status, 412);
}

#[test]
fn a_document_that_is_sent_is_checked_and_an_mcp_server_is_asked() {
    let shop = ShopService::open();
    let world = TwoTenants::with(&[("baton.toml", ALLOWS)]);
    let add = |source: &Value| world.ask("POST /api/v1/sources", &world.theirs, source);
    let sent = add(&json!({"name": "sent", "kind": "openapi", "document": shop.document()})).expect_status(201);
    assert_eq!((&sent["tools"], &sent["reachable"]), (&json!(["sent.getOrder"]), &Value::Null));
    assert_eq!(sent["definition"], json!({"kind": "openapi"}), "what was sent is not repeated");
    let nobody = world.ask("POST /api/v1/sources/sent/refresh", &world.theirs, &Value::Null).expect_status(422);
    assert!(nobody["detail"].as_str().expect("why").contains("nobody to ask"), "{nobody}");
    assert_eq!(world.calls("sent.getOrder", &world.theirs).expect_status(200)["success"], true);

    let mcp =
        add(&json!({"name": "far", "kind": "mcp", "url": shop.at("/mcp"), "tools": {"getOrder": {"class": "read"}}}));
    assert_eq!(mcp.expect_status(201)["tools"], json!(["far.getOrder"]));
    let called = world.calls("far.getOrder", &world.theirs).expect_status(200);
    assert_eq!((&called["success"], &called["data"]["text"]), (&json!(true), &json!("good day")), "{called}");
    assert_eq!(world.calls("far.getOrder", &world.own).status, 404);
    shop.has(&["getOrder", "pay"]);
    let asked = world.ask("POST /api/v1/sources/far/refresh", &world.theirs, &Value::Null).expect_status(200);
    assert_eq!(asked["tools"], json!(["far.getOrder", "far.pay"]));
    shop.is_down(true);
    let silent = world.ask("POST /api/v1/sources/far/refresh", &world.theirs, &Value::Null).expect_status(200);
    assert_eq!((&silent["reachable"], &silent["tool_count"]), (&json!(false), &json!(2)), "{silent}");
    let gone =
        add(&json!({"name": "gone", "kind": "openapi", "document": shop.at("/openapi.json")})).expect_status(502);
    assert_eq!(gone["code"], "SOURCE_UNAVAILABLE");
    assert_eq!(names(&world.get("/api/v1/sources", &world.theirs)["sources"]), ["far", "sent"], "nothing was kept");
}

#[test]
fn what_a_source_may_not_be_is_refused_with_the_way_out() {
    let place = "https://api.example.com/openapi.json";
    let world = TwoTenants::with(&[("baton.toml", "[tools.secrets]\nfree = \"s3cr3t\"\n")]);
    for (source, why) in [
        (json!({"name": "a", "kind": "mcp", "command": "sh"}), "no program is started"),
        (json!({"name": "a", "kind": "mcp", "url": "https://x.example.com/mcp", "env": {}}), "no program is started"),
        (json!({"name": "a", "kind": "mcp"}), "`url`"),
        (json!({"name": "a", "kind": "mcp", "url": "http://127.0.0.1:9/mcp"}), "not a public address"),
        (json!({"name": "a", "kind": "openapi", "document": "http://169.254.169.254/latest"}), "not a public address"),
        (json!({"name": "a", "kind": "openapi", "document": "apis/shop.yaml"}), "`document`"),
        (json!({"name": "a", "kind": "openapi", "document": {"swagger": "2.0"}}), "Swagger 2.0"),
        (json!({"name": "a", "kind": "script"}), "`openapi` and `mcp`"),
        (json!({"name": "a.b", "kind": "openapi", "document": place}), "no name of a source"),
        (json!({"name": "a", "kind": "mcp", "url": "https://x.example.com", "prefix": "b"}), "begin with its name"),
        (
            json!({"name": "a", "kind": "mcp", "url": "https://x.example.com", "headers": {"Authorization": "Bearer abc"}}),
            "in the clear",
        ),
        (json!({"name": "a", "kind": "openapi", "document": place, "auth": {"key": "abc"}}), "in the clear"),
        (
            json!({"name": "a", "kind": "openapi", "document": place, "auth": {"key": "Bearer abc{{ '' }}"}}),
            "`auth.key` has a key that would be kept in the clear",
        ),
        (
            json!({"name": "a", "kind": "mcp", "url": "https://x.example.com/mcp?api_key=abc"}),
            "`url` has a key that would be kept in the clear",
        ),
        (
            json!({"name": "a", "kind": "openapi", "document": place, "auth": {"key": "{{ secrets.free }}"}}),
            "no secret `free`",
        ),
    ] {
        let refused = world.ask("POST /api/v1/sources", &world.own, &source);
        assert_eq!(refused.status, 422, "{source}: {}", refused.body);
        assert!(refused.body["detail"].as_str().expect("why").contains(why), "{source}: {}", refused.body);
    }
    let builder =
        world.ask("POST /api/v1/keys", &world.own, &json!({"name": "b", "role": "builder"})).expect_status(201);
    let builder = builder["key"].as_str().expect("a key");
    assert_eq!(world.ask("GET /api/v1/sources", builder, &Value::Null).expect_status(403)["code"], "FORBIDDEN");
    assert_eq!(world.get("/api/v1/sources", &world.own)["sources"], json!([]));
}

#[test]
fn a_secret_goes_to_a_source_of_the_servers_own_tenant_where_it_is_bound_to_its_address() {
    let shop = ShopService::open();
    let settings = format!("{ALLOWS}[tools.secrets.shop]\nvalue = \"s3cr3t\"\norigins = [\"{}\"]\n", shop.url);
    let world = TwoTenants::with(&[("baton.toml", &settings)]);
    let source = json!({
        "name": "shop", "kind": "openapi", "document": shop.document(), "auth": {"key": "{{ secrets.shop }}"},
    });
    world.ask("POST /api/v1/sources", &world.own, &source).expect_status(201);
    assert_eq!(world.calls("shop.getOrder", &world.own).expect_status(200)["success"], true);
    assert_eq!(shop.keys(), ["Bearer s3cr3t"]);
    let refused = world.ask("POST /api/v1/sources", &world.theirs, &source).expect_status(422);
    assert!(
        refused["detail"].as_str().expect("why").contains("no secret `shop`"),
        "another tenant has none: {refused}"
    );
    // The command line lists it too.
    let listed = world.place.baton(&["tools", "list", "--search", "shop."]).expect_code(0);
    assert!(listed.out.contains("shop.getOrder"), "{}", listed.out);
}

#[test]
fn a_key_that_a_server_repeats_is_told_to_nobody() {
    let shop = ShopService::open();
    let settings = format!("{ALLOWS}[tools.secrets.shop]\nvalue = \"s3cr3t\"\norigins = [\"{}\"]\n", shop.url);
    let world = TwoTenants::with(&[("baton.toml", &settings)]);
    let source = json!({
        "name": "far", "kind": "mcp", "url": shop.at("/mcp"), "headers": {"Authorization": "Bearer {{ secrets.shop }}"},
    });
    world.ask("POST /api/v1/sources", &world.own, &source).expect_status(201);
    shop.state.lock().expect("a lock").repeats = true;
    let asked = world.ask("POST /api/v1/sources/far/refresh", &world.own, &Value::Null).expect_status(200);
    let told = asked["last_error"].as_str().expect("why");
    assert!(shop.keys().iter().any(|key| key == "Bearer s3cr3t") && told.contains("not for"), "{told}");
    assert!(!world.get("/api/v1/sources/far", &world.own).to_string().contains("s3cr3t"), "{told}");
    let other = json!({
        "name": "other", "kind": "mcp", "url": shop.at("/mcp"), "headers": {"Authorization": "Bearer {{ secrets.shop }}"},
    });
    let refused = world.ask("POST /api/v1/sources", &world.own, &other).expect_status(502).to_string();
    assert!(refused.contains("not for") && !refused.contains("s3cr3t"), "{refused}");
}

#[test]
fn of_two_that_are_added_at_once_under_one_name_one_is_and_there_are_fifty_at_most() {
    let shop = ShopService::open();
    let world = TwoTenants::with(&[("baton.toml", ALLOWS)]);
    let add = |name: &str| {
        let source = json!({"name": name, "kind": "openapi", "document": shop.document()});
        world.ask("POST /api/v1/sources", &world.theirs, &source)
    };
    let add = &add;
    let mut at_once: Vec<u16> = std::thread::scope(|scope| {
        let both = [(); 2].map(|()| scope.spawn(move || add("first").status));
        both.into_iter().map(|one| one.join().expect("an answer")).collect()
    });
    at_once.sort_unstable();
    assert_eq!(at_once, [201, 409]);
    // Use up all but one of the remaining places, then send two requests at once for the last one.
    for number in 2..50 {
        add(&format!("s{number}")).expect_status(201);
    }
    let mut last: Vec<u16> = std::thread::scope(|scope| {
        let both = ["one", "other"].map(|name| scope.spawn(move || add(name).status));
        both.into_iter().map(|one| one.join().expect("an answer")).collect()
    });
    last.sort_unstable();
    assert_eq!(last, [201, 409]);
    assert_eq!(add("more").expect_status(409)["code"], "LIMIT_REACHED");
    assert_eq!(names(&world.get("/api/v1/sources", &world.theirs)["sources"]).len(), 50);
}

#[test]
fn the_tools_of_all_sources_that_a_tenant_adds_have_one_limit() {
    let shop = ShopService::open();
    let world = TwoTenants::with(&[("baton.toml", ALLOWS)]);
    let of = |name: &str, many: usize| {
        let operations: Vec<String> = (0..many).map(|number| format!("op{number}")).collect();
        json!({"name": name, "kind": "openapi", "document": document(&shop.url, &operations)})
    };
    let put = |name: &str, many: usize| {
        let mut source = of(name, many);
        source.as_object_mut().expect("an object").remove("name");
        world.ask(&format!("PUT /api/v1/sources/{name}"), &world.theirs, &source)
    };
    let add = |name: &str, many: usize| world.ask("POST /api/v1/sources", &world.theirs, &of(name, many));
    add("one", 2_500).expect_status(201);
    assert_eq!(add("two", 2_500).expect_status(201)["tool_count"], 2_500);
    let refused = add("three", 1).expect_status(409);
    assert_eq!(refused["code"], "LIMIT_REACHED");
    assert!(refused["detail"].as_str().expect("why").contains("at most 5000 in all"), "{refused}");
    assert!(refused["hint"].as_str().expect("a hint").contains("`include`"), "{refused}");
    // The replacement of a source counts instead of the old version.
    put("two", 2_499).expect_status(200);
    add("three", 1).expect_status(201);
    assert_eq!(put("three", 2).expect_status(409)["code"], "LIMIT_REACHED");
    assert_eq!(world.get("/api/v1/sources/three", &world.theirs)["tools"], json!(["three.op0"]), "it is as it was");
    world.ask("POST /api/v1/sources", &world.own, &of("three", 2)).expect_status(201);
}

#[test]
fn a_tool_that_everybodys_tool_of_that_name_stands_before_is_among_those_left_out() {
    let shop = ShopService::open();
    let everybodys = "name: shop.getOrder\nkind: script\nclass: read\nresults: [{output: {from: everybody}}]\n";
    let world = TwoTenants::with(&[("baton.toml", ALLOWS), ("tools/order.yaml", everybodys)]);
    shop.has(&["getOrder", "listOrders"]);
    let source = json!({"name": "shop", "kind": "openapi", "document": shop.document()});
    let added = world.ask("POST /api/v1/sources", &world.theirs, &source).expect_status(201);
    assert_eq!((&added["tools"], &added["tool_count"]), (&json!(["shop.listOrders"]), &json!(1)), "{added}");
    let left = added["unsupported"].as_array().expect("a list").iter().find(|part| part["place"] == "shop.getOrder");
    let reason = left.and_then(|part| part["reason"].as_str()).expect("why");
    assert!(reason.contains("everybody's") && reason.contains("another name"), "{reason}");
    assert_eq!(world.calls("shop.getOrder", &world.theirs).expect_status(200)["data"]["from"], "everybody");
}
