//! Settings that a tenant changes over HTTP, in addition to the settings files: tool rules and budgets.

use serde_json::{Value, json};

use crate::server::{BatonServer, wait_for};
use crate::two_tenants::TwoTenants;

const SETTINGS: &str = "[budgets]\ndaily_usd = 7\n[tools.tool.pay]\napproval = true\n";
const TOOLS: &str = "\
tools:
  - {name: greet, kind: script, class: read, results: [{output: {said: 'Hello {{ arguments.name }}'}}]}
  - {name: pay, kind: script, class: keyed, irreversible: paid, results: [{output: {receipt: R-1}}]}
";
const TALK: &str = "name: talk\nnodes: [{id: say, agent: speaker, prompt_template: Say something}]\n";
const SPEAKER: &str = "name: speaker\ntype: simple\n";
const REPLIES: &str =
    "agent: speaker\nreplies:\n  - content: Something\n    usage: {input_tokens: 10, output_tokens: 10}\n";

impl TwoTenants {
    fn new() -> Self {
        Self::with(&[
            ("baton.toml", SETTINGS),
            ("tools/tools.yaml", TOOLS),
            ("workflows/talk.yaml", TALK),
            ("agents/speaker.yaml", SPEAKER),
            ("replies/speaker.yaml", REPLIES),
        ])
    }

    /// The result of a greeting: its words, or the error code.
    fn greets(&self, key: &str) -> Value {
        let greeting = json!({ "arguments": { "name": "Ana" } });
        let told = self.ask("POST /api/v1/tools/greet/execute", key, &greeting).expect_status(200);
        if told["success"] == true { told["data"]["said"].clone() } else { told["error_code"].clone() }
    }

    fn budget(&self, key: &str, window: &str) -> Value {
        let told = self.ask("GET /api/v1/budgets", key, &Value::Null).expect_status(200);
        let lines = told["budgets"].as_array().expect("lines");
        let is_it = |line: &&Value| line["window"] == window && line["key_id"].is_null();
        lines.iter().find(is_it).expect("a line").clone()
    }
}

#[test]
fn a_tenant_disables_a_tool_for_itself_and_leaves_it_to_the_files_again() {
    let world = TwoTenants::new();
    assert_eq!(world.greets(&world.theirs), "Hello Ana");
    let rule = world.ask("GET /api/v1/tools/greet/rule", &world.theirs, &Value::Null).expect_status(200);
    assert_eq!(rule, json!({}), "nothing is set");
    let set = world.ask("PUT /api/v1/tools/greet/rule", &world.theirs, &json!({ "enabled": false }));
    let tag = set.header("etag").expect("a tag").to_owned();
    assert_eq!(set.expect_status(200), json!({ "enabled": false }));
    assert_eq!(world.greets(&world.theirs), "TOOL_NOT_ALLOWED");
    assert_eq!(world.greets(&world.own), "Hello Ana", "another tenant's is as it was");
    let shown = |key| world.ask("GET /api/v1/tools/greet", key, &Value::Null).expect_status(200)["enabled"].clone();
    assert_eq!((shown(&world.theirs), shown(&world.own)), (json!(false), json!(true)));

    let overrides = json!({ "overrides": { "name": "Bea" } });
    let put = |tag: &str| {
        world.server.ask("PUT /api/v1/tools/greet/rule", &world.theirs, &format!("If-Match: {tag}\r\n"), &overrides)
    };
    assert_eq!(put("\"77\"").expect_status(412)["code"], "CHANGED_MEANWHILE");
    put(&tag).expect_status(200);
    assert_eq!(world.greets(&world.theirs), "Hello Bea", "all of it is set anew");
    for _ in 0..2 {
        assert_eq!(world.ask("DELETE /api/v1/tools/greet/rule", &world.theirs, &Value::Null).status, 204);
    }
    assert_eq!(world.greets(&world.theirs), "Hello Ana");
    let rows = world.ask("GET /api/v1/audit?limit=50", &world.theirs, &Value::Null).expect_status(200).to_string();
    assert!(rows.contains("tools.rule.put") && rows.contains("tools.rule.delete"), "{rows}");
}

