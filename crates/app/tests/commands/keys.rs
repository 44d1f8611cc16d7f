//! `baton keys`: keys created, listed, rotated and revoked on the project's database, and their effect on a running
//! server.

use serde_json::{Value, json};

use crate::server::{BatonServer, chat};
use crate::test_folder::TestFolder;

fn create(place: &TestFolder, arguments: &[&str]) -> (String, String) {
    let all: Vec<&str> = ["keys", "create", "--json"].iter().chain(arguments).copied().collect();
    let made = place.baton(&all).expect_code(0).json();
    let text = |name: &str| made[name].as_str().expect("text").to_owned();
    (text("id"), text("key"))
}

#[test]
fn a_lost_admin_key_is_replaced_without_it_and_without_a_server() {
    let place = TestFolder::with(&[("baton.toml", "")]);
    let first = BatonServer::start(&place);
    assert!(first.key().is_some());
    assert_eq!(first.stop(), Some(0));
    let (_, key) = create(&place, &["me", "--role", "admin"]);
    let again = BatonServer::start(&place);
    assert_eq!(again.key(), None);
    assert!(again.get("/v1/models", Some(&key)).starts_with("HTTP/1.1 200"));
    let list = place.baton(&["keys", "list", "--json"]).expect_code(0);
    assert!(!list.out.contains(&key), "a key is shown once");
    let list = list.json();
    let of: Vec<(&str, &str)> = list
        .as_array()
        .expect("a list")
        .iter()
        .map(|key| (key["name"].as_str().expect("a name"), key["role"].as_str().expect("a role")))
        .collect();
    assert_eq!(of, [("me", "admin"), ("first start", "admin")]);
}

#[test]
fn a_folder_that_is_no_project_gets_no_database() {
    let place = TestFolder::empty();
    place.baton(&["keys", "create", "me"]).expect_code(2).expect_stderr("is no project");
    assert!(place.path().read_dir().expect("a folder").next().is_none(), "nothing is left behind");
}

#[test]
fn a_server_says_where_no_admin_key_is_valid() {
    let place = TestFolder::with(&[("baton.toml", "")]);
    create(&place, &["shop"]);
    let said = BatonServer::start(&place).stop_and_read();
    assert!(said.contains("no admin key is valid") && said.contains("--role admin"), "{said}");
    create(&place, &["me", "--role", "admin"]);
    let said = BatonServer::start(&place).stop_and_read();
    assert!(!said.contains("no admin key is valid"), "{said}");
}

#[test]
fn a_revoked_key_opens_no_door_and_is_revoked_once() {
    let place = TestFolder::with(&[("baton.toml", "")]);
    let (id, key) = create(&place, &["shop"]);
    place.baton(&["keys", "revoke", "shop"]).expect_code(0).expect_stdout(&id);
    place.baton(&["keys", "revoke", &id]).expect_code(2).expect_stderr("revoked before");
    place.baton(&["keys", "revoke", "shop"]).expect_code(2).expect_stderr("no good key `shop`");
    let server = BatonServer::start(&place);
    assert_eq!(server.key(), None, "a revoked key is a key: nobody gets in by revoking all");
    assert!(server.get("/v1/models", Some(&key)).starts_with("HTTP/1.1 401"));
    let (_, next) = create(&place, &["shop"]);
    assert!(server.get("/v1/models", Some(&next)).starts_with("HTTP/1.1 200"), "beside a server, too");
}

#[test]
fn a_rotated_key_and_its_successor_overlap_as_long_as_told() {
    let place = TestFolder::with(&[("baton.toml", "")]);
    let (old_id, old) = create(&place, &["shop", "--days", "30"]);
    place.write("baton.toml", format!("[budgets.keys.{old_id}]\ndaily_usd = 1\n"));
    let rotated = place.baton(&["keys", "rotate", "shop", "--json"]).expect_code(0);
    assert!(rotated.err.contains(&format!("[budgets.keys.{old_id}]")), "{}", rotated.err);
    let new = rotated.json()["key"].as_str().expect("a key").to_owned();
    let server = BatonServer::start(&place);
    for key in [&old, &new] {
        assert!(server.get("/v1/models", Some(key)).starts_with("HTTP/1.1 200"));
    }
    place
        .baton(&["keys", "rotate", "shop"])
        .expect_code(2)
        .expect_stderr("2 good keys are called `shop`")
        .expect_stderr(&old_id);
    place
        .baton(&["keys", "rotate", &old_id, "--overlap-hours", "0"])
        .expect_code(0)
        .expect_stdout("opens no door any more");
    place
        .baton(&["keys", "rotate", &old_id])
        .expect_code(2)
        .expect_stderr("not good any more")
        .expect_stderr("baton keys create shop");
    let list = place.baton(&["keys", "list", "--json"]).expect_code(0).json();
    let states: Vec<&str> =
        list.as_array().expect("a list").iter().map(|key: &Value| key["state"].as_str().expect("a state")).collect();
    assert_eq!(states, ["good", "good", "expired"]);
}

