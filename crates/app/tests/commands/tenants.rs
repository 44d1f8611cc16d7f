//! Tenants: created, disabled and enabled again, on the command line and over HTTP, with a running server.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use baton_core::time::Time;
use baton_engine::triggers::signature::sign;
use serde_json::{Value, json};

use crate::server::{ApiAnswer, BatonServer, chat, wait_for};
use crate::test_folder::TestFolder;

const ORDER: &str = "name: order\nnodes: [{id: ask, type: wait, signal: go}]\n";

fn ask(server: &BatonServer, request: &str, key: &str, body: Value) -> ApiAnswer {
    server.ask(request, key, "", &body)
}

fn me(server: &BatonServer, key: &str) -> ApiAnswer {
    ask(server, "GET /api/v1/me", key, Value::Null)
}

/// Waits for the status. A server caches the state of a tenant for a second.
fn becomes(server: &BatonServer, key: &str, status: u16) {
    let begun = Instant::now();
    while me(server, key).status != status {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never was {status}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The server, its own admin key, and an admin key of the tenant `acme`.
fn two(place: &TestFolder) -> (BatonServer, String, String) {
    let server = BatonServer::start(place);
    let own = server.key().expect("a key").to_owned();
    let made =
        ask(&server, "POST /api/v1/tenants", &own, json!({ "id": "acme", "name": "ACME Ltd." })).expect_status(201);
    let theirs = made["key"].as_str().expect("a key").to_owned();
    (server, own, theirs)
}

#[test]
fn a_tenant_is_made_with_its_key_shut_and_opened_again_and_no_other_notices() {
    let place = TestFolder::empty();
    place.baton(&["tenants", "list"]).expect_code(0).expect_stdout("baton tenants create");
    assert!(!place.path().join(".baton").exists(), "looking makes no database");
    let server = BatonServer::start(&place);
    let own = server.key().expect("a key").to_owned();
    let made = place.baton(&["tenants", "create", "acme", "--name", "ACME Ltd.", "--tier", "free", "--json"]);
    let theirs = made.expect_code(0).json()["key"].as_str().expect("a key").to_owned();
    let told = me(&server, &theirs).expect_status(200);
    assert_eq!((&told["tenant"], &told["role"]), (&json!("acme"), &json!("admin")));
    place.baton(&["tenants", "create", "acme"]).expect_code(2).expect_stderr("a tenant `acme` already");
    place.baton(&["tenants", "create", "no/id"]).expect_code(2).expect_stderr("no id of a tenant");
    place.baton(&["tenants", "create", "more", "--tier", "gold"]).expect_code(2).expect_stderr("professional");
    place.baton(&["tenants", "enable", "acme"]).expect_code(2).expect_stderr("is not disabled");
    place.baton(&["tenants", "enable", "acne"]).expect_code(2).expect_stderr("did you mean `acme`?");
    place
        .baton(&["tenants", "disable", "acne"])
        .expect_code(2)
        .expect_stderr("no tenant `acne`")
        .expect_stderr("did you mean `acme`?");
    place.baton(&["tenants", "disable", "acme"]).expect_code(0).expect_stdout("acme");
    place.baton(&["tenants", "disable", "acme"]).expect_code(2).expect_stderr("disabled already");
    becomes(&server, &theirs, 403);
    assert_eq!(me(&server, &own).status, 200);
    let listed = place.baton(&["tenants", "list", "--json"]).expect_code(0).json();
    assert_eq!((&listed[0]["id"], &listed[0]["tier"]), (&json!("acme"), &json!("free")));
    assert!(listed[0]["disabled_at"].is_string() && !listed.to_string().contains(&theirs), "{listed}");
    place.baton(&["tenants", "enable", "acme"]).expect_code(0);
    becomes(&server, &theirs, 200);
}

#[test]
fn whoever_is_shut_out_is_told_so_at_every_door_and_at_once_and_runs_go_on() {
    let place = TestFolder::with(&[("workflows/order.yaml", ORDER)]);
    let (server, own, theirs) = two(&place);
    let made = server.write("POST /api/v1/workflows", &theirs, "", ORDER).expect_status(201);
    let revision = made["revision"].clone();
    ask(&server, "POST /api/v1/workflows/order/activate", &theirs, json!({ "revision": revision })).expect_status(200);
    let hook = ask(&server, "POST /api/v1/webhooks", &theirs, json!({ "name": "orders", "workflow_id": "order" }));
    let secret = hook.expect_status(201)["secret"].as_str().expect("a secret").to_owned();
    let begin = json!({ "workflow_id": "order" });
    let run =
        server.ask("POST /api/v1/workflows/execute", &theirs, "Prefer: respond-async\r\n", &begin).expect_status(202);
    let run = run["execution_id"].as_str().expect("a run").to_owned();

    let shut = ask(&server, "POST /api/v1/tenants/acme/disable", &own, Value::Null).expect_status(200);
    assert!(shut["disabled_at"].is_string(), "{shut}");
    // The very next request is rejected.
    let refused = me(&server, &theirs).expect_status(403);
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

    ask(&server, "POST /api/v1/tenants/acme/enable", &own, Value::Null).expect_status(200);
    // The run was not affected, and continues.
    let go = json!({ "name": "go" });
    ask(&server, &format!("POST /api/v1/executions/{run}/signal"), &theirs, go).expect_status(200);
    wait_for("it ends", || {
        let state = ask(&server, &format!("GET /api/v1/executions/{run}"), &theirs, Value::Null).expect_status(200);
        (state["status"] == "completed").then_some(())
    });
}

#[test]
fn tenants_are_for_the_servers_own_admin_and_its_own_is_not_shut_over_http() {
    let place = TestFolder::empty();
    let (server, own, theirs) = two(&place);
    let listed = ask(&server, "GET /api/v1/tenants", &own, Value::Null).expect_status(200);
    assert_eq!(listed["tenants"][0]["id"], "acme");
    assert!(!listed.to_string().contains(&theirs));
    for request in ["GET /api/v1/tenants", "GET /api/v1/tenants/acme", "POST /api/v1/tenants/acme/disable"] {
        assert_eq!(ask(&server, request, &theirs, Value::Null).expect_status(403)["code"], "FORBIDDEN", "{request}");
    }
    let shut = ask(&server, "POST /api/v1/tenants/default/disable", &own, Value::Null).expect_status(409);
    assert_eq!(shut["code"], "TENANT_OWN");
    let slip = ask(&server, "POST /api/v1/tenants/acne/disable", &own, Value::Null).expect_status(404);
    assert_eq!(slip["code"], "TENANT_NOT_FOUND");
    let again = ask(&server, "POST /api/v1/tenants", &own, json!({ "id": "acme" })).expect_status(409);
    assert_eq!(again["code"], "NAME_TAKEN");
    assert_eq!(
        ask(&server, "POST /api/v1/tenants", &own, json!({ "id": "a/b" })).expect_status(422)["code"],
        "BODY_INVALID"
    );
    assert_eq!(
        ask(&server, "GET /api/v1/tenants/none", &own, Value::Null).expect_status(404)["code"],
        "TENANT_NOT_FOUND"
    );
    assert_eq!(
        ask(&server, "PUT /api/v1/tenants/none", &own, json!({ "name": "x" })).expect_status(404)["code"],
        "TENANT_NOT_FOUND"
    );
}

#[test]
fn a_tenants_tier_is_the_one_of_its_row_and_holds_for_how_often_it_may_ask() {
    let place = TestFolder::empty();
    let (server, own, theirs) = two(&place);
    let path = "/api/v1/tenants/acme";
    let shown = ask(&server, &format!("GET {path}"), &own, Value::Null);
    let tag = shown.header("etag").expect("a tag").to_owned();
    assert_eq!(shown.expect_status(200)["tier_in_force"], "enterprise");
    assert_eq!(me(&server, &theirs).header("ratelimit-limit"), Some("100"), "its key's own");
    let put = |tag: &str, body: Value| server.ask(&format!("PUT {path}"), &own, &format!("If-Match: {tag}\r\n"), &body);
    let put_free = put(&tag, json!({ "tier": "free" })).expect_status(200);
    assert_eq!((&put_free["tier"], &put_free["tier_in_force"]), (&json!("free"), &json!("free")));
    assert_eq!(put_free["name"], "ACME Ltd.", "what is left out stays");
    assert_eq!(me(&server, &theirs).header("ratelimit-limit"), Some("30"), "as the tier has it, at once");
    assert_eq!(put(&tag, json!({ "tier": null })).expect_status(412)["code"], "CHANGED_MEANWHILE");
    let unknown = ask(&server, &format!("PUT {path}"), &own, json!({ "tier": "gold" })).expect_status(422);
    assert!(unknown["detail"].as_str().expect("a detail").contains("professional"), "{unknown}");
    let back = ask(&server, &format!("PUT {path}"), &own, json!({ "tier": null, "name": "Acme" })).expect_status(200);
    assert_eq!((&back["tier"], &back["tier_in_force"]), (&Value::Null, &json!("enterprise")));
    assert_eq!(me(&server, &theirs).header("ratelimit-limit"), Some("100"));
}

#[test]
fn a_tenant_that_nobody_made_can_be_shut_too() {
    let place = TestFolder::empty();
    let server = BatonServer::start(&place);
    let own = server.key().expect("a key").to_owned();
    place.baton(&["tenants", "disable", "default"]).expect_code(0);
    becomes(&server, &own, 403);
}
