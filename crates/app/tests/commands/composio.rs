//! End-to-end tests of Composio's tools: discovery, connection, and calls in workflows, with any response of the
//! service.

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::captured_request::CapturedRequest;
use crate::server::{BatonServer, wait_for};
use crate::test_folder::{CommandOutput, TestFolder};

pub const KEY: &str = "ak_s3cr3t";
/// A workflow of two nodes: the agent's request, and a call of its own.
const RETURN: &str = "
name: handle_return
input:
  order_id: string
nodes:
  - id: look
    tool: shopify.get_order
    parameters: {order_id: '{{ order_id }}'}
  - id: handle
    agent: returns
    prompt_template: Handle the return of order {{ order_id }}
edges:
  - {from: look, to: handle}
";
const AGENT: &str = "name: returns\ntype: reasoning\ntools: [shopify.*]\nmetadata: {}\n";
const REPLIES: &str = "
agent: returns
replies:
  - turns:
      - tool_calls:
          - {name: shopify.create_return, arguments: {order_id: '1001'}}
      - content: 'Done: {{ results[0].data.did }}'
";

/// A local Composio: accounts by id with their user and status, and the executed actions.
#[derive(Default)]
pub struct ComposioState {
    accounts: BTreeMap<String, (String, String)>,
    /// Where browsers are redirected afterwards.
    callback: String,
    executed: Vec<(String, Value)>,
    tools_asked: usize,
}

pub struct ComposioMock {
    url: String,
    world: Arc<Mutex<ComposioState>>,
}

impl ComposioMock {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/api/v3", listener.local_addr().expect("an address"));
        let world = Arc::<Mutex<ComposioState>>::default();
        let shared = world.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // The client may be gone.
                drop(answer(stream, &shared));
            }
        });
        Self { url, world }
    }

    fn with<T>(&self, act: impl FnOnce(&mut ComposioState) -> T) -> T {
        act(&mut self.world.lock().expect("a lock"))
    }

    pub fn set(&self, account: &str, status: &str) {
        self.with(|world| world.accounts.get_mut(account).expect("is there").1 = status.to_owned());
    }

    pub fn place(&self) -> TestFolder {
        let settings =
            format!("[tools.composio]\nbase_url = \"{}\"\ntoolkits = [\"shopify\"]\ntrusted = true\n", self.url);
        TestFolder::with(&[
            ("baton.toml", &settings),
            ("workflows/return.yaml", RETURN),
            ("agents/returns.yaml", AGENT),
            ("replies/returns.yaml", REPLIES),
        ])
    }
}

fn answer(stream: TcpStream, world: &Mutex<ComposioState>) -> std::io::Result<()> {
    let heard = CapturedRequest::read_from(stream)?;
    let body = serde_json::from_slice(&heard.body).unwrap_or(Value::Null);
    let (status, reply) = match heard.header("x-api-key") {
        Some(KEY) => says(&mut world.lock().expect("a lock"), &heard.method, &heard.path, &body),
        _ => fault(401, "HTTP_Unauthorized", "Invalid API key"),
    };
    heard.answer(&format!("{status} OK"), &reply.to_string())
}

fn fault(status: u16, slug: &str, message: &str) -> (u16, Value) {
    (status, json!({"error": {"message": message, "slug": slug, "status": status, "request_id": "req_1"}}))
}

