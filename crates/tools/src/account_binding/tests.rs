//! Settings that change while calls are open.

use std::time::Duration;

use baton_core::tool::{EffectClass, ToolInvocation, ToolOutcome};
use baton_ports::tools::{CheckResult, ToolGateway};
use serde_json::{Value, json};

use crate::testing::service::{CannedResponse, FakeService, RecordedRequest, json as answer};
use crate::testing::{ToolsFixture, done, not_done, unknown};
use crate::{ToolRegistry, ToolsConfig};

/// The same installation with other settings.
fn chosen(world: &ToolsFixture, settings: Value) -> ToolRegistry {
    let config: ToolsConfig = serde_json::from_value(settings).unwrap();
    ToolRegistry::new(config, &world.services()).unwrap()
}

async fn send(registry: &ToolRegistry, call: &ToolInvocation) -> ToolOutcome {
    let CheckResult::Permitted(permit) = registry.check(call, None).await else { panic!("held back") };
    permit.perform(Duration::from_secs(5)).await.outcome
}

fn intent(asked: &RecordedRequest) -> CannedResponse {
    match asked.method.as_str() {
        "GET" => answer(200, &json!({"data": []})),
        _ => answer(200, &json!({"id": "pi_1", "status": "succeeded", "amount": 500, "created": 1_736_931_600})),
    }
}

fn stripe(service: &FakeService, key: &str) -> Value {
    json!({"payment": {"provider": "stripe", "currency": "EUR", "stripe": {
        "secret_key": key, "base_url": service.url(""), "methods": {"card": {"payment_method": "pm_1"}},
    }}})
}

/// A charge whose response from the first account was lost.
async fn lost(first: Value) -> (ToolsFixture, ToolInvocation) {
    let world = ToolsFixture::with(first);
    let call = world.call("run-1/pay/0/0", "charge_payment", json!({"amount": 5}));
    unknown(world.send(&call).await.outcome);
    (world, call)
}

#[tokio::test]
async fn a_charge_whose_answer_was_lost_goes_to_no_other_account() {
    let silent = FakeService::start(|_: &RecordedRequest| CannedResponse::Disconnect).await;
    let other = FakeService::start(intent).await;
    let (world, call) = lost(stripe(&silent, "sk_test_one")).await;
    for settings in [
        stripe(&silent, "sk_test_two"),
        stripe(&other, "sk_test_one"),
        json!({"payment": {"provider": "internal"}}),
        json!({"tenants": {"clinic": stripe(&other, "sk_test_tenant")}}),
    ] {
        let before = silent.received().len();
        let (code, message) = not_done(send(&chosen(&world, settings.clone()), &call).await);
        assert_eq!(code, "PROVIDER_CHANGED", "{settings}");
        assert!(message.contains(&silent.url("")) && message.contains("ask there"), "{message}");
        assert!(!message.contains("sk_test"), "{message}");
        assert_eq!((silent.received().len(), other.received().len()), (before, 0), "{settings}");
    }
    assert!(world.records.space("payments").is_empty(), "the ledger charged nothing");
    // The original account may be called again.
    unknown(send(&chosen(&world, stripe(&silent, "sk_test_one")), &call).await);
    assert_eq!(silent.received().len(), 2);
}

#[tokio::test]
async fn what_the_ledger_charged_is_not_charged_again_by_a_service() {
    let service = FakeService::start(intent).await;
    let world = ToolsFixture::with(json!({"payment": {"currency": "EUR"}}));
    let call = world.call("run-1/pay/0/0", "charge_payment", json!({"amount": 5}));
    let charged = done(world.send(&call).await.outcome);
    assert_eq!(done(send(&chosen(&world, stripe(&service, "sk_test_one")), &call).await), charged);
    assert!(service.received().is_empty());
    let next = world.call("run-1/pay/1/0", "charge_payment", json!({"amount": 5}));
    assert_eq!(done(send(&chosen(&world, stripe(&service, "sk_test_one")), &next).await)["provider"], "stripe");
}

#[tokio::test]
async fn a_message_is_not_looked_for_at_another_account() {
    let silent = FakeService::start(|_: &RecordedRequest| CannedResponse::Disconnect).await;
    let other = FakeService::start(|_: &RecordedRequest| answer(200, &json!({"messages": []}))).await;
    let twilio = |service: &FakeService, account: &str| {
        json!({"message": {"twilio": {
            "account_sid": account, "auth_token": "t0k3n", "from": "+15550001111", "base_url": service.url(""),
        }}})
    };
    let world = ToolsFixture::with(twilio(&silent, "AC1"));
    let call = world.call("k", "send_sms", json!({"to": "+34612345678", "message": "hi"}));
    assert_eq!(call.class, EffectClass::Verify);
    unknown(world.send(&call).await.outcome);
    let after = chosen(&world, twilio(&other, "AC2"));
    let (_, message) = unknown(after.look_up(&call, Duration::from_secs(5)).await);
    assert!(message.contains("went to twilio"), "{message}");
    assert!(other.received().is_empty());
}

#[tokio::test]
async fn an_account_that_cannot_be_written_down_is_not_asked() {
    let service = FakeService::start(intent).await;
    let world = ToolsFixture::with(stripe(&service, "sk_test_one"));
    world.records.drops_responses.store(true, std::sync::atomic::Ordering::Relaxed);
    let call = world.call("k", "charge_payment", json!({"amount": 5}));
    assert_eq!(not_done(world.send(&call).await.outcome).0, "STORAGE_UNAVAILABLE");
    assert!(service.received().is_empty());
    world.records.drops_responses.store(false, std::sync::atomic::Ordering::Relaxed);
    done(world.send(&call).await.outcome);
}
