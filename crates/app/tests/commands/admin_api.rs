//! End-to-end tests of tools, connections, costs, memory and administration over HTTP.

use serde_json::{Value, json};

use crate::composio::{ComposioMock, KEY as COMPOSIO_KEY};
use crate::server::{ApiAnswer, BatonServer};
use crate::test_folder::TestFolder;

const SETTINGS: &str = "[budgets]\ndaily_usd = 7\n[tools.tool.pay]\napproval = true\n";
const TOOLS: &str = "\
tools:
  - {name: greet, kind: script, class: read, results: [{output: {said: 'Hello {{ arguments.name }}'}}]}
  - {name: pay, kind: script, class: keyed, irreversible: paid, results: [{output: {receipt: R-1}}]}
";
const ORDER: &str = "name: order\nnodes: [{id: hello, tool: greet, parameters: {name: Ana}}]\n";
const TALK: &str = "name: talk\nnodes: [{id: say, agent: speaker, prompt_template: Say something}]\n";
const SPEAKER: &str = "name: speaker\ntype: simple\n";
const REPLIES: &str =
    "agent: speaker\nreplies:\n  - content: Something\n    usage: {input_tokens: 1000, output_tokens: 100}\n";

fn place() -> TestFolder {
    TestFolder::with(&[
        ("baton.toml", SETTINGS),
        ("tools/tools.yaml", TOOLS),
        ("workflows/order.yaml", ORDER),
        ("workflows/talk.yaml", TALK),
        ("agents/speaker.yaml", SPEAKER),
        ("replies/speaker.yaml", REPLIES),
    ])
}

/// A server with its admin key.
struct AdminApi {
    server: BatonServer,
    key: String,
}

impl AdminApi {
    fn of(place: &TestFolder) -> Self {
        let server = BatonServer::start(place);
        let key = server.key().expect("a key").to_owned();
        Self { server, key }
    }

    fn get(&self, path: &str) -> ApiAnswer {
        self.server.ask(&format!("GET /api/v1{path}"), &self.key, "", &Value::Null)
    }

    fn post(&self, path: &str, headers: &str, body: &Value) -> ApiAnswer {
        self.server.ask(&format!("POST /api/v1{path}"), &self.key, headers, body)
    }

    fn run(&self, workflow: &str) {
        self.post("/workflows/execute", "", &json!({ "workflow_id": workflow })).expect_status(200);
    }
}

/// Creates a key with a role.
fn key_of(place: &TestFolder, role: &str) -> String {
    let made = place.baton(&["keys", "create", role, "--role", role, "--json"]).expect_code(0).json();
    made["key"].as_str().expect("a secret").to_owned()
}

#[test]
fn what_models_cost_is_summed_up_as_the_seed_says() {
    let api = AdminApi::of(&place());
    let none = api.get("/costs/summary").expect_status(200);
    let sums = json!({
        "total_calls": 0, "total_cost_usd": 0.0, "avg_cost_usd": 0.0, "total_tokens": 0, "avg_latency_ms": 0.0,
        "saved_cost_usd": 0.0,
    });
    assert_eq!(none, json!({ "period": "daily", "summary": sums, "by_model": [] }));
    api.run("talk");
    // What a run spent is settled with it.
    for period in ["daily", "weekly", "monthly"] {
        let told = api.get(&format!("/costs/summary?period={period}")).expect_status(200);
        assert_eq!((&told["period"], &told["summary"]["total_calls"]), (&json!(period), &json!(1)), "{told}");
        assert_eq!(told["summary"]["total_tokens"], 1_100, "{told}");
        let model = &told["by_model"][0];
        assert!(model["selected_model"].is_string() && model["calls"] == 1, "{told}");
        assert_eq!(model["cost_usd"], told["summary"]["total_cost_usd"]);
        let keys: Vec<&String> = model.as_object().expect("a model").keys().collect();
        assert_eq!(keys, ["avg_latency_ms", "calls", "cost_usd", "selected_model"]);
    }
    let rows = api.get("/costs?by=workflow,agent").expect_status(200);
    assert_eq!(
        (&rows["rows"][0]["workflow"], &rows["rows"][0]["agent"]),
        (&json!("talk"), &json!("speaker")),
        "{rows}"
    );
    assert_eq!(api.get("/costs/summary?period=yearly").expect_status(400)["code"], "PARAMETER_INVALID");
    assert_eq!(api.get("/costs?by=tenant").expect_status(400)["code"], "PARAMETER_INVALID");
    assert_eq!(api.get("/costs?from=1.1.2026").expect_status(400)["code"], "PARAMETER_INVALID");
}

#[test]
fn budgets_are_told_as_the_command_line_tells_them() {
    let place = place();
    let api = AdminApi::of(&place);
    let told = api.get("/budgets").expect_status(200);
    let day = told["budgets"].as_array().expect("lines").iter().find(|line| line["window"] == "day").expect("a day");
    assert_eq!((&day["limit_usd"], &day["setting"]), (&json!(7.0), &json!("budgets.daily_usd")), "{told}");
    let shown = place.baton(&["budgets", "--json"]).expect_code(0).json();
    let limits = |lines: &Value| -> Vec<Value> {
        lines.as_array().expect("lines").iter().map(|line| line["limit_usd"].clone()).collect()
    };
    assert_eq!(limits(&told["budgets"]), limits(&shown));
}

