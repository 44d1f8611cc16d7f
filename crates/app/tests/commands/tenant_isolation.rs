//! Calls every route of the API document with another tenant's key and the first tenant's ids. No response may reveal
//! data of the first tenant, and no request may change it.
//!
//! A route that this walk cannot call fails the test: add an id to [`TenantWalk::real`] and a body to [`said`].

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::server::{ApiAnswer, BatonServer, wait_for};
use crate::test_folder::TestFolder;

/// Part of everything that the first tenant has written, and of no name in a request.
const SECRET: &str = "zebra";

const SETTINGS: &str = "\
[serve]
requests_per_minute = 100000
[webhooks]
retry_seconds = [1, 1]
[tools.outbound]
allow = [\"127.0.0.1\"]
[tools.tool.pay]
approval = true
";
const TOOLS: &str = "tools: [{name: pay, kind: script, class: keyed, irreversible: paid, results: [{output: {}}]}]\n";
const TALK: &str = "name: okapi_talk\ndescription: zebra\nnodes: [{id: say, type: transform, set: {text: zebra}}]\n";
const WAITS: &str = "name: okapi_waits\ndescription: zebra\nnodes: [{id: ask, type: wait, signal: go}, {id: zebra, type: transform, set: {a: 1}}]\n";

/// Routes that may succeed with another tenant's ids, because they neither change nor reveal its data.
const OF_ONES_OWN: &[(&str, &str)] = &[
    // These create the caller's own resource under the same name.
    ("PUT", "/api/v1/agents/{agent_id}"),
    ("PUT", "/api/v1/human-agents/{person_id}"),
    ("PUT", "/api/v1/subscriptions/{name}"),
    ("PUT", "/api/v1/workflows/{workflow_id}"),
    ("PUT", "/api/v1/tools/{name}/rule"),
    ("PUT", "/api/v1/budgets/{of}"),
    ("DELETE", "/api/v1/tools/{name}/rule"),
    ("DELETE", "/api/v1/budgets/{of}"),
    ("GET", "/api/v1/budgets/{of}"),
    // The caller's own customer of that name.
    ("POST", "/api/v1/customers/{customer_id}/erase"),
    ("GET", "/api/v1/customers/{customer_id}/export"),
    // Tools and templates belong to everybody, and a call belongs to its caller.
    ("GET", "/api/v1/tools/{name}"),
    ("GET", "/api/v1/tools/{name}/rule"),
    ("GET", "/api/v1/tools/{name}/rule/history"),
    ("POST", "/api/v1/tools/{name}/execute"),
    ("GET", "/api/v1/workflows/templates/{template_id}"),
    // Row numbers are per tenant.
    ("GET", "/api/v1/audit/{seq}"),
];

/// One route of the API.
struct ApiRoute {
    method: String,
    path: String,
    parameters: Vec<String>,
    takes_body: bool,
}

impl ApiRoute {
    /// Whether the route may succeed with another tenant's ids, or creates resources with such names.
    fn makes_ones_own(&self) -> bool {
        let is_known = OF_ONES_OWN.iter().any(|(method, path)| self.method == *method && self.path == *path);
        is_known || (self.method != "GET" && self.parameters.is_empty())
    }

    fn is_stream(&self) -> bool {
        self.path.ends_with("/events")
    }
}

/// A server, the admin keys of its own and of another tenant, and everything that the first tenant has.
struct TenantWalk {
    _place: TestFolder,
    server: BatonServer,
    ours: String,
    theirs: String,
    /// Ids and names of the first tenant, by kind.
    real: BTreeMap<&'static str, String>,
}

impl TenantWalk {
    fn new() -> Self {
        let place = TestFolder::with(&[
            ("baton.toml", SETTINGS),
            ("tools/tools.yaml", TOOLS),
            ("workflows/okapi_talk.yaml", TALK),
            ("workflows/okapi_waits.yaml", WAITS),
        ]);
        let server = BatonServer::start(&place);
        let ours = server.key().expect("a key").to_owned();
        let made = server.ask("POST /api/v1/tenants", &ours, "", &json!({ "id": "other" })).expect_status(201);
        let theirs = made["key"].as_str().expect("a key").to_owned();
        let mut world = Self { _place: place, server, ours, theirs, real: BTreeMap::new() };
        world.fill();
        world
    }

    fn we(&self, request: &str, body: &Value) -> Value {
        let (method, path) = request.split_once(' ').expect("a method and a path");
        let answer = self.server.ask(&format!("{method} /api/v1{path}"), &self.ours, "", body);
        assert!(answer.status < 300, "{request}: {answer:?}");
        answer.body
    }

    /// Creates one of everything.
    fn fill(&mut self) {
        let text = |value: &Value| value.as_str().expect("an id").to_owned();
        let waits = self
            .we("POST /workflows/execute", &json!({ "workflow_id": "okapi_waits", "context": { "user_id": SECRET } }));
        self.real.insert("execution", text(&waits["execution_id"]));
        let subscription =
            json!({ "name": "okapi-told", "url": "http://127.0.0.1:1/zebra", "events": ["execution.completed"] });
        self.we("POST /subscriptions", &subscription);
        let begin =
            json!({ "workflow_id": "okapi_talk", "user_id": "okapi-customer", "message": "a zebra speaks to a human" });
        let talk = self.we("POST /conversations", &begin);
        self.real.insert("conversation", text(&talk["conversation_id"]));
        self.we(
            "POST /workflows/execute",
            &json!({ "workflow_id": "okapi_talk", "context": { "user_id": "okapi-customer" } }),
        );
        let person = json!({ "name": SECRET, "email": "zebra@example.com" });
        self.we("PUT /human-agents/okapi-ana", &person);
        let agent = json!({ "name": "okapi_agent", "type": "simple", "description": SECRET });
        self.we("POST /agents", &agent);
        let schedule = json!({
            "name": "okapi-daily", "workflow_id": "okapi_waits", "cron": "@yearly", "context": { "user_id": SECRET },
        });
        self.we("POST /schedules", &schedule);
        self.we(
            "POST /webhooks",
            &json!({ "name": "okapi-hook", "workflow_id": "okapi_waits", "context": { "user_id": SECRET } }),
        );
        self.we("POST /sources", &source("zebra"));
        let about = json!({ "name": "okapi.md", "text": "# A zebra\n\nIt likes blue", "about": "okapi-customer" });
        self.we("POST /knowledge/documents", &about);
        let key = self.we("POST /keys", &json!({ "name": SECRET, "role": "service" }));
        self.real.insert("key", text(&key["id"]));
        self.we("PUT /tools/pay/rule", &json!({ "defaults": { "note": SECRET } }));
        self.we("PUT /budgets/tenant", &json!({ "daily_usd": 4_711 }));
        let models = self.we("GET /models", &Value::Null);
        let model = text(&models["models"][0]["name"]);
        self.we(&format!("POST /admin/circuit-breaker/{model}/close"), &json!({ "reason": SECRET }));
        self.real.insert("model", model);
        self.we(
            "POST /tools/pay/execute",
            &json!({ "arguments": { "for": SECRET }, "context": { "user_id": "okapi-customer" } }),
        );
        let open = self.we("GET /approvals", &Value::Null);
        self.real.insert("approval", text(&open["items"][0]["id"]));
        let dead = wait_for("a delivery is given up", || {
            let dead = self.we("GET /subscriptions/okapi-told/deliveries", &Value::Null);
            dead["deliveries"].as_array().expect("a list").first().cloned()
        });
        self.real.insert("delivery", text(&dead["id"]));
    }

    /// The value of the first tenant for a path parameter.
    fn real(&self, path: &str, parameter: &str) -> Option<String> {
        let known = |name: &str| self.real[name].clone();
        let below = |folder: &str| path.starts_with(&format!("/api/v1/{folder}/"));
        let real = match parameter {
            "execution_id" => known("execution"),
            "conversation_id" => known("conversation"),
            "approval_id" => known("approval"),
            "key_id" => known("key"),
            "delivery_id" => known("delivery"),
            "model" => known("model"),
            "of" => "tenant".to_owned(),
            "agent_id" => "okapi_agent".to_owned(),
            "person_id" => "okapi-ana".to_owned(),
            "customer_id" => "okapi-customer".to_owned(),
            "workflow_id" => "okapi_waits".to_owned(),
            "from" | "to" | "seq" => "1".to_owned(),
            "tenant_id" => "default".to_owned(),
            "template_id" => "first".to_owned(),
            "app" => "shopify".to_owned(),
            "name" if below("schedules") => "okapi-daily".to_owned(),
            "name" if below("webhooks") => "okapi-hook".to_owned(),
            "name" if below("subscriptions") => "okapi-told".to_owned(),
            "name" if below("knowledge/documents") => "okapi.md".to_owned(),
            "name" if below("sources") => "okapi_shop".to_owned(),
            "name" if below("tools") => "pay".to_owned(),
            _ => return None,
        };
        Some(real)
    }

    /// The routes in the document.
    fn routes(&self) -> Vec<ApiRoute> {
        let document = self.we("GET /openapi.json", &Value::Null);
        let mut routes = Vec::new();
        for (path, operations) in document["paths"].as_object().expect("paths") {
            for (method, operation) in operations.as_object().expect("operations") {
                if !["get", "put", "post", "delete", "patch"].contains(&method.as_str()) {
                    continue;
                }
                let parameters = operation["parameters"].as_array().into_iter().flatten();
                let parameters = parameters.filter(|parameter| parameter["in"] == "path");
                routes.push(ApiRoute {
                    method: method.to_uppercase(),
                    path: path.clone(),
                    parameters: parameters.map(|one| one["name"].as_str().expect("a name").to_owned()).collect(),
                    takes_body: operation.get("requestBody").is_some(),
                });
            }
        }
        routes
    }

    /// The path with the first tenant's ids filled in, and the values that the caller supplies in it.
    fn address(&self, route: &ApiRoute) -> (String, Vec<String>) {
        let (mut path, mut said) = (route.path.clone(), Vec::new());
        for parameter in &route.parameters {
            let real = self.real(&route.path, parameter);
            assert!(real.is_some(), "the walk has nothing of the first tenant's for `{parameter}` of {}", route.path);
            let real = real.unwrap_or_default();
            let written = real.replace('/', "%2F").replace('#', "%23");
            path = path.replace(&format!("{{{parameter}}}"), &written);
            said.push(real);
        }
        if route.path.ends_with("/search") {
            path.push_str("?query=okapi");
        }
        (path, said)
    }

    fn ask(&self, key: &str, route: &ApiRoute) -> (ApiAnswer, Vec<String>) {
        let (path, mut own) = self.address(route);
        let body = if route.takes_body { said(route) } else { Some(Value::Null) };
        assert!(body.is_some(), "the walk does not know what to say to {} {}", route.method, route.path);
        let body = body.unwrap_or_default();
        own.push(body.to_string());
        let request = format!("{} {path}", route.method);
        let answer = match body.as_str() {
            Some(text) => self.server.write(&request, key, "", text),
            None => self.server.ask(&request, key, "", &body),
        };
        (answer, own)
    }

    /// Everything of the first tenant that can be read, by path.
    fn everything(&self, routes: &[ApiRoute]) -> BTreeMap<String, Value> {
        let looks = routes.iter().filter(|route| route.method == "GET" && !route.is_stream());
        looks.map(|route| (route.path.clone(), self.ask(&self.ours, route).0.body)).collect()
    }

    /// Ids of the first tenant that cannot be guessed.
    fn ids(&self) -> BTreeSet<String> {
        ["execution", "conversation", "approval", "key", "delivery"].map(|of| self.real[of].clone()).into()
    }

    /// Names and ids of the first tenant.
    fn names(&self) -> BTreeSet<String> {
        let names = [
            "okapi_talk",
            "okapi_waits",
            "okapi-told",
            "okapi-ana",
            "okapi_agent",
            "okapi-daily",
            "okapi-hook",
            "okapi.md",
            "okapi_shop",
            "okapi-customer",
        ];
        names.map(str::to_owned).into_iter().chain(self.ids()).collect()
    }
}

/// Checks that a response contains no data of the first tenant, except what the request named.
fn tells_nothing(told: &str, own: &[String], names: &BTreeSet<String>, what: &str) {
    assert!(!told.contains(SECRET), "{what} tells what another said: {told}");
    for name in names {
        let is_said = own.iter().any(|said| said.contains(name));
        assert!(is_said || !told.contains(name), "{what} tells of `{name}`: {told}");
    }
}

/// A tool source, for routes that need one.
fn source(what: &str) -> Value {
    let document = json!({
        "openapi": "3.1.0", "info": {"title": "Shop", "version": "1"}, "servers": [{"url": "http://127.0.0.1:1"}],
        "paths": {"/look": {"get": {"operationId": what}}},
    });
    json!({ "name": "okapi_shop", "kind": "openapi", "document": document })
}

/// The body of a request to a route. It would be sufficient to act for the first tenant.
fn said(route: &ApiRoute) -> Option<Value> {
    let workflow = json!("name: okapi_waits\nnodes: [{id: a, type: transform, set: {b: 1}}]\n");
    let text = json!({ "text": "theirs" });
    let said = match (route.method.as_str(), route.path.strip_prefix("/api/v1").expect("the API")) {
        (_, "/workflows" | "/workflows/import" | "/workflows/validate" | "/workflows/{workflow_id}") => workflow,
        // Rejected before a model is called. None is configured.
        (_, "/workflows/generate") => json!({ "goal": "" }),
        (_, "/workflows/execute") => json!({ "workflow_id": "okapi_waits" }),
        (_, "/workflows/{workflow_id}/activate") => json!({ "revision": 1 }),
        (_, "/workflows/{workflow_id}/rollback") => json!({}),
        (_, "/workflows/{workflow_id}/traffic") => json!({ "traffic": [{ "revision": 1, "percent": 100 }] }),
        (_, "/agents" | "/agents/{agent_id}") => json!({ "name": "okapi_agent", "type": "simple" }),
        (_, "/agents/{agent_id}/execute") => json!({ "task": "theirs" }),
        (_, "/conversations") => json!({ "workflow_id": "okapi_talk", "message": "theirs" }),
        (_, "/conversations/{conversation_id}/posts") => json!({ "text": "theirs", "number": 1 }),
        (_, "/conversations/{conversation_id}/transfer") => json!({ "number": 1, "person": "okapi-ana" }),
        (_, "/conversations/{conversation_id}/service-level") => json!({ "priority": "urgent" }),
        (_, "/conversations/{conversation_id}/rate") => json!({ "score": 1 }),
        (_, "/conversations/{conversation_id}/messages" | "/conversations/{conversation_id}/notes") => text,
        (_, "/approvals/{approval_id}/links") => json!({ "person": "okapi-ana" }),
        (_, "/executions/{execution_id}/answer") => json!({ "to": "ask", "approve": true }),
        (_, "/executions/{execution_id}/fork") => json!({ "node_id": "ask" }),
        (_, "/executions/{execution_id}/resolve") => json!({ "effect": "ask#0.0", "became": "not_done" }),
        (_, "/executions/{execution_id}/signal") => json!({ "name": "go" }),
        (_, "/human-agents/{person_id}") => json!({ "name": "theirs", "email": "theirs@example.com" }),
        (_, "/human-agents/{person_id}/presence") => json!({ "status": "online" }),
        (_, "/keys") => json!({ "name": "theirs", "role": "service" }),
        (_, "/knowledge/documents") => json!({ "name": "okapi.md", "text": "theirs" }),
        (_, "/knowledge/search") => json!({ "query": "likes blue" }),
        (_, "/schedules" | "/schedules/{name}") => {
            json!({ "name": "okapi-daily", "workflow_id": "okapi_waits", "cron": "@daily" })
        }
        (_, "/webhooks" | "/webhooks/{name}") => json!({ "name": "okapi-hook", "workflow_id": "okapi_waits" }),
        (_, "/subscriptions" | "/subscriptions/{name}") => {
            json!({ "name": "okapi-told", "url": "http://127.0.0.1:1/theirs", "events": ["execution.failed"] })
        }
        (_, "/sources" | "/sources/{name}") => source("theirs"),
        (_, "/tenants") => json!({ "id": "third" }),
        (_, "/tenants/{tenant_id}") => json!({ "name": "theirs" }),
        (_, "/tools/select") => json!({ "message": "theirs", "tools": ["pay"] }),
        (_, "/tools/{name}/rule") => json!({ "enabled": false }),
        (_, "/budgets/{of}") => json!({ "daily_usd": 1 }),
        (_, "/composio/search") => json!({ "query": "theirs" }),
        (_, "/desk/settings") => json!({ "first_response_ms": 1_000 }),
        // These need no body.
        (
            _,
            "/admin/circuit-breaker/{model}/close"
            | "/admin/circuit-breaker/{model}/open"
            | "/approvals/{approval_id}/approve"
            | "/approvals/{approval_id}/reject"
            | "/composio/connect/{app}"
            | "/composio/refresh"
            | "/conversations/{conversation_id}/give-back"
            | "/conversations/{conversation_id}/reopen"
            | "/conversations/{conversation_id}/resolve"
            | "/conversations/{conversation_id}/take-over"
            | "/customers/{customer_id}/erase"
            | "/executions/{execution_id}/cancel"
            | "/executions/{execution_id}/compensate"
            | "/executions/{execution_id}/pause"
            | "/executions/{execution_id}/resume"
            | "/executions/{execution_id}/retry"
            | "/keys/{key_id}/rotate"
            | "/knowledge/reindex"
            | "/sources/{name}/refresh"
            | "/subscriptions/{name}/rotate"
            | "/tools/{name}/execute"
            | "/webhooks/{name}/rotate",
        ) => json!({}),
        _ => return None,
    };
    Some(said)
}

#[test]
fn no_route_tells_or_changes_anything_of_another_tenants() {
    let world = TenantWalk::new();
    let routes = world.routes();
    assert!(routes.len() > 110, "{} routes", routes.len());
    let (before, again) = (world.everything(&routes), world.everything(&routes));
    // Values that depend on the current time, such as ages, are not part of any state.
    let lasting: BTreeSet<&String> = before.keys().filter(|path| before[*path] == again[*path]).collect();
    assert!(lasting.len() > 45, "{} of {} stand still", lasting.len(), before.len());
    let (seen, blank): (Vec<_>, Vec<_>) = before.iter().partition(|(_, told)| told.to_string().contains(SECRET));
    let blank: Vec<&String> = blank.into_iter().map(|(path, _)| path).collect();
    assert!(seen.len() > 25, "only {} routes tell the first tenant what it has; not {blank:?}", seen.len());

    // Routes that create the caller's own resources come last. Until then such names refer only to the first tenant's.
    let (makes, others): (Vec<&ApiRoute>, Vec<&ApiRoute>) = routes.iter().partition(|route| route.makes_ones_own());
    let (names, ids) = (world.names(), world.ids());
    for route in others {
        let what = format!("{} {}", route.method, route.path);
        if route.is_stream() && route.parameters.is_empty() {
            // An event stream does not end.
            let told = world.server.listen(&route.path, &world.theirs, "").next().expect("an event");
            tells_nothing(&told.data.to_string(), &[], &names, &what);
            continue;
        }
        let (answer, own) = world.ask(&world.theirs, route);
        tells_nothing(&answer.body.to_string(), &own, &names, &what);
        assert!(answer.status < 500, "{what}: {answer:?}");
        if !route.parameters.is_empty() {
            let is_refused = matches!(answer.status, 403 | 404) || is_refused_before(route, &answer);
            assert!(is_refused, "{what} is answered with another tenant's ids: {answer:?}");
        }
    }
    for route in makes {
        let what = format!("{} {}", route.method, route.path);
        let (answer, own) = world.ask(&world.theirs, route);
        tells_nothing(&answer.body.to_string(), &own, &ids, &what);
        assert!(answer.status < 500, "{what}: {answer:?}");
    }
    let after = world.everything(&routes);
    for path in lasting {
        if !tells_of_all(path) {
            assert_eq!(after[path], before[path], "GET {path}: another tenant changed it");
        }
    }
}

/// Whether the request is rejected for its contents, whatever it refers to.
fn is_refused_before(route: &ApiRoute, answer: &ApiAnswer) -> bool {
    let code = answer.body["code"].as_str().unwrap_or_default();
    match route.path.strip_prefix("/api/v1").expect("the API") {
        // Composio is not configured here.
        "/composio/connect/{app}" | "/composio/connections/{app}" => code == "COMPOSIO_REFUSED",
        // A workflow that the caller's tenant does not have.
        "/schedules/{name}" | "/webhooks/{name}" => answer.status == 422,
        _ => false,
    }
}

/// Data that belongs to everybody, or that shows operators all tenants.
fn tells_of_all(path: &str) -> bool {
    path == "/api/v1/tenants"
}
