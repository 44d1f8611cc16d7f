//! Actions of administrators, as the audit trail records them.

use serde_json::{Value, json};

use crate::server::BatonServer;
use crate::test_folder::TestFolder;

const FLOW: &str = "name: order\nnodes: [{id: note, type: transform, set: {a: 1}}]\n";

#[test]
fn acts_are_told_with_who_what_and_digests_of_before_and_after_and_the_chain_holds() {
    let place = TestFolder::empty();
    let server = BatonServer::start(&place);
    let key = server.key().expect("a key").to_owned();
    let ask = |request: &str, body: Value| server.ask(request, &key, "", &body);
    let made = ask("POST /api/v1/keys", json!({ "name": "shop", "role": "service" })).expect_status(201);
    let (id, secret) = (made["id"].as_str().expect("an id"), made["key"].as_str().expect("a secret"));
    ask(&format!("DELETE /api/v1/keys/{id}"), Value::Null).expect_status(200);
    ask("POST /api/v1/tenants", json!({ "id": "acme" })).expect_status(201);
    ask("PUT /api/v1/tenants/acme", json!({ "tier": "free" })).expect_status(200);
    let version = server.write("POST /api/v1/workflows", &key, "", FLOW).expect_status(201);
    ask("POST /api/v1/workflows/order/activate", json!({ "revision": version["revision"] })).expect_status(200);
    ask("POST /api/v1/webhooks", json!({ "name": "in", "workflow_id": "order" })).expect_status(201);
    ask("DELETE /api/v1/webhooks/in", Value::Null).expect_status(204);
    // Rejected requests and reads are not recorded.
    ask("POST /api/v1/keys", json!({ "name": "", "role": "service" })).expect_status(422);
    server.write("POST /api/v1/workflows/validate", &key, "", FLOW).expect_status(200);
    place.baton(&["keys", "create", "desk"]).expect_code(0);
    place.baton(&["tenants", "disable", "acme"]).expect_code(0);

    let trail = ask("GET /api/v1/audit?limit=500", Value::Null).expect_status(200);
    let rows: Vec<&Value> = trail["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .rev()
        .filter(|row| row["action_type"] == "administration")
        .collect();
    let told: Vec<(&str, &str, &str)> = rows
        .iter()
        .map(|row| {
            let text = |value: &'static str| row[value].as_str().expect("text");
            (text("action"), row["details"]["target"].as_str().expect("a target"), text("user_id"))
        })
        .collect();
    let by_key = told.iter().find(|(action, ..)| *action == "keys.create").expect("is told");
    assert_eq!((by_key.1, by_key.2), (id, "first start"));
    let actions: Vec<&str> = told.iter().map(|(action, ..)| *action).collect();
    let expect = [
        "keys.create",
        "keys.delete",
        "tenants.create",
        "tenants.put",
        "workflows.create",
        "workflows.activate",
        "webhooks.create",
        "webhooks.delete",
        "keys.create",
        "tenants.disable",
    ];
    assert_eq!(actions, expect);
    assert_eq!(told.last().expect("one").2, "command line");
    let digests = |place: usize| (&rows[place]["details"]["before"], &rows[place]["details"]["after"]);
    assert!(digests(0).0.is_null() && digests(0).1.is_string(), "made: {}", rows[0]);
    assert!(digests(1).0 == digests(0).1 && digests(1).1 != digests(0).1, "revoked: {}", rows[1]);
    assert!(digests(3).0 == digests(2).1 && digests(3).1.is_string(), "put: {}", rows[3]);
    assert!(digests(7).0 == digests(6).1 && digests(7).1.is_null(), "taken out: {}", rows[7]);
    assert!(rows[0]["details"]["key_id"].is_string(), "{}", rows[0]);
    assert!(!trail.to_string().contains(secret));
    assert_eq!(ask("GET /api/v1/audit/verify", Value::Null).expect_status(200)["holds"], true);
    let one = ask("GET /api/v1/audit?action=tenants.put", Value::Null).expect_status(200);
    assert_eq!(one["rows"].as_array().map(Vec::len), Some(1));
    place.baton(&["audit", "list"]).expect_code(0).expect_stdout("tenants.disable").expect_stdout("webhooks.delete");
}

#[test]
fn what_is_repeated_under_one_key_is_told_once() {
    let place = TestFolder::empty();
    let server = BatonServer::start(&place);
    let key = server.key().expect("a key").to_owned();
    let wish = json!({ "name": "shop", "role": "service" });
    for _ in 0..2 {
        server.ask("POST /api/v1/keys", &key, "Idempotency-Key: once\r\n", &wish).expect_status(201);
    }
    let trail = server.ask("GET /api/v1/audit?action=keys.create", &key, "", &Value::Null).expect_status(200);
    assert_eq!(trail["rows"].as_array().map(Vec::len), Some(1), "{trail}");
}