#[test]
fn a_models_circuit_is_opened_and_closed_by_who_may_with_or_without_the_prefix() {
    let place = place();
    let api = AdminApi::of(&place);
    let models = api.get("/models").expect_status(200);
    assert_eq!(models["scripted"], true);
    let model = models["models"][0]["name"].as_str().expect("a model").to_owned();
    let path = |verb: &str| format!("/admin/circuit-breaker/{model}/{verb}");
    let operator = key_of(&place, "operator");
    let open = format!("POST /api/v1{}", path("open"));
    let opened = api.server.ask(&open, &operator, "", &json!({ "reason": "it lies" })).expect_status(200);
    assert_eq!(
        (&opened["state"], &opened["by"], &opened["reason"]),
        (&json!("open"), &json!("operator"), &json!("it lies"))
    );
    let listed = api.get("/admin/circuit-breaker").expect_status(200);
    assert_eq!((&listed["circuits"][0]["model"], &listed["circuits"][0]["state"]), (&json!(model), &json!("open")));
    // As the seed's runbook closes a circuit.
    let closed = api.server.ask(&format!("POST {}", path("close")), &api.key, "", &Value::Null).expect_status(200);
    assert_eq!((&closed["model"], &closed["state"]), (&json!(model), &json!("closed")));
    let told = place.baton(&["models", "circuits", "--json"]).expect_code(0).json();
    assert_eq!(told["circuits"][0]["state"], "closed");
    let unknown = api.post("/admin/circuit-breaker/nothing-like-it/close", "", &Value::Null).expect_status(404);
    assert_eq!(unknown["code"], "MODEL_NOT_FOUND");
    for role in ["service", "builder", "human_agent"] {
        let key = key_of(&place, role);
        for prefix in ["", "/api/v1"] {
            let refused = api.server.ask(&format!("POST {prefix}{}", path("close")), &key, "", &Value::Null);
            assert_eq!(refused.expect_status(403)["code"], "FORBIDDEN", "{role}");
        }
    }
    let keyless = api.server.ask(&format!("POST {}", path("close")), "baton_wrong", "", &Value::Null);
    assert_eq!(keyless.expect_status(401)["code"], "UNAUTHORIZED");
    let profiles = api.get("/models/profiles?tokens=50").expect_status(200);
    assert_eq!(profiles["profiles"].as_array().map(Vec::len), Some(3));
    assert!(profiles["profiles"][0]["choice"]["candidates"].is_array(), "{profiles}");
}

#[test]
fn the_trail_is_paged_filtered_and_verified_by_who_may_see_it() {
    let place = place();
    let api = AdminApi::of(&place);
    for _ in 0..3 {
        api.run("order");
    }
    let first = api.get("/audit?limit=2&action=greet").expect_status(200);
    assert_eq!(first["rows"].as_array().map(Vec::len), Some(2), "{first}");
    let next = api.get(&format!("/audit?limit=2&action=greet&cursor={}", first["next_cursor"])).expect_status(200);
    assert_eq!((next["rows"].as_array().map(Vec::len), &next["next_cursor"]), (Some(1), &Value::Null), "{next}");
    let row = &next["rows"][0];
    let shown = api.get(&format!("/audit/{}", row["seq"])).expect_status(200);
    assert_eq!(&shown, row);
    assert_eq!(api.get("/audit/999").expect_status(404)["code"], "AUDIT_ROW_NOT_FOUND");
    let verdict = api.get("/audit/verify").expect_status(200);
    assert_eq!((&verdict["holds"], &verdict["broken"]), (&json!(true), &Value::Null), "{verdict}");
    let tip = verdict["tip"].as_str().expect("a hash");
    assert_eq!(api.get(&format!("/audit/verify?expect={tip}")).expect_status(200)["expected_is_missing"], false);
    let other = api.get(&format!("/audit/verify?expect={}", "0".repeat(64))).expect_status(200);
    assert_eq!((&other["holds"], &other["expected_is_missing"]), (&json!(false), &json!(true)));
    for wrong in ["/audit?status=odd", "/audit?from=soon", "/audit?limit=0", "/audit/verify?expect=12", "/audit/x"] {
        assert_eq!(api.get(wrong).expect_status(400)["code"], "PARAMETER_INVALID", "{wrong}");
    }
    let service = key_of(&place, "service");
    assert_eq!(api.server.ask("GET /api/v1/audit", &service, "", &Value::Null).expect_status(403)["code"], "FORBIDDEN");
}