#[test]
fn looking_at_keys_makes_no_database_and_names_are_checked() {
    let place = TestFolder::with(&[("baton.toml", "")]);
    place.baton(&["keys", "list"]).expect_code(0).expect_stdout("baton keys create");
    assert!(!place.path().join(".baton").exists());
    place.baton(&["keys", "create", " "]).expect_code(2).expect_stderr("is no name of a key");
    place.baton(&["keys", "create", "x", "--days", "0"]).expect_code(2);
    create(&place, &["shop"]);
    place.baton(&["keys", "revoke", "shpo"]).expect_code(2).expect_stderr("did you mean `shop`?");
}

#[test]
fn a_key_that_is_limited_to_scopes_does_what_they_name_and_is_told_what_it_lacks() {
    let place = TestFolder::with(&[("baton.toml", "")]);
    let (id, asks) = create(&place, &["asker", "--scope", "run"]);
    let (_, admin) = create(&place, &["boss", "--role", "admin"]);
    let (_, half) = create(&place, &["half", "--role", "admin", "--scope", "administer", "--scope", "read"]);
    let listed = place.baton(&["keys", "list", "--json"]).expect_code(0).json();
    let of = |name: &str| {
        listed.as_array().expect("a list").iter().find(|key| key["name"] == name).expect("it")["scopes"].clone()
    };
    assert_eq!((of("asker"), of("boss")), (json!(["run"]), Value::Null));
    place.baton(&["keys", "list"]).expect_code(0).expect_stdout("SCOPES").expect_stdout("read,administer");
    place.baton(&["keys", "create", "x", "--scope", "fly"]).expect_code(2).expect_stderr("fly");
    let server = BatonServer::start(&place);
    let ask = |request: &str, key: &str, body: Value| server.ask(request, key, "", &body);
    let me = ask("GET /api/v1/me", &asks, Value::Null).expect_status(200);
    assert_eq!(me["scopes"], json!(["run"]));
    let refused = ask("GET /api/v1/executions", &asks, Value::Null).expect_status(403);
    assert_eq!(refused["code"], "SCOPE_MISSING");
    assert!(refused["detail"].as_str().expect("a detail").contains("lacks the scope `read`"), "{refused}");
    // The key has the scope for this request: only the workflow does not exist.
    assert_eq!(ask("POST /api/v1/workflows/execute", &asks, json!({ "workflow_id": "x" })).status, 404);
    // The role is checked first. No scope adds to it.
    assert_eq!(ask("GET /api/v1/keys", &asks, Value::Null).expect_status(403)["code"], "FORBIDDEN");
    // The model API responds in its own format.
    let body = json!({ "model": "fast", "messages": [{ "role": "user", "content": "Hello" }] });
    let refused = chat(server.address(), &half, "", &body).expect("an answer");
    assert!(refused.starts_with("HTTP/1.1 403") && refused.contains("scope_missing"), "{refused}");
    // A key that may call models may list them.
    assert!(server.get("/v1/models", Some(&asks)).starts_with("HTTP/1.1 200"));
    let (_, answers) = create(&place, &["desk", "--role", "operator", "--scope", "answer"]);
    assert!(server.get("/v1/models", Some(&answers)).starts_with("HTTP/1.1 403"));
    // A restricted key cannot create a less restricted one.
    let wish = |scopes: Value| json!({ "name": "n", "role": "admin", "scopes": scopes });
    for more in [Value::Null, json!(["read", "build"])] {
        assert_eq!(ask("POST /api/v1/keys", &half, wish(more)).expect_status(403)["code"], "SCOPE_MISSING");
    }
    for tenant in ["default", "acme"] {
        let made = ask("POST /api/v1/tenants", &half, json!({ "id": tenant })).expect_status(403);
        assert_eq!(made["code"], "SCOPE_MISSING", "a tenant's first key may everything");
    }
    // A tenant that exists without having been created is taken.
    let own = ask("GET /api/v1/me", &admin, Value::Null).expect_status(200)["tenant"].clone();
    assert_eq!(ask("POST /api/v1/tenants", &admin, json!({ "id": own })).expect_status(409)["code"], "NAME_TAKEN");
    assert_eq!(ask("POST /api/v1/keys", &half, wish(json!(["read"]))).expect_status(201)["scopes"], json!(["read"]));
    assert_eq!(ask("POST /api/v1/keys", &admin, wish(json!([]))).expect_status(422)["code"], "BODY_INVALID");
    assert_eq!(ask("POST /api/v1/keys", &admin, wish(json!(["fly"]))).expect_status(422)["code"], "BODY_INVALID");
    // The rotated key has the same restrictions.
    let rotated = ask(&format!("POST /api/v1/keys/{id}/rotate"), &admin, json!({})).expect_status(201);
    assert_eq!(rotated["scopes"], json!(["run"]));
    let again =
        place.baton(&["keys", "rotate", rotated["id"].as_str().expect("an id"), "--json"]).expect_code(0).json();
    assert_eq!(again["scopes"], json!(["run"]));
}
