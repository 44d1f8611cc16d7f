//! Performs actions against all kinds of responses.

use std::time::Duration;

use baton_core::tool::ToolOutcome;

use super::*;
use crate::testing::service::{CannedResponse, json as answer};
use crate::testing::{done, not_done, unknown};

async fn project() -> ComposioFixture {
    ComposioFixture::with(shop(), json!({})).await.connected(ComposioEntity::Company).await
}

/// The outcomes of a read and of an act if Composio responds this way.
async fn come_to(says: impl Fn() -> CannedResponse) -> (ToolOutcome, ToolOutcome) {
    let project = project().await;
    project.fake.with(|world| world.answers = vec![says(), says()]);
    (project.order("shopify.get_order").await, project.order("shopify.create_return").await)
}

#[tokio::test]
async fn an_action_is_performed_with_the_account_the_version_and_the_arguments() {
    let project = project().await;
    let performed = project.send(&project.call("shopify.create_return", json!({"order_id": "1001"}))).await;
    assert_eq!(done(performed.outcome)["did"], "SHOPIFY_CREATE_RETURN");
    let asked = project.fake.asked("POST", "tools/execute/SHOPIFY_CREATE_RETURN");
    assert_eq!(
        asked[0].json(),
        json!({
            "user_id": "acme:company", "connected_account_id": "ca_1", "version": "20251027_00",
            "arguments": {"order_id": "1001"},
        })
    );
    assert_eq!(
        (performed.audit.action.as_str(), &performed.audit.details["provider"]),
        ("shopify.create_return", &json!("composio"))
    );
}

#[tokio::test]
async fn arguments_that_do_not_fit_the_schema_are_sent_nowhere() {
    let project = project().await;
    let outcome = project.send(&project.call("shopify.get_order", json!({"order": "1001"}))).await.outcome;
    assert_eq!(not_done(outcome).0, "INVALID_PARAMETERS");
    assert!(project.fake.asked("POST", "tools/execute").is_empty());
}

#[tokio::test]
async fn a_200_that_was_not_successful_is_a_failure_with_its_words_and_without_secrets() {
    let says = || {
        let error = format!("Order 1001 not found for jane@example.com, key {KEY}");
        answer(200, &json!({"data": {"status_code": 404}, "error": error, "successful": false, "log_id": "log_7"}))
    };
    let (read, act) = come_to(says).await;
    let (code, message) = not_done(read);
    assert_eq!(code, "SERVICE_REJECTED");
    assert!(message.contains("the app answered 404: Order 1001 not found") && message.contains("log_7"), "{message}");
    assert!(!message.contains(KEY) && !message.contains("jane@"), "{message}");
    assert_eq!(not_done(act).0, "SERVICE_REJECTED");
}

#[tokio::test]
async fn words_alone_leave_an_act_in_doubt_whatever_status_they_speak_of() {
    for words in ["401 Unauthorized", "403 Forbidden", "429 Too Many Requests", "Order not found", ""] {
        let says = || answer(200, &json!({"data": {}, "error": words, "successful": false}));
        let project = project().await;
        project.fake.with(|world| world.answers = vec![says(), says(), says()]);
        let (code, _) = unknown(project.order("shopify.create_return").await);
        assert_eq!(code, "OUTCOME_UNKNOWN", "{words}");
        assert_eq!(project.done(), ["SHOPIFY_CREATE_RETURN"], "it is sent once");
    }
    // An error of Composio itself that is not a refusal leaves the outcome of an act unknown, even if it mentions an
    // account.
    let says = || {
        let error = json!({"message": "Connected account ca_1 is in EXPIRED state", "status": 500});
        answer(500, &json!({"error": error}))
    };
    let (read, act) = come_to(says).await;
    assert!(matches!(read, ToolOutcome::NotDone { retryable: true, .. }), "{read:?}");
    unknown(act);
}

#[tokio::test]
async fn an_app_that_was_asked_too_often_is_asked_later() {
    let says =
        || answer(200, &json!({"data": {"http_error": "429 Client Error: Too Many Requests"}, "successful": false}));
    let (_, act) = come_to(says).await;
    assert!(matches!(act, ToolOutcome::NotDone { retryable: true, .. }), "{act:?}");
}

#[tokio::test]
async fn an_app_that_failed_half_way_leaves_an_act_in_doubt_and_a_read_to_be_repeated() {
    for error in [json!({"status_code": 502}), json!({"message": "Request timed out after 60 seconds"})] {
        let says = || answer(200, &json!({"data": error, "error": null, "successful": false}));
        let (read, act) = come_to(says).await;
        assert!(matches!(read, ToolOutcome::NotDone { retryable: true, .. }), "{read:?}");
        unknown(act);
    }
}