#[test]
fn tools_are_listed_page_by_page_found_and_shown() {
    let api = AdminApi::of(&place());
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("/tools?limit=7{cursor}")).expect_status(200);
        names.extend(page["tools"].as_array().expect("a list").iter().map(|tool| tool["name"].clone()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let whole = api.get("/tools?limit=500").expect_status(200);
    let all: Vec<Value> = whole["tools"].as_array().expect("a list").iter().map(|tool| tool["name"].clone()).collect();
    assert_eq!(names, all);
    assert!(all.contains(&json!("greet")) && all.contains(&json!("calculator")), "{all:?}");
    let paying = api.get("/tools?category=payment&search=refund").expect_status(200);
    let paying = paying["tools"].as_array().expect("a list");
    assert!(paying.iter().any(|tool| tool["name"] == "refund_payment"), "{paying:?}");
    assert!(paying.iter().all(|tool| tool["category"] == "payment"), "{paying:?}");
    let found = api.get("/tools/search?query=send%20a%20letter%20by%20e-mail&limit=3").expect_status(200);
    assert!(found["tools"].as_array().is_some_and(|tools| tools.iter().any(|tool| tool["name"] == "send_email")));
    let shown = api.get("/tools/calculator").expect_status(200);
    assert_eq!((&shown["name"], &shown["enabled"]), (&json!("calculator"), &json!(true)));
    assert!(shown["facts"]["parameters"]["properties"].is_object(), "{shown}");
    let none = api.get("/tools/calculater").expect_status(404);
    assert_eq!((&none["code"], &none["hint"]), (&json!("TOOL_NOT_FOUND"), &json!("did you mean `calculator`?")));
}

#[test]
fn a_tool_is_called_once_a_key_and_answers_with_the_envelope() {
    let place = place();
    let api = AdminApi::of(&place);
    let sum = json!({ "arguments": { "expression": "2 * 21" }, "context": { "user_id": "ana" } });
    let first = api.post("/tools/calculator/execute", "Idempotency-Key: s\r\n", &sum);
    assert_eq!(first.header("idempotency-replayed"), None);
    let first = first.expect_status(200);
    assert_eq!((&first["success"], &first["data"]["result"]), (&json!(true), &json!(42)), "{first}");
    for field in ["error", "error_code", "error_details", "audit_id", "duration_ms", "cached", "cost_usd", "state"] {
        assert!(first.get(field).is_some(), "no `{field}` in {first}");
    }
    let again = api.post("/tools/calculator/execute", "Idempotency-Key: s\r\n", &sum);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.expect_status(200), first);
    let greeting = json!({ "arguments": { "name": "{{ secrets.x }}" } });
    let told = api.post("/tools/greet/execute", "", &greeting).expect_status(200);
    assert_eq!(told["data"]["said"], "Hello {{ secrets.x }}");
    let wrong =
        api.post("/tools/calculator/execute", "", &json!({ "arguments": { "expression": 7 } })).expect_status(200);
    assert_eq!((&wrong["success"], &wrong["error_code"]), (&json!(false), &json!("INVALID_PARAMETERS")));
    assert_eq!(api.post("/tools/none/execute", "", &json!({})).expect_status(404)["code"], "TOOL_NOT_FOUND");
    assert_eq!(api.post("/tools/greet/execute", "", &json!({ "input": 1 })).expect_status(422)["code"], "BODY_INVALID");
    let rows = api.get("/audit?user_id=ana").expect_status(200);
    assert_eq!(rows["rows"][0]["action"], "calculator", "{rows}");
    let human = key_of(&place, "human_agent");
    let refused = api.server.ask("POST /api/v1/tools/greet/execute", &human, "", &greeting);
    assert_eq!(refused.expect_status(403)["code"], "FORBIDDEN");
}

#[test]
fn a_call_that_needs_leave_is_a_202_and_answers_when_it_has_it() {
    let place = place();
    let api = AdminApi::of(&place);
    let pay = || api.post("/tools/pay/execute", "Idempotency-Key: p\r\n", &json!({ "arguments": { "amount": 5 } }));
    let waits = pay();
    assert!(waits.header("location").is_some_and(|at| at.starts_with("/api/v1/executions/")));
    let waits = waits.expect_status(202);
    assert_eq!((&waits["success"], &waits["waits_for"][0]["kind"]), (&Value::Null, &json!("approval")), "{waits}");
    let operator = key_of(&place, "operator");
    let approvals = api.get("/approvals").expect_status(200);
    let id = approvals["items"][0]["id"].as_str().expect("an id").replace('/', "%2F").replace('#', "%23");
    api.server.ask(&format!("POST /api/v1/approvals/{id}/approve"), &operator, "", &json!({})).expect_status(200);
    let done = pay();
    assert_eq!(done.header("idempotency-replayed"), Some("true"));
    assert_eq!(done.expect_status(200)["data"]["receipt"], "R-1");
}