fn says(world: &mut ComposioState, method: &str, target: &str, body: &Value) -> (u16, Value) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let parts: Vec<&str> = path.trim_start_matches("/api/v3/").split('/').collect();
    match (method, parts.as_slice()) {
        ("GET", ["toolkits"]) => (200, json!({"items": []})),
        ("GET", ["toolkits", slug]) => {
            let meta = json!({
                "description": "E-commerce platform", "logo": format!("https://logos.example/{slug}"), "tools_count": 150,
                "categories": [{"slug": "e-commerce", "name": "E-Commerce"}],
            });
            (200, json!({"slug": slug, "name": "Shopify", "meta": meta}))
        }
        ("GET", ["tools"]) => {
            world.tools_asked += 1;
            let action = |slug: &str, tag: &str| {
                json!({
                    "slug": slug, "name": slug, "description": format!("{slug} of a shop"), "tags": [tag], "version": "20251027_00",
                    "input_parameters": {
                        "type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"],
                    },
                })
            };
            // Two pages.
            match query.contains("cursor=next") {
                false => (200, json!({"items": [action("SHOPIFY_GET_ORDER", "readOnlyHint")], "next_cursor": "next"})),
                true => (200, json!({"items": [action("SHOPIFY_CREATE_RETURN", "createHint")], "next_cursor": null})),
            }
        }
        ("GET", ["auth_configs"]) => (200, json!({"items": [{"id": "ac_1", "status": "ENABLED"}]})),
        ("POST", ["connected_accounts", "link"]) => {
            let id = format!("ca_{}", world.accounts.len() + 1);
            let user = body["user_id"].as_str().unwrap_or_default().to_owned();
            world.accounts.insert(id.clone(), (user, "INITIATED".to_owned()));
            body["callback_url"].as_str().unwrap_or_default().clone_into(&mut world.callback);
            (201, json!({"redirect_url": format!("https://connect.example/{id}"), "connected_account_id": id}))
        }
        ("POST", ["connected_accounts", _, "refresh"]) => {
            (200, json!({"id": "ca", "status": "EXPIRED", "redirect_url": "https://connect.example/again"}))
        }
        ("GET", ["connected_accounts", id]) => match world.accounts.get(*id) {
            Some((_, status)) => (200, json!({"id": id, "status": status})),
            None => fault(404, "ConnectedAccount_ResourceNotFound", "not found"),
        },
        ("DELETE", ["connected_accounts", id]) => {
            world.accounts.remove(*id);
            (200, json!({"success": true}))
        }
        ("POST", ["tools", "execute", slug]) => {
            let account = body["connected_account_id"].as_str().unwrap_or_default();
            match world.accounts.get(account) {
                Some((user, status)) if status == "ACTIVE" && body["user_id"] == **user => {
                    world.executed.push(((*slug).to_owned(), body.clone()));
                    (200, json!({"data": {"did": slug}, "error": null, "successful": true, "log_id": "log_1"}))
                }
                Some((_, status)) if status == "EXPIRED" => {
                    fault(400, "ActionExecute_ConnectedAccountExpired", "Connected account is in EXPIRED state")
                }
                Some(_) | None => fault(404, "ActionExecute_ConnectedAccountNotFound", "No connected account found"),
            }
        }
        _ => fault(404, "HTTP_NotFound", "not found"),
    }
}

fn baton(place: &TestFolder, arguments: &[&str]) -> CommandOutput {
    CommandOutput::wait_for(place.spawn_with(&[("COMPOSIO_API_KEY", KEY)], arguments))
}

fn run(place: &TestFolder) -> CommandOutput {
    baton(place, &["run", "handle_return", "-s", "order_id=1001", "--json"])
}

#[test]
fn a_workflow_whose_agent_may_ask_for_all_of_an_app_runs_against_composio() {
    let service = ComposioMock::start();
    let place = service.place();
    baton(&place, &["validate"]).expect_code(0);
    // No account is connected yet: the error of the call says what to do.
    let refused = run(&place).expect_code(1);
    assert!(refused.out.contains("CONNECTION_MISSING"), "{}", refused.out);
    assert!(refused.out.contains("baton tools connect shopify"), "{}", refused.out);
    baton(&place, &["tools", "connect", "shopify"]).expect_code(0).expect_stdout("https://connect.example/ca_1");
    service.set("ca_1", "ACTIVE");
    run(&place).expect_code(0).expect_stdout("Done: SHOPIFY_CREATE_RETURN");
    let executed = service.with(|world| world.executed.clone());
    let slugs: Vec<&str> = executed.iter().map(|(slug, _)| slug.as_str()).collect();
    assert_eq!(slugs, ["SHOPIFY_GET_ORDER", "SHOPIFY_CREATE_RETURN"]);
    assert_eq!(executed[1].1["user_id"], "default:company");
    assert_eq!(executed[1].1["version"], "20251027_00");
    assert_eq!(service.with(|world| world.tools_asked), 2, "two pages, once: later starts need none");
}

#[test]
fn a_workflow_says_whose_account_its_apps_use() {
    let service = ComposioMock::start();
    let place = service.place();
    let of_customer = "composio:\n  apps:\n    - {name: shopify, entity_id_source: customer_id}\n";
    place.write("workflows/return.yaml", format!("{RETURN}{of_customer}"));
    baton(&place, &["tools", "connect", "shopify", "--user", "c7"]).expect_code(0);
    service.set("ca_1", "ACTIVE");
    let context = ["--context", "{\"user_id\": \"c7\"}"];
    let arguments = [&["run", "handle_return", "-s", "order_id=1001", "--json"], context.as_slice()].concat();
    baton(&place, &arguments).expect_code(0);
    let users: Vec<Value> =
        service.with(|world| world.executed.iter().map(|(_, body)| body["user_id"].clone()).collect());
    assert_eq!(users, ["default:user:c7", "default:user:c7"]);
}