#[tokio::test]
async fn composio_that_is_asked_too_often_says_when_to_come_back() {
    let says = || {
        let body = json!({"error": {"message": "Rate limit exceeded", "status": 429, "request_id": "req_2"}});
        CannedResponse::Answer(429, "content-type: application/json\r\nretry-after: 7\r\n".to_owned(), body.to_string())
    };
    let (read, act) = come_to(says).await;
    for outcome in [read, act] {
        let ToolOutcome::NotDone { fault, retryable, retry_after } = outcome else { panic!("it was refused") };
        assert_eq!((&*fault.code, retryable, retry_after), ("RATE_LIMIT_EXCEEDED", true, Some(7_000)));
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_leaves_an_act_in_doubt() {
    let malformed =
        || CannedResponse::Answer(200, "content-type: application/json\r\n".to_owned(), "{\"data\": {".to_owned());
    let silent = || answer(200, &json!({"data": {}}));
    let list = || answer(200, &json!([1, 2]));
    let cut = || CannedResponse::Disconnect;
    let says: [fn() -> CannedResponse; 4] = [malformed, silent, list, cut];
    for says in says {
        let (read, act) = come_to(says).await;
        assert!(matches!(read, ToolOutcome::NotDone { retryable: true, .. }), "{read:?}");
        unknown(act);
    }
}

#[tokio::test]
async fn an_act_that_hung_after_acting_is_in_doubt_and_was_sent_once() {
    let project = project().await;
    project.fake.with(|world| world.answers = vec![CannedResponse::NoResponse]);
    let call = project.call("shopify.create_return", json!({"order_id": "1001"}));
    let CheckResult::Permitted(permit) = project.registry.check(&call, None).await else { panic!("it is permitted") };
    let (code, _) = unknown(permit.perform(Duration::from_millis(300)).await.outcome);
    assert_eq!((code.as_str(), project.done()), ("TIMEOUT", vec!["SHOPIFY_CREATE_RETURN".to_owned()]));
    assert_eq!(project.fake.asked("POST", "tools/execute").len(), 1);
}

#[tokio::test]
async fn credentials_that_can_be_renewed_are_renewed_once_and_the_action_done_once() {
    let project = project().await;
    project.fake.with(|world| world.renews = true);
    done(project.order("shopify.get_order").await);
    project.fake.set("ca_1", "EXPIRED");
    let output = done(project.order("shopify.create_return").await);
    assert_eq!(output["did"], "SHOPIFY_CREATE_RETURN");
    assert_eq!(project.done(), ["SHOPIFY_GET_ORDER", "SHOPIFY_CREATE_RETURN"]);
    assert_eq!(project.fake.asked("POST", "connected_accounts/ca_1/refresh").len(), 1);
    assert_eq!(project.desk.titles(), [""; 0]);
}

#[tokio::test]
async fn credentials_that_an_app_refuses_after_renewal_are_given_up_after_one_more_try() {
    let project = project().await;
    let refused = || {
        let data = json!({"http_error": "401 Client Error: Unauthorized for url: https://shop.example"});
        answer(200, &json!({"data": data, "error": "Unauthorized", "successful": false}))
    };
    project.fake.with(|world| (world.renews, world.answers) = (true, vec![refused(), refused(), refused()]));
    let (code, message) = not_done(project.order("shopify.create_return").await);
    assert_eq!(code, "CONNECTION_EXPIRED");
    assert!(message.contains("connect it again: `baton tools connect shopify`"), "{message}");
    assert_eq!(project.fake.asked("POST", "tools/execute").len(), 2);
}

#[tokio::test]
async fn what_only_a_person_can_renew_goes_to_the_desk_once_and_leaves_it_when_it_works() {
    let project = project().await;
    done(project.order("shopify.get_order").await);
    project.fake.set("ca_1", "EXPIRED");
    let (code, _) = not_done(project.order("shopify.get_order").await);
    assert_eq!(code, "CONNECTION_EXPIRED");
    // A person has begun to reconnect and has not finished: the next call waits for them and opens no second task.
    let (code, message) = not_done(project.order("shopify.get_order").await);
    assert_eq!(code, "CONNECTION_MISSING");
    assert!(message.contains("has not finished connecting"), "{message}");
    assert_eq!(project.desk.titles(), ["the connection of `shopify` for company is EXPIRED: connect it again"]);
    project.fake.set("ca_1", "ACTIVE");
    done(project.order("shopify.get_order").await);
    assert_eq!(project.desk.titles(), [""; 0]);
}

#[tokio::test]
async fn the_account_is_that_of_whom_the_settings_say() {
    let settings = json!({"entity_id_source": "user_id"});
    let project = ComposioFixture::with(shop(), settings).await.connected(ComposioEntity::User("u1".to_owned())).await;
    done(project.order("shopify.get_order").await);
    assert_eq!(project.fake.asked("POST", "tools/execute")[0].json()["user_id"], "acme:user:u1");
    let mut other = project.call("shopify.get_order", json!({"order_id": "1"}));
    other.caller.user_id = Some("u2".to_owned());
    let (code, message) = not_done(project.send(&other).await.outcome);
    assert_eq!(code, "CONNECTION_MISSING");
    assert!(message.contains("`baton tools connect shopify --user 'u2'`"), "{message}");
    other.caller.user_id = None;
    assert_eq!(not_done(project.send(&other).await.outcome).0, "INVALID_PARAMETERS");
    // A workflow overrides it for its own calls.
    let mut of_company = project.call("shopify.get_order", json!({"order_id": "1"}));
    of_company.caller.entity_id_source = Some("company_id".to_owned());
    let (code, message) = not_done(project.send(&of_company).await.outcome);
    assert_eq!(code, "CONNECTION_MISSING");
    assert!(message.contains("company has connected no account"), "{message}");
    let names = json!({"app": {"shopify": {"entity_id_source": "warehouse"}}});
    let project =
        ComposioFixture::with(shop(), names).await.connected(ComposioEntity::Named("warehouse".to_owned())).await;
    done(project.order("shopify.get_order").await);
}

#[tokio::test]
async fn one_tenants_connection_never_serves_another() {
    let settings = json!({"entity_id_source": "user_id"});
    let project = ComposioFixture::with(shop(), settings).await.connected(ComposioEntity::User("u1".to_owned())).await;
    done(project.order("shopify.get_order").await);
    let mut other = project.call("shopify.get_order", json!({"order_id": "1"}));
    other.tenant = TenantId::from("rival");
    assert_eq!(not_done(project.send(&other).await.outcome).0, "CONNECTION_MISSING");
    // The same user id in another tenant is another user at Composio too.
    let link = project
        .composio()
        .connect(&other.tenant, "shopify", ComposioEntity::User("u1".to_owned()), None)
        .await
        .unwrap();
    project.fake.set(&link.connection.account, "ACTIVE");
    done(project.send(&other).await.outcome);
    let users: Vec<Value> =
        project.fake.asked("POST", "tools/execute").iter().map(|asked| asked.json()["user_id"].clone()).collect();
    assert_eq!(users, ["acme:user:u1", "rival:user:u1"]);
}

#[tokio::test]
async fn an_app_takes_so_many_calls_of_all_its_actions_together() {
    let settings = json!({"rate": "2/min"});
    let project = ComposioFixture::with(shop(), settings).await.connected(ComposioEntity::Company).await;
    done(project.order("shopify.get_order").await);
    done(project.order("shopify.list_orders").await);
    let third = project.call("shopify.create_return", json!({"order_id": "1"}));
    assert!(matches!(project.registry.check(&third, None).await, CheckResult::RateLimited { .. }));
}

#[tokio::test]
async fn without_a_key_a_call_says_which_setting_is_missing() {
    let project = project().await;
    let ComposioFixture { fake, records, clock, .. } = project;
    let keyless = ComposioFixture::over(fake, records, clock, json!({"api_key": null}));
    keyless.learn().await;
    let outcome = keyless.order("shopify.get_order").await;
    let (_, message) = not_done(outcome);
    assert!(message.contains("`tools.composio.api_key` is not set"), "{message}");
}

#[tokio::test]
async fn an_action_that_needs_no_account_is_sent_without_one() {
    let mut world = shop();
    world.actions.get_mut("shopify").unwrap()[0]["no_auth"] = json!(true);
    world.answers = vec![answer(200, &json!({"data": {"ok": true}, "error": null, "successful": true}))];
    let project = ComposioFixture::with(world, json!({})).await;
    done(project.order("shopify.get_order").await);
    assert!(project.fake.asked("POST", "tools/execute")[0].json().get("connected_account_id").is_none());
}