#[test]
fn tools_are_chosen_for_a_message_and_none_is_called() {
    let place = place();
    let chosen =
        json!({ "tools": [{ "tool_name": "greet", "parameters": { "name": "Ana" } }], "reasoning": "a greeting" });
    let reply = json!({ "agent": "tool_selector", "replies": [{ "content": chosen.to_string() }] });
    place.write("replies/selector.yaml", reply.to_string());
    let api = AdminApi::of(&place);
    let asked = json!({ "message": "Say hello to Ana", "tools": ["greet", "calculator"] });
    let told = api.post("/tools/select", "Idempotency-Key: c\r\n", &asked).expect_status(200);
    assert_eq!((&told["tools"], &told["reasoning"]), (&json!(["greet"]), &json!("a greeting")), "{told}");
    assert_eq!(told["tool_requests"][0]["tool_name"], "greet");
    assert_eq!(api.get("/audit?action=greet").expect_status(200)["rows"], json!([]));
    let none = json!({ "message": "x", "tools": ["greet", "nothing_like_it"] });
    assert_eq!(api.post("/tools/select", "", &none).expect_status(404)["code"], "TOOL_NOT_FOUND");
    assert_eq!(
        api.post("/tools/select", "", &json!({ "message": "x", "tools": [] })).expect_status(422)["code"],
        "BODY_INVALID"
    );
}

#[test]
fn uses_of_tools_are_summed_up_and_reported_week_by_week() {
    let api = AdminApi::of(&place());
    api.run("order");
    api.post("/tools/calculator/execute", "", &json!({ "arguments": { "expression": "1" } })).expect_status(200);
    let told = api.get("/tools/analytics?by=tool").expect_status(200);
    let counts: Vec<(Value, Value)> =
        told["usage"].as_array().expect("rows").iter().map(|row| (row["tool"].clone(), row["count"].clone())).collect();
    assert_eq!(counts, [(json!("calculator"), json!(1)), (json!("greet"), json!(1))]);
    let day = api.get("/tools/analytics?by=day&tool=greet").expect_status(200);
    assert_eq!(day["usage"][0]["count"], 1, "{day}");
    assert_eq!(api.get("/tools/analytics?by=tenant").expect_status(400)["code"], "PARAMETER_INVALID");
    let date: jiff::civil::Date = day["usage"][0]["day"].as_str().and_then(|day| day.parse().ok()).expect("a day");
    let week = format!("{}-W{:02}", date.iso_week_date().year(), date.iso_week_date().week());
    let report = api.get(&format!("/tools/report?week={week}")).expect_status(200);
    assert_eq!((&report["total_executions"], &report["tools"]["greet"]["count"]), (&json!(2), &json!(1)), "{report}");
    let page = api.get(&format!("/tools/report?week={week}&format=html"));
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let page = api.get(&format!("/tools/report?week={week}&format=markdown"));
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/markdown; charset=utf-8")));
    assert_eq!(api.get("/tools/report?week=47").expect_status(400)["code"], "PARAMETER_INVALID");
}

/// A server with a mock of Composio.
fn with_composio() -> (ComposioMock, TestFolder, AdminApi) {
    let service = ComposioMock::start();
    let place = service.place();
    let server = BatonServer::start_with(&place, &[("COMPOSIO_API_KEY", COMPOSIO_KEY)]);
    let key = server.key().expect("a key").to_owned();
    (service, place, AdminApi { server, key })
}

#[test]
fn apps_and_actions_of_composio_are_told_as_the_seed_says() {
    let (_service, _place, api) = with_composio();
    let apps = api.get("/composio/apps?category=ecommerce").expect_status(200);
    let app = json!({
        "name": "shopify", "display_name": "Shopify", "description": "E-commerce platform", "category": "e-commerce",
        "total_actions": 2, "available_actions": ["create_return", "get_order"], "is_connected": false,
        "logo_url": "https://logos.example/shopify",
    });
    assert_eq!(apps, json!({ "apps": [app] }));
    assert_eq!(api.get("/composio/apps?category=mail").expect_status(200)["apps"], json!([]));
    let found = api.get("/composio/actions/search?query=create%20return&limit=1").expect_status(200);
    let action = json!({
        "app_name": "shopify", "action_name": "create_return", "display_name": "Create Return",
        "description": "SHOPIFY_CREATE_RETURN of a shop", "parameters": {"order_id": {"type": "string", "required": true}},
        "requires_auth": true,
    });
    assert_eq!(found["actions"], json!([action]), "{found}");
    let sought = api.post("/composio/search", "", &json!({ "query": "create return", "limit": 1 })).expect_status(200);
    assert_eq!(sought["actions"], found["actions"]);
    let first = api.get("/composio/actions?app=shopify&limit=1").expect_status(200);
    let cursor = first["next_cursor"].as_str().expect("a next page");
    let next = api.get(&format!("/composio/actions?limit=1&cursor={cursor}")).expect_status(200);
    assert_eq!(next["actions"][0]["action_name"], "get_order");
    assert_eq!(api.get("/composio/actions?app=gmail").expect_status(422)["code"], "COMPOSIO_REFUSED");
    assert_eq!(api.get("/composio/actions/search?query=").expect_status(400)["code"], "PARAMETER_INVALID");
    let refreshed = api.post("/composio/refresh", "", &json!({})).expect_status(200);
    assert_eq!(
        (&refreshed["toolkits"][0]["toolkit"], &refreshed["toolkits"][0]["actions"]),
        (&json!("shopify"), &json!(2))
    );
}

