//! Tenants: made, shut and opened again, by the command line and over HTTP, beside a server that runs.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use baton_core::time::Time;
use baton_engine::triggers::signature::sign;
use serde_json::{Value, json};

use crate::place::Place;
use crate::server::{Answer, Server, chat, until};

const ORDER: &str = "name: order\nnodes: [{id: ask, type: wait, signal: go}]\n";

fn ask(server: &Server, request: &str, key: &str, body: Value) -> Answer {
    server.ask(request, key, "", &body)
}

fn me(server: &Server, key: &str) -> Answer {
    ask(server, "GET /api/v1/me", key, Value::Null)
}

/// A server believes for a second what it read of a tenant.
fn becomes(server: &Server, key: &str, status: u16) {
    let begun = Instant::now();
    while me(server, key).status != status {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never was {status}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The server, its own admin key, and one of the tenant `acme`.
fn two(place: &Place) -> (Server, String, String) {
    let server = Server::start(place);
    let own = server.key().expect("a key").to_owned();
    let made = ask(&server, "POST /api/v1/tenants", &own, json!({ "id": "acme", "name": "ACME Ltd." })).ends(201);
    let theirs = made["key"].as_str().expect("a key").to_owned();
    (server, own, theirs)
}

#[test]
fn a_tenant_is_made_with_its_key_shut_and_opened_again_and_no_other_notices() {
    let place = Place::empty();
    place.baton(&["tenants", "list"]).ends(0).says("baton tenants create");
    assert!(!place.path().join(".baton").exists(), "looking makes no database");
    let server = Server::start(&place);
    let own = server.key().expect("a key").to_owned();
    let made = place.baton(&["tenants", "create", "acme", "--name", "ACME Ltd.", "--tier", "free", "--json"]);
    let theirs = made.ends(0).json()["key"].as_str().expect("a key").to_owned();
    let told = me(&server, &theirs).ends(200);
    assert_eq!((&told["tenant"], &told["role"]), (&json!("acme"), &json!("admin")));
    place.baton(&["tenants", "create", "acme"]).ends(2).warns("a tenant `acme` already");
    place.baton(&["tenants", "create", "no/id"]).ends(2).warns("no id of a tenant");
    place.baton(&["tenants", "create", "more", "--tier", "gold"]).ends(2).warns("professional");
    place.baton(&["tenants", "enable", "acme"]).ends(2).warns("is not disabled");
    place.baton(&["tenants", "enable", "acne"]).ends(2).warns("did you mean `acme`?");
    place.baton(&["tenants", "disable", "acne"]).ends(2).warns("no tenant `acne`").warns("did you mean `acme`?");
    place.baton(&["tenants", "disable", "acme"]).ends(0).says("acme");
    place.baton(&["tenants", "disable", "acme"]).ends(2).warns("disabled already");
    becomes(&server, &theirs, 403);
    assert_eq!(me(&server, &own).status, 200);
    let listed = place.baton(&["tenants", "list", "--json"]).ends(0).json();
    assert_eq!((&listed[0]["id"], &listed[0]["tier"]), (&json!("acme"), &json!("free")));
    assert!(listed[0]["disabled_at"].is_string() && !listed.to_string().contains(&theirs), "{listed}");
    place.baton(&["tenants", "enable", "acme"]).ends(0);
    becomes(&server, &theirs, 200);
}

#[test]
fn whoever_is_shut_out_is_told_so_at_every_door_and_at_once_and_runs_go_on() {
    let place = Place::with(&[("workflows/order.yaml", ORDER)]);
    let (server, own, theirs) = two(&place);
    let made = server.write("POST /api/v1/workflows", &theirs, "", ORDER).ends(201);
    let revision = made["revision"].clone();
    ask(&server, "POST /api/v1/workflows/order/activate", &theirs, json!({ "revision": revision })).ends(200);
    let hook = ask(&server, "POST /api/v1/webhooks", &theirs, json!({ "name": "orders", "workflow_id": "order" }));
    let secret = hook.ends(201)["secret"].as_str().expect("a secret").to_owned();
    let begin = json!({ "workflow_id": "order" });
    let run = server.ask("POST /api/v1/workflows/execute", &theirs, "Prefer: respond-async\r\n", &begin).ends(202);
    let run = run["execution_id"].as_str().expect("a run").to_owned();

    let shut = ask(&server, "POST /api/v1/tenants/acme/disable", &own, Value::Null).ends(200);
    assert!(shut["disabled_at"].is_string(), "{shut}");
    // The next request already.
    let refused = me(&server, &theirs).ends(403);
    assert_eq!(refused["code"], "TENANT_DISABLED");
    assert!(refused["detail"].as_str().expect("a detail").contains("`acme` is disabled"), "{refused}");
    let asked = chat(server.address(), &theirs, "", &json!({ "model": "fast", "messages": [] })).expect("an answer");
    assert!(asked.starts_with("HTTP/1.1 403") && asked.contains("tenant_disabled"), "{asked}");
    assert!(server.get("/v1/models", Some(&theirs)).starts_with("HTTP/1.1 403"));
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let now = Time::from_ms(i64::try_from(since.as_millis()).expect("fits"));
    let seconds = now.as_ms() / 1_000;
    let signed = sign(&secret, "one", now, b"{}");
    let headers = format!("webhook-id: one\r\nwebhook-timestamp: {seconds}\r\nwebhook-signature: {signed}\r\n");
    let delivered = server.send("POST /hooks/acme/orders", &headers, "{}");
    assert!(delivered.starts_with("HTTP/1.1 403") && delivered.contains("TENANT_DISABLED"), "{delivered}");
    let stranger = server.send("POST /hooks/acme/orders", "webhook-id: one\r\n", "{}");
    assert!(stranger.starts_with("HTTP/1.1 401"), "who has not signed is told nothing of it: {stranger}");

    ask(&server, "POST /api/v1/tenants/acme/enable", &own, Value::Null).ends(200);
    // The run was left alone, and goes on.
    let go = json!({ "name": "go" });
    ask(&server, &format!("POST /api/v1/executions/{run}/signal"), &theirs, go).ends(200);
    until("it ends", || {
        let state = ask(&server, &format!("GET /api/v1/executions/{run}"), &theirs, Value::Null).ends(200);
        (state["status"] == "completed").then_some(())
    });
}

#[test]
fn tenants_are_for_the_servers_own_admin_and_its_own_is_not_shut_over_http() {
    let place = Place::empty();
    let (server, own, theirs) = two(&place);
    let listed = ask(&server, "GET /api/v1/tenants", &own, Value::Null).ends(200);
    assert_eq!(listed["tenants"][0]["id"], "acme");
    assert!(!listed.to_string().contains(&theirs));
    for request in ["GET /api/v1/tenants", "GET /api/v1/tenants/acme", "POST /api/v1/tenants/acme/disable"] {
        assert_eq!(ask(&server, request, &theirs, Value::Null).ends(403)["code"], "FORBIDDEN", "{request}");
    }
    let shut = ask(&server, "POST /api/v1/tenants/default/disable", &own, Value::Null).ends(409);
    assert_eq!(shut["code"], "TENANT_OWN");
    let slip = ask(&server, "POST /api/v1/tenants/acne/disable", &own, Value::Null).ends(404);
    assert_eq!(slip["code"], "TENANT_NOT_FOUND");
    let again = ask(&server, "POST /api/v1/tenants", &own, json!({ "id": "acme" })).ends(409);
    assert_eq!(again["code"], "NAME_TAKEN");
    assert_eq!(ask(&server, "POST /api/v1/tenants", &own, json!({ "id": "a/b" })).ends(422)["code"], "BODY_INVALID");
    assert_eq!(ask(&server, "GET /api/v1/tenants/none", &own, Value::Null).ends(404)["code"], "TENANT_NOT_FOUND");
    assert_eq!(
        ask(&server, "PUT /api/v1/tenants/none", &own, json!({ "name": "x" })).ends(404)["code"],
        "TENANT_NOT_FOUND"
    );
}

#[test]
fn a_tenants_tier_is_the_one_of_its_row_and_holds_for_how_often_it_may_ask() {
    let place = Place::empty();
    let (server, own, theirs) = two(&place);
    let path = "/api/v1/tenants/acme";
    let shown = ask(&server, &format!("GET {path}"), &own, Value::Null);
    let tag = shown.header("etag").expect("a tag").to_owned();
    assert_eq!(shown.ends(200)["tier_in_force"], "enterprise");
    assert_eq!(me(&server, &theirs).header("ratelimit-limit"), Some("100"), "its key's own");
    let put = |tag: &str, body: Value| server.ask(&format!("PUT {path}"), &own, &format!("If-Match: {tag}\r\n"), &body);
    let put_free = put(&tag, json!({ "tier": "free" })).ends(200);
    assert_eq!((&put_free["tier"], &put_free["tier_in_force"]), (&json!("free"), &json!("free")));
    assert_eq!(put_free["name"], "ACME Ltd.", "what is left out stays");
    assert_eq!(me(&server, &theirs).header("ratelimit-limit"), Some("30"), "as the tier has it, at once");
    assert_eq!(put(&tag, json!({ "tier": null })).ends(412)["code"], "CHANGED_MEANWHILE");
    let unknown = ask(&server, &format!("PUT {path}"), &own, json!({ "tier": "gold" })).ends(422);
    assert!(unknown["detail"].as_str().expect("a detail").contains("professional"), "{unknown}");
    let back = ask(&server, &format!("PUT {path}"), &own, json!({ "tier": null, "name": "Acme" })).ends(200);
    assert_eq!((&back["tier"], &back["tier_in_force"]), (&Value::Null, &json!("enterprise")));
    assert_eq!(me(&server, &theirs).header("ratelimit-limit"), Some("100"));
}

#[test]
fn a_tenant_that_nobody_made_can_be_shut_too() {
    let place = Place::empty();
    let server = Server::start(&place);
    let own = server.key().expect("a key").to_owned();
    place.baton(&["tenants", "disable", "default"]).ends(0);
    becomes(&server, &own, 403);
}