#[test]
fn an_expired_connection_is_on_the_desk_until_it_is_connected_again() {
    let service = ComposioMock::start();
    let place = service.place();
    baton(&place, &["tools", "connect", "shopify"]).expect_code(0);
    service.set("ca_1", "ACTIVE");
    baton(&place, &["tools", "connections"]).expect_code(0).expect_stdout("ACTIVE");
    service.set("ca_1", "EXPIRED");
    let failed = run(&place).expect_code(1);
    assert!(failed.out.contains("CONNECTION_EXPIRED"), "{}", failed.out);
    let doctor = baton(&place, &["doctor", "--json"]).json();
    let says = |what: &str| {
        let checks = doctor["checks"].as_array().expect("checks");
        checks.iter().find(|check| check["what"] == what).cloned().unwrap_or_default()
    };
    assert_eq!((&says("composio")["state"], &says("accounts")["state"]), (&json!("ok"), &json!("warn")));
    assert_eq!(says("desk")["hint"], "baton tools connect shopify  # makes it go away");
    service.set("ca_1", "ACTIVE");
    let again = baton(&place, &["tools", "connections", "--json"]).expect_code(0).json();
    assert_eq!(again["connections"][0]["state"], "ACTIVE");
    let doctor = baton(&place, &["doctor", "--json"]).json();
    let desk = doctor["checks"].as_array().expect("checks").iter().find(|check| check["what"] == "desk").cloned();
    assert_eq!(desk.expect("is looked at")["state"], "ok");
    baton(&place, &["tools", "disconnect", "shopify"]).expect_code(0).expect_stdout("disconnected");
    assert!(service.with(|world| world.accounts.is_empty()));
    baton(&place, &["tools", "disconnect", "shopify"]).expect_code(2);
}

#[test]
fn what_composio_has_is_listed_searched_and_shown() {
    let service = ComposioMock::start();
    let place = service.place();
    baton(&place, &["tools", "refresh"]).expect_code(0).expect_stdout("shopify: 2 actions, version 20251027_00");
    baton(&place, &["tools", "list", "--category", "shopify"]).expect_code(0).expect_stdout("shopify.get_order");
    let found = baton(&place, &["tools", "search", "create", "return", "--json"]).expect_code(0).json();
    assert_eq!(found["tools"][0]["name"], "shopify.create_return");
    let shown = baton(&place, &["tools", "show", "shopify.create_return", "--json"]).expect_code(0).json();
    assert_eq!((&shown["tool"]["provider"], &shown["tool"]["facts"]["class"]), (&json!("composio"), &json!("once")));
    // Without a key the cached tools stay available.
    place.baton(&["tools", "show", "shopify.get_order"]).expect_code(0).expect_stdout("composio");
}

#[test]
fn a_wrong_key_is_said_and_never_shown() {
    let service = ComposioMock::start();
    let place = service.place();
    let wrong = CommandOutput::wait_for(place.spawn_with(&[("COMPOSIO_API_KEY", "ak_wrong")], &["tools", "refresh"]))
        .expect_code(1);
    assert!(wrong.err.contains("Invalid API key") && !wrong.err.contains("ak_wrong"), "{}", wrong.err);
    let unset = place.baton(&["tools", "connect", "shopify"]).expect_code(1);
    assert!(unset.err.contains("COMPOSIO_API_KEY"), "{}", unset.err);
    let none = TestFolder::with(&[("baton.toml", "")]);
    none.baton(&["tools", "connections"]).expect_code(2).expect_stderr("[tools.composio]");
}