#[test]
fn an_account_is_connected_looked_at_and_disconnected() {
    let (service, place, api) = with_composio();
    let body = json!({ "entity_id": "cust_789", "redirect_url": "https://yourapp.com/oauth/callback" });
    let link = api.post("/composio/connect/shopify", "", &body).expect_status(200);
    assert_eq!(link, json!({ "authorization_url": "https://connect.example/ca_1", "connection_id": "ca_1" }));
    service.set("ca_1", "ACTIVE");
    let kept = api.get("/composio/connections").expect_status(200);
    assert_eq!(
        (&kept["connections"][0]["entity"], &kept["connections"][0]["state"]),
        (&json!("user:cust_789"), &json!("INITIATED"))
    );
    let now = api.get("/composio/connections?check=true").expect_status(200);
    assert_eq!(now["connections"][0]["state"], "ACTIVE");
    assert_eq!(api.get("/composio/apps").expect_status(200)["apps"][0]["is_connected"], true);
    // A program may connect the accounts of its customers, but not the company's.
    let service_key = key_of(&place, "service");
    let connect = |body: &Value| api.server.ask("POST /api/v1/composio/connect/shopify", &service_key, "", body);
    assert_eq!(connect(&json!({})).expect_status(403)["code"], "FORBIDDEN");
    assert_eq!(connect(&json!({ "entity_id": "agent:clerk" })).expect_status(403)["code"], "FORBIDDEN");
    connect(&json!({ "entity_id": "cust_790" })).expect_status(200);
    assert_eq!(api.post("/composio/connect/gmail", "", &json!({})).expect_status(422)["code"], "COMPOSIO_REFUSED");
    let wrong = json!({ "entity_id": "x", "redirect_url": "javascript:alert(1)" });
    assert_eq!(api.post("/composio/connect/shopify", "", &wrong).expect_status(422)["code"], "BODY_INVALID");
    let disconnect = |query: &str| {
        let request = format!("DELETE /api/v1/composio/connections/shopify{query}");
        api.server.ask(&request, &api.key, "", &Value::Null)
    };
    assert_eq!(disconnect("?entity_id=cust_789").expect_status(200)["disconnected"]["account"], "ca_1");
    assert_eq!(disconnect("?entity_id=cust_789").expect_status(404)["code"], "CONNECTION_NOT_FOUND");
    assert_eq!(disconnect("").expect_status(404)["code"], "CONNECTION_NOT_FOUND");
}

#[test]
fn nothing_of_a_tenants_is_told_to_another_whatever_is_asked() {
    let (service, place, api) = with_composio();
    let mark = "only-ours-4711";
    let call = json!({ "arguments": { "expression": "1" }, "context": { "user_id": mark } });
    let ours = api.post("/tools/calculator/execute", "", &call).expect_status(200);
    let ours = ours["execution_id"].as_str().expect("an id").to_owned();
    api.post("/composio/connect/shopify", "", &json!({ "entity_id": mark })).expect_status(200);
    service.set("ca_1", "ACTIVE");
    let settings = std::fs::read_to_string(place.path().join("baton.toml")).expect("is there");
    place.write("baton.toml", format!("tenant = \"other\"\n{settings}"));
    let theirs = key_of(&place, "admin");
    let ask = |request: &str, body: &Value| api.server.ask(request, &theirs, "", body);
    let document = api.get("/openapi.json").expect_status(200);
    let paths = document["paths"].as_object().expect("paths");
    let (mut walked, mut seen) = (0, 0);
    for (path, operations) in paths.iter().filter(|(path, _)| !path.contains('{')) {
        if operations.get("get").is_none() {
            continue;
        }
        if path.ends_with("/events") {
            // An event stream does not end.
            let told = api.server.listen(path, &theirs, "").next().expect("an event").data.to_string();
            assert!(!told.contains(&ours) && !told.contains(mark), "{path}: {told}");
            continue;
        }
        let path = if path.ends_with("/search") { format!("{path}?query={mark}") } else { path.clone() };
        let told = ask(&format!("GET {path}"), &Value::Null);
        assert!(told.status < 500, "{path}: {told:?}");
        let said = told.body.to_string();
        assert!(!said.contains(&ours) && (path.contains("search") || !said.contains(mark)), "{path}: {said}");
        walked += 1;
        let own = api.server.ask(&format!("GET {path}"), &api.key, "", &Value::Null).body.to_string();
        seen += usize::from(own.contains(&ours) || own.contains(mark));
    }
    assert!(walked >= 15 && seen >= 3, "{walked} walked, {seen} told us");
    // Row numbers are per tenant: row 1 of the other tenant records its key.
    let (own, told) =
        (api.get("/audit/2").expect_status(200), ask("GET /api/v1/audit/1", &Value::Null).expect_status(200));
    assert_eq!((&told["company_id"], &told["action"]), (&json!("other"), &json!("keys.create")));
    assert_ne!(own["company_id"], "other");
    assert_eq!(ask("GET /api/v1/audit/2", &Value::Null).expect_status(404)["code"], "AUDIT_ROW_NOT_FOUND");
    let disconnect = format!("DELETE /api/v1/composio/connections/shopify?entity_id={mark}");
    assert_eq!(ask(&disconnect, &Value::Null).expect_status(404)["code"], "CONNECTION_NOT_FOUND");
    // A call belongs to its caller's tenant.
    let told =
        ask("POST /api/v1/tools/calculator/execute", &json!({ "arguments": { "expression": "2" } })).expect_status(200);
    let id = told["execution_id"].as_str().expect("an id");
    assert_eq!(api.get(&format!("/executions/{id}")).expect_status(404)["code"], "EXECUTION_NOT_FOUND");
    assert_eq!(ask(&format!("GET /api/v1/executions/{id}"), &Value::Null).expect_status(200)["status"], "completed");
}