#[test]
fn a_rule_makes_nothing_possible_that_the_files_do_not_and_is_for_who_builds() {
    let world = TwoTenants::new();
    world.ask("PUT /api/v1/tools/pay/rule", &world.theirs, &json!({ "enabled": true })).expect_status(200);
    let loosens =
        world.ask("PUT /api/v1/tools/pay/rule", &world.theirs, &json!({ "approval": false })).expect_status(422);
    assert!(loosens["detail"].as_str().expect("why").contains("not the other way"), "{loosens}");
    let paid = world.server.ask("POST /api/v1/tools/pay/execute", &world.theirs, "Prefer: wait=5\r\n", &json!({}));
    assert_eq!(paid.status, 202, "it waits for leave: {}", paid.body);
    let wrong = world.ask("PUT /api/v1/tools/pay/rule", &world.theirs, &json!({ "enable": false })).expect_status(422);
    assert_eq!(wrong["code"], "BODY_INVALID");
    let none = world.ask("PUT /api/v1/tools/pya/rule", &world.theirs, &json!({})).expect_status(404);
    assert_eq!((&none["code"], &none["hint"]), (&json!("TOOL_NOT_FOUND"), &json!("did you mean `pay`?")));
    let made = json!({ "name": "o", "role": "operator" });
    let made = world.ask("POST /api/v1/keys", &world.theirs, &made).expect_status(201);
    let operator = made["key"].as_str().expect("a key");
    assert_eq!(world.ask("PUT /api/v1/tools/pay/rule", operator, &json!({})).status, 403);
    world.ask("GET /api/v1/tools/pay/rule", operator, &Value::Null).expect_status(200);
}

impl TwoTenants {
    fn key(&self, name: &str, role: &str) -> String {
        let made =
            self.ask("POST /api/v1/keys", &self.theirs, &json!({ "name": name, "role": role })).expect_status(201);
        made["key"].as_str().expect("a key").to_owned()
    }
}

