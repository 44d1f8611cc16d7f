//! `Idempotency-Key` on requests that act without starting a run.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::server::{ApiAnswer, BatonServer};
use crate::test_folder::TestFolder;

fn post(server: &BatonServer, path: &str, once: &str, body: &Value) -> ApiAnswer {
    let key = server.key().expect("a key").to_owned();
    server.ask(&format!("POST /api/v1{path}"), &key, &format!("Idempotency-Key: {once}\r\n"), body)
}

fn names(server: &BatonServer, path: &str, list: &str) -> Vec<String> {
    let key = server.key().expect("a key").to_owned();
    let listed = server.ask(&format!("GET /api/v1{path}"), &key, "", &Value::Null).expect_status(200);
    let name = |one: &Value| one["name"].as_str().expect("a name").to_owned();
    listed[list].as_array().expect("a list").iter().map(name).collect()
}

#[test]
fn a_key_that_is_made_twice_under_one_key_is_one_and_its_secret_is_shown_once() {
    let place = TestFolder::empty();
    let server = BatonServer::start(&place);
    let wish = json!({ "name": "shop", "role": "service" });
    let first = post(&server, "/keys", "k-1", &wish);
    assert_eq!(first.header("idempotency-replayed"), None);
    let first = first.expect_status(201);
    let secret = first["key"].as_str().expect("a secret").to_owned();
    // The same fields in another order.
    let again = post(&server, "/keys", "k-1", &json!({ "role": "service", "name": "shop" }));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.header("cache-control"), Some("no-store"));
    let again = again.expect_status(201);
    assert_eq!(again["id"], first["id"]);
    assert_eq!((&again["key"], &again["shown_before"]), (&Value::Null, &json!(["key"])), "and says so");
    assert_eq!(names(&server, "/keys", "keys"), ["shop", "first start"]);
    let other = post(&server, "/keys", "k-1", &json!({ "name": "desk", "role": "service" })).expect_status(422);
    assert_eq!(other["code"], "IDEMPOTENCY_KEY_REUSED");
    // Another path with the same key is another request too.
    let elsewhere = post(&server, &format!("/keys/{}/rotate", first["id"].as_str().expect("an id")), "k-1", &wish);
    assert_eq!(elsewhere.expect_status(422)["code"], "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(server.stop(), Some(0));
    // The secret is not in the database.
    let lies = |name: &str| std::fs::read(place.path().join(".baton").join(name)).unwrap_or_default();
    for file in std::fs::read_dir(place.path().join(".baton")).expect("a folder").flatten() {
        let text = lies(&file.file_name().to_string_lossy());
        assert!(!text.windows(secret.len()).any(|part| part == secret.as_bytes()), "{}", file.path().display());
    }
}

#[test]
fn a_refusal_is_repeated_and_what_was_not_done_for_now_is_free_to_be_asked_again() {
    let place = TestFolder::empty();
    let server = BatonServer::start(&place);
    let wish = json!({ "name": "", "role": "service" });
    let first = post(&server, "/keys", "bad", &wish).expect_status(422);
    let again = post(&server, "/keys", "bad", &wish);
    assert_eq!(again.header("content-type"), Some("application/problem+json"));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.expect_status(422), first);
    assert_eq!(post(&server, "/keys", " ", &wish).expect_status(400)["code"], "PARAMETER_INVALID");
}

#[test]
fn made_by_many_at_once_under_one_key_it_is_made_once() {
    let place = TestFolder::empty();
    let server = Arc::new(BatonServer::start(&place));
    let makers: Vec<_> = (0..8)
        .map(|_| {
            let server = server.clone();
            std::thread::spawn(move || post(&server, "/keys", "at-once", &json!({ "name": "one", "role": "service" })))
        })
        .collect();
    let answers: Vec<ApiAnswer> = makers.into_iter().map(|maker| maker.join().expect("ends")).collect();
    let shown = answers.iter().filter(|answer| answer.body["key"].is_string()).count();
    assert_eq!(shown, 1, "{answers:?}");
    for answer in &answers {
        let is_pending = answer.status == 409 && answer.body["code"] == "IDEMPOTENCY_UNANSWERED";
        assert!(answer.status == 201 || is_pending, "{answer:?}");
    }
    assert_eq!(names(&server, "/keys", "keys"), ["one", "first start"]);
}

#[test]
fn it_holds_for_everything_that_is_made() {
    const FLOW: &str = "name: order\nnodes: [{id: note, type: transform, set: {a: 1}}]\n";
    let place = TestFolder::empty();
    let server = BatonServer::start(&place);
    let key = server.key().expect("a key").to_owned();
    let made = |once: &str| {
        let once = format!("Idempotency-Key: {once}\r\n");
        server.write("POST /api/v1/workflows", &key, &once, FLOW)
    };
    let first = made("flow").expect_status(201);
    let again = made("flow");
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.expect_status(201), first, "not 200, as one that is there already");
    server
        .ask("POST /api/v1/workflows/order/activate", &key, "", &json!({ "revision": first["revision"] }))
        .expect_status(200);
    let twice = |path: &str, body: Value, status: u16| -> [Value; 2] {
        let one = post(&server, path, path, &body).expect_status(status);
        let again = post(&server, path, path, &body);
        assert_eq!(again.header("idempotency-replayed"), Some("true"), "{path}");
        [one, again.expect_status(status)]
    };
    let [hook, again] = twice("/webhooks", json!({ "name": "in", "workflow_id": "order" }), 201);
    assert!(hook["secret"].is_string() && again["secret"].is_null() && again["name"] == "in", "{again}");
    let [turned, again] = twice("/webhooks/in/rotate", json!({}), 200);
    assert!(turned["secret"].is_string() && again["secret"].is_null(), "{again}");
    let out = json!({ "name": "out", "url": "https://shop.example/x", "events": ["*"] });
    let [subscription, again] = twice("/subscriptions", out, 201);
    assert!(subscription["secret"].is_string() && again["secret"].is_null(), "{again}");
    twice("/agents", json!({ "name": "helper", "type": "simple" }), 201);
    twice("/knowledge/documents", json!({ "name": "hours", "text": "We open at nine." }), 200);
    let [made, again] = twice("/tenants", json!({ "id": "acme" }), 201);
    assert!(made["key"].is_string() && again["key"].is_null(), "{again}");
}