#[test]
fn knowledge_is_kept_found_and_removed() {
    let place = place();
    let api = AdminApi::of(&place);
    let returns = json!({
        "name": "shop/returns.md", "text": "# Returns\n\nA parcel goes back within thirty days.", "metadata": {"lang": "en"},
    });
    let added = api.post("/knowledge/documents", "", &returns).expect_status(200);
    assert_eq!(
        (&added["document"], &added["revision"], &added["unchanged"]),
        (&json!("shop/returns.md"), &json!(1), &json!(false))
    );
    assert_eq!(api.post("/knowledge/documents", "", &returns).expect_status(200)["unchanged"], true);
    let about = json!({ "name": "ana.md", "text": "Ana likes parcels in blue.", "about": "ana" });
    api.post("/knowledge/documents", "", &about).expect_status(200);
    let open = json!({ "name": "ana.md", "text": "Ana likes parcels in red." });
    assert_eq!(api.post("/knowledge/documents", "", &open).expect_status(409)["code"], "DOCUMENT_IS_ABOUT");
    // As on the command line, a document about one person cannot become another's, and a document for everybody cannot
    // become one person's.
    let anothers = json!({ "name": "ana.md", "text": "Ana likes parcels in red.", "about": "bea" });
    assert_eq!(api.post("/knowledge/documents", "", &anothers).expect_status(409)["code"], "DOCUMENT_IS_ABOUT");
    let hers = json!({ "name": "shop/returns.md", "text": "# Returns", "about": "ana" });
    let refused = api.post("/knowledge/documents", "", &hers).expect_status(409);
    assert_eq!(refused["code"], "DOCUMENT_IS_ABOUT");
    assert!(refused["detail"].as_str().expect("why").contains("is everybody's"), "{refused}");
    let first = api.get("/knowledge/documents?limit=1").expect_status(200);
    assert_eq!((&first["documents"][0]["name"], &first["documents"][0]["subject"]), (&json!("ana.md"), &json!("ana")));
    let next =
        api.get(&format!("/knowledge/documents?limit=1&cursor={}", first["next_cursor"].as_str().expect("more")));
    assert_eq!(next.expect_status(200)["documents"][0]["title"], "Returns");
    let sought = json!({ "query": "parcel goes back", "top": 1, "filter": {"lang": "en"} });
    let found = api.post("/knowledge/search", "", &sought).expect_status(200);
    assert_eq!(found["results"][0]["document"], "shop/returns.md", "{found}");
    let told = place.baton(&["knowledge", "search", "parcel goes back", "--json"]).expect_code(0).json();
    assert_eq!(told["results"][0]["document"], "shop/returns.md");
    let rebuilt = api.post("/knowledge/reindex", "", &json!({})).expect_status(200);
    assert_eq!(rebuilt["collections"][0]["documents"], 2, "{rebuilt}");
    let remove = || api.server.ask("DELETE /api/v1/knowledge/documents/shop%2Freturns.md", &api.key, "", &Value::Null);
    assert_eq!(remove().expect_status(200)["removed"], "shop/returns.md");
    assert_eq!(remove().expect_status(404)["code"], "DOCUMENT_NOT_FOUND");
    let long = json!({ "name": "n".repeat(600), "text": "x" });
    assert_eq!(api.post("/knowledge/documents", "", &long).expect_status(422)["code"], "KNOWLEDGE_REFUSED");
    assert_eq!(
        api.post("/knowledge/search", "", &json!({ "query": "x", "top": 0 })).expect_status(400)["code"],
        "PARAMETER_INVALID"
    );
    let service = key_of(&place, "service");
    let refused = api.server.ask("POST /api/v1/knowledge/documents", &service, "", &returns);
    assert_eq!(refused.expect_status(403)["code"], "FORBIDDEN");
    assert_eq!(api.server.ask("POST /api/v1/knowledge/search", &service, "", &sought).status, 200);
}