#[test]
fn whoever_connected_an_account_comes_back_to_the_server_once() {
    let service = ComposioMock::start();
    let place = service.place();
    let server = BatonServer::start_with(&place, &[("COMPOSIO_API_KEY", KEY)]);
    let base = format!("http://{}", server.address());
    let variables = [("COMPOSIO_API_KEY", KEY), ("BATON_TOOLS__COMPOSIO__CALLBACK_BASE", base.as_str())];
    let connect =
        || CommandOutput::wait_for(place.spawn_with(&variables, &["tools", "connect", "shopify"])).expect_code(0);
    connect().expect_stdout("https://connect.example/ca_1");
    // Composio redirects the browser with its own parameters appended.
    let back = |callback: &str, status: &str| {
        let path = callback.strip_prefix(&base).expect("leads to us");
        server.get(&format!("{path}&status={status}&connected_account_id=ca_1"), None)
    };
    let callback = service.with(|world| world.callback.clone());
    assert!(callback.contains("/api/v1/composio/callback?state="), "{callback}");
    let forged = back(&format!("{base}/api/v1/composio/callback?state=0000"), "success");
    assert!(forged.starts_with("HTTP/1.1 410"), "{forged}");
    service.set("ca_1", "ACTIVE");
    let told = back(&callback, "success");
    assert!(told.starts_with("HTTP/1.1 200") && told.contains("The account is connected."), "{told}");
    baton(&place, &["tools", "connections", "--kept"]).expect_code(0).expect_stdout("ACTIVE");
    let again = back(&callback, "success");
    assert!(again.starts_with("HTTP/1.1 410") && again.contains("used before"), "{again}");
    // As a form or as JSON, and at the address that the seeds name. A request without a state is rejected.
    let post = |path: &str, headers: &str, body: &str| server.send(&format!("POST {path}"), headers, body);
    let state_of = |callback: &str| callback.rsplit_once("state=").expect("a state").1.to_owned();
    type Bodies = fn(&str) -> String;
    let forms: [(&str, &str, Bodies); 3] = [
        ("/composio/callback", "", |state| format!("status=success&state={state}")),
        ("/api/v1/composio/callback", "Content-Type: application/json\r\n", |state| {
            format!("{{\"status\": \"success\", \"state\": \"{state}\"}}")
        }),
        ("/composio/callback", "", |_| String::new()),
    ];
    for (path, headers, body) in forms {
        connect().expect_stdout("https://connect.example/ca_");
        let state = state_of(&service.with(|world| world.callback.clone()));
        let body = body(&state);
        let path = if body.is_empty() { format!("{path}?state={state}") } else { path.to_owned() };
        let unknown = post("/composio/callback", "", "state=0000");
        assert!(unknown.starts_with("HTTP/1.1 410"), "{unknown}");
        let told = post(&path, headers, &body);
        assert!(told.starts_with("HTTP/1.1 200"), "{told}");
        let again = post(&path, headers, &body);
        assert!(again.starts_with("HTTP/1.1 410"), "{again}");
    }
    let large = post("/composio/callback", "", &"x".repeat(20 << 10));
    assert!(large.starts_with("HTTP/1.1 413"), "{large}");
    // A browser's claim alone connects nothing.
    connect().expect_stdout("https://connect.example/ca_");
    let callback = service.with(|world| world.callback.clone());
    service.set("ca_1", "EXPIRED");
    let told = back(&callback, "success");
    assert!(told.starts_with("HTTP/1.1 200") && told.contains("not connected yet"), "{told}");
}

#[test]
fn a_server_looks_after_the_accounts_of_every_tenant() {
    let service = ComposioMock::start();
    let place = service.place();
    baton(&place, &["tenants", "create", "acme"]).expect_code(0);
    let of_acme = |arguments: &[&str]| {
        CommandOutput::wait_for(place.spawn_with(&[("COMPOSIO_API_KEY", KEY), ("BATON_TENANT", "acme")], arguments))
    };
    of_acme(&["tools", "connect", "shopify"]).expect_code(0);
    baton(&place, &["tools", "connect", "shopify"]).expect_code(0);
    for account in ["ca_1", "ca_2"] {
        service.set(account, "ACTIVE");
    }
    of_acme(&["tools", "connections"]).expect_code(0).expect_stdout("ACTIVE");
    baton(&place, &["tools", "connections"]).expect_code(0).expect_stdout("ACTIVE");
    for account in ["ca_1", "ca_2"] {
        service.set(account, "EXPIRED");
    }
    let server = BatonServer::start_with(&place, &[("COMPOSIO_API_KEY", KEY)]);
    for look in [&of_acme as &dyn Fn(&[&str]) -> CommandOutput, &|arguments: &[&str]| baton(&place, arguments)] {
        wait_for("the account is on the desk", || {
            look(&["desk", "list"]).out.contains("connection of `shopify`").then_some(())
        });
    }
    drop(server);
}

#[test]
fn what_was_used_is_told_by_app() {
    let service = ComposioMock::start();
    let place = service.place();
    baton(&place, &["tools", "connect", "shopify"]).expect_code(0);
    service.set("ca_1", "ACTIVE");
    run(&place).expect_code(0);
    let used = baton(&place, &["tools", "usage", "--by", "app", "--json"]).expect_code(0).json();
    assert_eq!((&used[0]["app"], &used[0]["count"]), (&json!("shopify"), &json!(2)));
}