#[test]
fn what_an_admin_set_a_builder_makes_stricter_and_neither_loosens_nor_deletes() {
    let world = TwoTenants::new();
    let builder = world.key("bo", "builder");
    let put = |key: &str, rule: &Value| world.ask("PUT /api/v1/tools/greet/rule", key, rule);
    let refused = |rule: Value, field: &str| {
        let refused = put(&builder, &rule).expect_status(403);
        assert_eq!(refused["code"], "RULE_LOOSENED");
        assert!(refused["detail"].as_str().expect("why").contains(field), "{refused}");
    };
    let set = json!({
        "approval": true, "approvers": { "need": 2, "from": ["olga", "paul", "rosa"] }, "rate": "10/min",
        "overrides": { "name": "Ana" },
    });
    put(&world.theirs, &set).expect_status(200);
    let with = |more: Value| {
        let mut rule = set.clone();
        rule.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        rule
    };
    assert_eq!(
        world.ask("DELETE /api/v1/tools/greet/rule", &builder, &Value::Null).expect_status(403)["code"],
        "RULE_LOOSENED"
    );
    refused(json!({}), "approval");
    refused(with(json!({ "approvers": { "need": 1, "from": ["olga", "paul", "rosa"] } })), "approvers");
    refused(with(json!({ "approvers": { "need": 2, "from": ["olga", "bo"] } })), "approvers");
    refused(with(json!({ "approvers": { "need": 2 } })), "approvers");
    refused(with(json!({ "rate": "11/min" })), "rate");
    refused(with(json!({ "rate": "none" })), "rate");
    refused(with(json!({ "overrides": { "name": "Bea" } })), "overrides");
    assert_eq!(
        world.ask("GET /api/v1/tools/greet/rule", &builder, &Value::Null).expect_status(200),
        set,
        "nothing was changed"
    );

    // A builder may make rules stricter and undo that, but never go below what the admin set.
    let stricter = with(json!({ "rate": "5/min", "enabled": false, "cache_seconds": 0 }));
    put(&builder, &stricter).expect_status(200);
    assert_eq!(world.greets(&world.theirs), "TOOL_NOT_ALLOWED");
    refused(json!({ "enabled": false }), "approval");
    put(&builder, &set).expect_status(200);
    refused(with(json!({ "approval": null })), "approval");

    let history = world.ask("GET /api/v1/tools/greet/rule/history", &builder, &Value::Null).expect_status(200);
    let told: Vec<_> =
        history["history"].as_array().expect("changes").iter().map(|one| (&one["role"], &one["value"])).collect();
    assert_eq!(told, [(&json!("builder"), &set), (&json!("builder"), &stricter), (&json!("admin"), &set)]);
    assert_eq!(history["history"][0]["by"], "bo");
    assert!(history["history"][0]["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{history}");

    assert_eq!(world.ask("DELETE /api/v1/tools/greet/rule", &world.theirs, &Value::Null).status, 204);
    put(&builder, &json!({ "enabled": false })).expect_status(200);
    assert_eq!(world.ask("DELETE /api/v1/tools/greet/rule", &builder, &Value::Null).status, 204, "it is their own");
    let history = world.ask("GET /api/v1/tools/greet/rule/history", &builder, &Value::Null).expect_status(200);
    assert_eq!((&history["history"][0]["value"], &history["history"][0]["by"]), (&Value::Null, &json!("bo")));
    assert_eq!(
        world.ask("GET /api/v1/tools/greet/rule/history", &world.own, &Value::Null).expect_status(200)["history"],
        json!([])
    );
}

#[test]
fn an_admins_rate_counts_on_whatever_stricter_rates_a_builder_sets_by_turns() {
    let world = TwoTenants::new();
    let builder = world.key("bo", "builder");
    let set = |key: &str, rate: &str| {
        world.ask("PUT /api/v1/tools/greet/rule", key, &json!({ "rate": rate })).expect_status(200);
    };
    let greeting = json!({ "arguments": { "name": "Ana" } });
    let greets = || {
        let asked = "POST /api/v1/tools/greet/execute";
        world.server.ask(asked, &world.theirs, "Prefer: wait=1\r\n", &greeting)
    };
    set(&world.theirs, "3/day");
    greets().expect_status(200);
    for rate in ["2/day", "1/day"] {
        set(&builder, rate);
        greets().expect_status(200);
    }
    set(&builder, "2/day");
    let held = greets().expect_status(202)["execution_id"].as_str().expect("an id").to_owned();
    wait_for("the fourth to wait: the admin's three are used up", || {
        let path = format!("GET /api/v1/executions/{held}");
        let told = world.ask(&path, &world.theirs, &Value::Null).expect_status(200);
        (told["waits_for"][0]["kind"] == "rate").then_some(())
    });
}

#[test]
fn what_is_set_holds_for_other_processes_and_after_a_restart() {
    let TwoTenants { place, server, own, .. } = TwoTenants::new();
    let beside = BatonServer::start(&place);
    let refused = json!({ "enabled": false });
    server.ask("PUT /api/v1/tools/greet/rule", &own, "", &refused).expect_status(200);
    let greeting = json!({ "arguments": { "name": "Ana" } });
    wait_for("the other process goes by it", || {
        let told = beside.ask("POST /api/v1/tools/greet/execute", &own, "", &greeting).expect_status(200);
        (told["error_code"] == "TOOL_NOT_ALLOWED").then_some(())
    });
    drop((server, beside));
    let again = BatonServer::start(&place);
    let told = again.ask("POST /api/v1/tools/greet/execute", &own, "", &greeting).expect_status(200);
    assert_eq!(told["error_code"], "TOOL_NOT_ALLOWED");
    place.baton(&["tools", "call", "greet", "--set", "name=Ana"]).expect_code(1);
}

#[test]
fn a_tenant_sets_itself_less_than_the_files_allow_and_the_servers_own_what_it_likes() {
    let world = TwoTenants::new();
    let limits = json!({ "hourly_usd": "unlimited", "daily_usd": 30, "monthly_usd": 0 });
    let theirs = world.ask("PUT /api/v1/budgets/tenant", &world.theirs, &limits).expect_status(200);
    assert_eq!(theirs, limits);
    let line = |window| world.budget(&world.theirs, window);
    assert_eq!((&line("hour")["limit_usd"], &line("day")["limit_usd"]), (&json!(50.0), &json!(7.0)), "as the files");
    let month = line("month");
    assert_eq!((&month["limit_usd"], &month["setting"]), (&json!(0.0), &json!("/api/v1/budgets/tenant")));
    assert_eq!(world.budget(&world.own, "month")["limit_usd"], 5_000.0, "another's is as it was");

    let talk = json!({ "workflow_id": "talk" });
    world.ask("POST /api/v1/workflows/execute", &world.own, &talk).expect_status(200);
    let nothing = json!({ "daily_usd": 0 });
    world.ask("PUT /api/v1/budgets/tenant", &world.own, &nothing).expect_status(200);
    let over = world.ask("POST /api/v1/workflows/execute", &world.own, &talk).body.to_string();
    assert!(over.contains("BUDGET_EXCEEDED"), "{over}");
    let shown = world.place.baton(&["budgets", "--json"]).expect_code(0).json();
    let day = shown.as_array().expect("lines").iter().find(|line| line["window"] == "day").expect("a day");
    assert_eq!(day["limit_usd"], 0.0, "the command line says the same: {day}");
    let more = json!({ "daily_usd": 100, "hourly_usd": 0 });
    world.ask("PUT /api/v1/budgets/tenant", &world.own, &more).expect_status(200);
    assert_eq!(world.budget(&world.own, "day")["limit_usd"], 100.0, "above the files'");
    world.ask("DELETE /api/v1/budgets/tenant", &world.own, &Value::Null);
    world.ask("POST /api/v1/workflows/execute", &world.own, &talk).expect_status(200);
    let rows = world.ask("GET /api/v1/audit?limit=50", &world.own, &Value::Null).expect_status(200).to_string();
    assert!(rows.contains("budgets.put") && rows.contains("budgets.delete"), "{rows}");
}

#[test]
fn a_keys_budget_is_its_own_tenants_to_set() {
    let world = TwoTenants::new();
    let made = json!({ "name": "k", "role": "operator" });
    let made = world.ask("POST /api/v1/keys", &world.theirs, &made).expect_status(201);
    let (key, id) = (made["key"].as_str().expect("a key"), made["id"].as_str().expect("an id"));
    let path = format!("/api/v1/budgets/{id}");
    let limit = json!({ "daily_usd": 1, "on_exceeded": "pause" });
    let ask = |method: &str, key: &str| world.ask(&format!("{method} {path}"), key, &limit);
    assert_eq!(ask("PUT", key).status, 403, "it takes an admin");
    assert_eq!(ask("PUT", &world.own).expect_status(404)["code"], "KEY_NOT_FOUND", "another tenant's key");
    assert_eq!(ask("PUT", &world.theirs).expect_status(200), limit);
    assert_eq!(world.ask(&format!("GET {path}"), &world.theirs, &Value::Null).expect_status(200), limit);
    let told = world.ask("GET /api/v1/budgets", &world.theirs, &Value::Null).expect_status(200).to_string();
    assert!(told.contains(&format!("/api/v1/budgets/{id}")), "{told}");
    let told = world.ask("GET /api/v1/budgets", &world.own, &Value::Null).expect_status(200).to_string();
    assert!(!told.contains(id), "{told}");
    let wrong = world.ask(&format!("PUT {path}"), &world.theirs, &json!({ "daily_usd": -1 })).expect_status(422);
    assert!(wrong["detail"].as_str().expect("a detail").contains("US dollars from 0"), "{wrong}");
}

#[test]
fn a_keys_budget_is_that_of_the_key_that_is_made_in_its_place() {
    let world = TwoTenants::new();
    let made =
        world.ask("POST /api/v1/keys", &world.own, &json!({ "name": "k", "role": "service" })).expect_status(201);
    let old = made["id"].as_str().expect("an id");
    let limit = json!({ "daily_usd": 0.25, "on_exceeded": "pause" });
    world.ask(&format!("PUT /api/v1/budgets/{old}"), &world.own, &limit).expect_status(200);
    let rotated = world.ask(&format!("POST /api/v1/keys/{old}/rotate"), &world.own, &json!({})).expect_status(201);
    let new = rotated["id"].as_str().expect("an id").to_owned();
    let of = |key: &str| world.ask(&format!("GET /api/v1/budgets/{key}"), &world.own, &Value::Null).expect_status(200);
    assert_eq!((of(&new), of(old)), (limit.clone(), limit.clone()));
    let again = world.place.baton(&["keys", "rotate", &new, "--json"]).expect_code(0).json();
    assert_eq!(of(again["id"].as_str().expect("an id")), limit, "the command line does the same");
    // A key that is no longer valid cannot be rotated into a new one.
    let revoked =
        |id: &str| world.ask(&format!("DELETE /api/v1/keys/{id}"), &world.own, &Value::Null).expect_status(200);
    revoked(old);
    let refused = world.ask(&format!("POST /api/v1/keys/{old}/rotate"), &world.own, &json!({})).expect_status(409);
    assert_eq!(refused["code"], "KEY_ENDED");
}

#[test]
fn what_was_read_before_a_setting_was_deleted_does_not_change_what_was_set_since() {
    let world = TwoTenants::new();
    let put = |tag: Option<&str>| {
        let tag = tag.map(|tag| format!("If-Match: {tag}\r\n")).unwrap_or_default();
        world.server.ask("PUT /api/v1/tools/greet/rule", &world.theirs, &tag, &json!({ "enabled": false }))
    };
    let first = put(None).header("etag").expect("a tag").to_owned();
    let delete = |tag: &str| {
        let tag = format!("If-Match: {tag}\r\n");
        world.server.ask("DELETE /api/v1/tools/greet/rule", &world.theirs, &tag, &Value::Null).status
    };
    assert_eq!((delete("\"77\""), delete(&first)), (412, 204));
    assert_eq!(world.greets(&world.theirs), "Hello Ana");
    assert_eq!(put(Some(&first)).status, 412, "it is not there any more");
    let second = put(None).header("etag").expect("a tag").to_owned();
    assert_ne!(first, second);
    assert_eq!((put(Some(&first)).status, delete(&first)), (412, 412));
    assert_eq!(put(Some(&second)).status, 200);
}