#[test]
fn a_customer_is_erased_from_memory_and_from_the_trail_which_still_holds() {
    let place = place();
    let api = AdminApi::of(&place);
    let call = |person: &str| {
        let call = json!({ "arguments": { "name": person }, "context": { "user_id": person } });
        api.post("/tools/greet/execute", "", &call).expect_status(200)
    };
    call("ana");
    call("bob");
    api.post("/knowledge/documents", "", &json!({ "name": "ana.md", "text": "Likes blue.", "about": "ana" }))
        .expect_status(200);
    let operator = key_of(&place, "operator");
    let path = "/customers/ana/erase";
    let refused = api.server.ask(&format!("POST /api/v1{path}"), &operator, "", &json!({}));
    assert_eq!(refused.expect_status(403)["code"], "FORBIDDEN");
    for of_many in ["a", "1500", "2026-11-25", "20261125"] {
        assert_eq!(
            api.post(path, "", &json!({ "also": [of_many] })).expect_status(422)["code"],
            "BODY_INVALID",
            "{of_many}"
        );
    }
    let erased = api.post(path, "", &json!({ "also": ["ana@example.com"] })).expect_status(200);
    assert_eq!((&erased["forgotten"]["knowledge"], &erased["also_known_by"]), (&json!(1), &json!(1)), "{erased}");
    assert!(erased["erased_audit_rows"].as_u64().is_some_and(|rows| rows >= 1), "{erased}");
    assert_eq!(api.get("/audit?user_id=ana").expect_status(200)["rows"], json!([]));
    assert!(api.get("/audit?user_id=bob").expect_status(200)["rows"][0].is_object());
    assert_eq!(api.get("/knowledge/documents").expect_status(200)["documents"], json!([]));
    assert_eq!(api.get("/audit/verify").expect_status(200)["holds"], true);
    assert_eq!(api.post(path, "", &json!({})).expect_status(200)["erased_audit_rows"], 0);
}

#[test]
fn a_customer_is_handed_what_is_kept_of_them_and_nothing_of_anybody_else() {
    let place = place();
    let api = AdminApi::of(&place);
    for person in ["ana", "bob"] {
        let begin = json!({ "workflow_id": "talk", "user_id": person, "message": format!("hello from {person}") });
        api.post("/conversations", "", &begin).expect_status(200);
        let call = json!({ "arguments": { "name": format!("of {person}") }, "context": { "user_id": person } });
        api.post("/tools/greet/execute", "", &call).expect_status(200);
        let about = json!({ "name": format!("{person}.md"), "text": "Likes blue.", "about": person });
        api.post("/knowledge/documents", "", &about).expect_status(200);
    }
    let told = api.get("/customers/ana/export").expect_status(200);
    assert_eq!((&told["customer_id"], &told["complete"]), (&json!("ana"), &json!(true)), "{told}");
    let lines = told["conversations"][0]["messages"].as_array().expect("lines");
    assert!(lines.iter().any(|line| line["from"] == "customer" && line["text"] == "hello from ana"), "{told}");
    let executions = told["executions"].as_array().expect("executions");
    assert!(executions.len() >= 2, "that of the conversation, and the call: {told}");
    assert_eq!((&told["documents"][0]["name"], &told["audit_rows"][0]["action"]), (&json!("ana.md"), &json!("greet")));
    assert!(!told.to_string().contains("bob"), "{told}");
    let nobody = api.get("/customers/zoe/export").expect_status(200);
    for list in ["conversations", "executions", "documents", "audit_rows"] {
        assert_eq!(nobody[list], json!([]), "{list}");
    }
    // The trail records the export, but not whose data it was.
    let rows = api.get("/audit?action=customers.export").expect_status(200);
    assert_eq!(rows["rows"].as_array().map(Vec::len), Some(2), "{rows}");
    assert!(!rows.to_string().contains("zoe"), "{rows}");
    let operator = key_of(&place, "operator");
    let refused = api.server.ask("GET /api/v1/customers/ana/export", &operator, "", &Value::Null);
    assert_eq!(refused.expect_status(403)["code"], "FORBIDDEN");
}

#[test]
fn what_is_answered_is_as_the_document_says() {
    let (_service, _place, api) = with_composio();
    let document = api.get("/openapi.json").expect_status(200);
    let call = json!({ "arguments": { "expression": "1" } });
    api.post("/knowledge/documents", "", &json!({ "name": "a", "text": "b" })).expect_status(200);
    api.post("/composio/connect/shopify", "", &json!({})).expect_status(200);
    api.post("/admin/circuit-breaker/none/close", "", &json!({})).expect_status(404);
    for (answered, schema) in [
        (api.post("/tools/calculator/execute", "", &call).expect_status(200), "Envelope"),
        (api.get("/tools?limit=100").expect_status(200), "Tools"),
        (api.get("/tools/calculator").expect_status(200), "Tool"),
        (api.get("/tools/search?query=add%20numbers").expect_status(200), "ToolsFound"),
        (api.get("/tools/analytics").expect_status(200), "ToolUsage"),
        (api.get("/tools/report").expect_status(200), "WeekReport"),
        (api.get("/composio/apps").expect_status(200), "Apps"),
        (api.get("/composio/actions").expect_status(200), "Actions"),
        (api.get("/composio/connections").expect_status(200), "Connections"),
        (api.get("/costs/summary").expect_status(200), "CostSummary"),
        (api.get("/costs").expect_status(200), "CostRows"),
        (api.get("/budgets").expect_status(200), "Budgets"),
        (api.get("/models").expect_status(200), "ModelList"),
        (api.get("/models/profiles").expect_status(200), "Profiles"),
        (api.get("/admin/circuit-breaker").expect_status(200), "CircuitList"),
        (api.get("/knowledge/documents").expect_status(200), "Documents"),
        (api.post("/knowledge/search", "", &json!({ "query": "b" })).expect_status(200), "Passages"),
        (api.get("/audit").expect_status(200), "Trail"),
        (api.get("/audit/verify").expect_status(200), "Verified"),
    ] {
        let whole = json!({ "$ref": format!("#/components/schemas/{schema}"), "components": document["components"] });
        let validator = jsonschema::validator_for(&whole).expect("a schema");
        let faults: Vec<String> = validator.iter_errors(&answered).map(|fault| fault.to_string()).collect();
        assert!(faults.is_empty(), "{schema}: {faults:?}\n{answered}");
    }
}

#[test]
fn keys_are_made_shown_once_rotated_and_revoked_by_admins() {
    let place = place();
    let api = AdminApi::of(&place);
    let made = api.post("/keys", "", &json!({ "name": "shop", "role": "operator", "days": 7 }));
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let made = made.expect_status(201);
    assert_eq!((&made["name"], &made["role"], &made["state"]), (&json!("shop"), &json!("operator"), &json!("good")));
    let (id, secret) = (made["id"].as_str().expect("an id"), made["key"].as_str().expect("a secret"));
    let me = |key: &str| api.server.ask("GET /api/v1/me", key, "", &Value::Null);
    assert_eq!(me(secret).expect_status(200)["key_id"], id);
    let listed = api.get("/keys").expect_status(200);
    assert!(!listed.to_string().contains(secret) && listed["keys"][0]["id"] == id, "{listed}");
    let first = api.get("/keys?limit=1").expect_status(200);
    let next =
        api.get(&format!("/keys?limit=1&cursor={}", first["next_cursor"].as_str().expect("more"))).expect_status(200);
    assert_eq!(next["keys"][0]["name"], "first start");
    let rotated = api.post(&format!("/keys/{id}/rotate"), "", &json!({ "overlap_hours": 1 })).expect_status(201);
    assert_eq!((&rotated["name"], &rotated["role"]), (&json!("shop"), &json!("operator")));
    let newer = rotated["key"].as_str().expect("a secret");
    assert_eq!((me(secret).status, me(newer).status), (200, 200), "both, for an hour");
    let new_id = rotated["id"].as_str().expect("an id");
    let revoke = |id: &str| api.server.ask(&format!("DELETE /api/v1/keys/{id}"), &api.key, "", &Value::Null);
    let revoked = revoke(new_id).expect_status(200);
    assert_eq!(revoked["state"], "revoked");
    assert_eq!(revoke(new_id).expect_status(200)["revoked_at"], revoked["revoked_at"]);
    assert_eq!(api.post(&format!("/keys/{new_id}/rotate"), "", &json!({})).expect_status(409)["code"], "KEY_ENDED");
    assert_eq!(revoke("key_none").expect_status(404)["code"], "KEY_NOT_FOUND");
    for wrong in [
        json!({ "name": " ", "role": "admin" }),
        json!({ "name": "x", "role": "king" }),
        json!({ "name": "x", "role": "admin", "days": 0 }),
    ] {
        assert_eq!(api.post("/keys", "", &wrong).expect_status(422)["code"], "BODY_INVALID", "{wrong}");
    }
    for role in ["builder", "operator", "human_agent", "service"] {
        let key = key_of(&place, role);
        let wish = json!({ "name": "mine", "role": "admin" });
        assert_eq!(
            api.server.ask("POST /api/v1/keys", &key, "", &wish).expect_status(403)["code"],
            "FORBIDDEN",
            "{role}"
        );
        assert_eq!(api.server.ask("GET /api/v1/keys", &key, "", &Value::Null).status, 403, "{role}");
    }
    let settings = format!("tenant = \"other\"\n{SETTINGS}");
    place.write("baton.toml", settings);
    let theirs = key_of(&place, "admin");
    let told = api.server.ask(&format!("DELETE /api/v1/keys/{id}"), &theirs, "", &Value::Null);
    assert_eq!(told.expect_status(404)["code"], "KEY_NOT_FOUND");
    assert_eq!(
        api.server.ask("GET /api/v1/keys", &theirs, "", &Value::Null).expect_status(200)["keys"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}
