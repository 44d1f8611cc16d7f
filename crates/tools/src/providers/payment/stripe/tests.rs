use std::time::Duration;

use baton_core::tool::{EffectClass, ToolOutcome};
use baton_ports::tools::ToolGateway as _;
use serde_json::{Value, json};

use crate::testing::service::{CannedResponse, FakeService, RecordedRequest, json as answer};
use crate::testing::{ToolsFixture, done, unknown};

fn settings(service: &FakeService) -> Value {
    json!({"payment": {"currency": "EUR", "stripe": {
        "secret_key": "sk_test_s3cr3t", "base_url": service.url(""),
        "methods": {"card": {"payment_method": "pm_card_visa", "customer": "cus_1"}},
    }}})
}

async fn stripe(
    says: impl Fn(&RecordedRequest) -> CannedResponse + Send + Sync + 'static,
) -> (FakeService, ToolsFixture) {
    let service = FakeService::start(says).await;
    let world = ToolsFixture::with(settings(&service));
    (service, world)
}

/// A PaymentIntent as Stripe documents it, limited to the fields in use.
fn intent(status: &str, amount: i64) -> Value {
    json!({
        "id": "pi_3Mtw", "object": "payment_intent", "amount": amount, "amount_received": amount, "currency": "eur",
        "created": 1_736_931_600, "customer": "cus_1", "latest_charge": "ch_3Mtw", "livemode": false,
        "metadata": {"baton_key": "k"}, "payment_method": "pm_card_visa", "status": status,
    })
}

fn refund(amount: i64, refunded: i64) -> Value {
    json!({
        "id": "re_1Nis", "object": "refund", "amount": amount, "currency": "eur", "payment_intent": "pi_3Mtw", "status": "succeeded",
        "charge": {"id": "ch_3Mtw", "object": "charge", "amount": 10_000, "amount_refunded": refunded, "currency": "eur"},
    })
}

fn error(status: u16, error: Value) -> CannedResponse {
    answer(status, &json!({"error": error}))
}

fn fields(asked: &RecordedRequest) -> Vec<String> {
    let mut fields: Vec<String> =
        asked.body.split('&').map(|pair| pair.replace("%5B", "[").replace("%5D", "]")).collect();
    fields.sort();
    fields
}

#[tokio::test]
async fn a_charge_is_an_intent_that_is_confirmed_under_the_effects_key() {
    let (service, world) = stripe(|_| answer(200, &intent("succeeded", 4_999))).await;
    let call = world.call(
        "run-1/pay/0/0",
        "charge_payment",
        json!({"amount": 49.99, "order_id": "or_7", "description": "Botox"}),
    );
    assert_eq!(call.class, EffectClass::Keyed);
    let charged = done(world.send(&call).await.outcome);
    for (name, expect) in [
        ("id", json!("pi_3Mtw")),
        ("transaction_id", json!("pi_3Mtw")),
        ("order_id", json!("or_7")),
        ("amount", json!(49.99)),
        ("currency", json!("EUR")),
        ("status", json!("charged")),
        ("charged_at", json!("2025-01-15T09:00:00Z")),
        ("provider", json!("stripe")),
    ] {
        assert_eq!(charged[name], expect, "{name}");
    }
    let asked = &service.received()[0];
    assert_eq!((&*asked.method, &*asked.target), ("POST", "/v1/payment_intents"));
    assert_eq!(asked.header("authorization"), Some("Bearer sk_test_s3cr3t"));
    assert_eq!(asked.header("idempotency-key"), Some("run-1/pay/0/0"));
    assert_eq!(asked.header("stripe-version"), Some("2024-06-20"));
    let sent = fields(asked);
    for field in [
        "amount=4999",
        "currency=eur",
        "confirm=true",
        "off_session=true",
        "customer=cus_1",
        "payment_method=pm_card_visa",
        "metadata[order_id]=or_7",
        "description=Botox",
    ] {
        assert!(sent.contains(&field.to_owned()), "{field} is not in {sent:?}");
    }
}

#[tokio::test]
async fn a_currency_without_cents_is_charged_in_whole_units() {
    let (service, world) = stripe(|_| answer(200, &intent("succeeded", 500))).await;
    let charged = world
        .done("k", "charge_payment", json!({"amount": 500, "currency": "jpy", "method": "pm_1", "customer": "cus_9"}))
        .await;
    assert_eq!((&charged["amount"], &charged["currency"]), (&json!(500), &json!("JPY")));
    let sent = fields(&service.received()[0]);
    for field in ["amount=500", "currency=jpy", "payment_method=pm_1", "customer=cus_9"] {
        assert!(sent.contains(&field.to_owned()), "{field} is not in {sent:?}");
    }
    let (code, _) = world.refused("k2", "charge_payment", json!({"amount": 0.5, "currency": "JPY"})).await;
    assert_eq!((code.as_str(), service.received().len()), ("INVALID_PARAMETERS", 1));
    let (code, message) = world.refused("k3", "charge_payment", json!({"amount": 5, "method": "visa"})).await;
    assert_eq!((code.as_str(), service.received().len()), ("INVALID_PARAMETERS", 1), "{message}");
}

#[tokio::test]
async fn a_declined_card_is_certain_and_the_customer_is_told() {
    let declined = || {
        error(
            402,
            json!({
                "type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds",
                "message": "Your card has insufficient funds.", "payment_intent": {"id": "pi_1", "status": "requires_payment_method"},
            }),
        )
    };
    let (_service, world) = stripe(move |_| declined()).await;
    match world.send(&world.call("k", "charge_payment", json!({"amount": 5}))).await.outcome {
        ToolOutcome::NotDone { fault, retryable: false, .. } => {
            assert_eq!(fault.code, "PAYMENT_DECLINED");
            assert!(
                fault.message.ends_with("Your card has insufficient funds. (card_declined, insufficient_funds)"),
                "{}",
                fault.message
            );
            assert!(fault.customer.unwrap().starts_with("Lo siento, no pudimos procesar tu pago."));
        }
        other => panic!("{other:?}"),
    }
}

/// Stripe's response, the resulting code, and whether it may be retried.
type StripeErrorCase = (fn() -> CannedResponse, &'static str, bool);

#[tokio::test]
async fn what_stripe_answers_is_sorted_by_its_type() {
    let cases: [StripeErrorCase; 5] = [
        (
            || {
                error(
                    400,
                    json!({"type": "idempotency_error", "message": "Keys for idempotent requests can only be used with the same parameters"}),
                )
            },
            "KEY_REUSED",
            false,
        ),
        (
            || {
                error(
                    400,
                    json!({"type": "invalid_request_error", "code": "amount_too_small", "param": "amount", "message": "Amount must be at least $0.50 usd"}),
                )
            },
            "INVALID_PARAMETERS",
            false,
        ),
        (
            || {
                error(
                    401,
                    json!({"type": "invalid_request_error", "message": "Invalid API Key provided: sk_test_s3cr3t"}),
                )
            },
            "SERVICE_DENIED",
            false,
        ),
        (
            || {
                error(
                    429,
                    json!({"type": "invalid_request_error", "code": "rate_limit", "message": "Too many requests"}),
                )
            },
            "RATE_LIMIT_EXCEEDED",
            true,
        ),
        (|| answer(200, &intent("requires_action", 500)), "PAYMENT_DECLINED", false),
    ];
    for (says, code, again) in cases {
        let (_service, world) = stripe(move |_| says()).await;
        match world.send(&world.call("k", "charge_payment", json!({"amount": 5}))).await.outcome {
            ToolOutcome::NotDone { fault, retryable, .. } => {
                assert_eq!((&*fault.code, retryable), (code, again));
                assert!(!fault.message.contains("s3cr3t"), "{}", fault.message);
            }
            other => panic!("{code}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_charge_whose_answer_is_lost_is_sent_again_under_the_same_key() {
    let lost: [fn() -> CannedResponse; 5] = [
        || CannedResponse::Disconnect,
        || error(500, json!({"type": "api_error", "message": "oops"})),
        || error(409, json!({"type": "idempotency_error", "code": "idempotency_key_in_use", "message": "in use"})),
        || CannedResponse::Answer(200, String::new(), "<html>".to_owned()),
        || answer(200, &json!({"id": "pi_1", "status": "dreaming"})),
    ];
    for says in lost {
        let (service, world) = stripe(move |_| says()).await;
        let call = world.call("k", "charge_payment", json!({"amount": 5}));
        unknown(world.send(&call).await.outcome);
        unknown(world.send(&call).await.outcome);
        let keys: Vec<_> =
            service.received().iter().map(|asked| asked.header("idempotency-key").map(str::to_owned)).collect();
        assert_eq!(keys, [Some("k".to_owned()), Some("k".to_owned())]);
    }
}

#[tokio::test]
async fn a_charge_of_yesterday_is_looked_for_before_it_is_made() {
    let (service, world) = stripe(|asked| match asked.method.as_str() {
        "GET" => {
            answer(200, &json!({"object": "search_result", "data": [intent("succeeded", 500)], "has_more": false}))
        }
        _ => answer(200, &intent("succeeded", 500)),
    })
    .await;
    let call = world.call("it's/k", "charge_payment", json!({"amount": 5}));
    world.clock.advance(Duration::from_secs(21 * 3_600));
    assert_eq!(done(world.send(&call).await.outcome)["transaction_id"], "pi_3Mtw");
    let asked = service.received();
    assert_eq!(asked.len(), 1, "nothing was charged again");
    assert!(
        asked[0]
            .target
            .starts_with("/v1/payment_intents/search?query=metadata%5B%27baton_key%27%5D%3A%27it%5C%27s%2Fk%27"),
        "{}",
        asked[0].target
    );
}

#[tokio::test]
async fn a_refund_gives_back_what_was_asked_under_a_key_of_its_own() {
    let (service, world) = stripe(|asked| match asked.method.as_str() {
        "GET" => answer(
            200,
            &json!({"id": "pi_3Mtw", "currency": "eur", "latest_charge": {"id": "ch_3Mtw", "currency": "eur"}}),
        ),
        _ if asked.body.contains("amount=") => answer(200, &refund(3_050, 3_050)),
        _ => answer(200, &refund(6_950, 10_000)),
    })
    .await;
    let part = world.done("r1", "refund_payment", json!({"transaction_id": "pi_3Mtw", "amount": 30.5})).await;
    assert_eq!(
        (&part["refund_id"], &part["amount"], &part["status"]),
        (&json!("re_1Nis"), &json!(30.5), &json!("partly_refunded"))
    );
    let rest = world.done("r2", "refund_payment", json!({"transaction_id": "pi_3Mtw", "reason": "undone"})).await;
    assert_eq!((&rest["refunded_total"], &rest["status"]), (&json!(100), &json!("refunded")));
    let asked = service.received();
    assert_eq!(asked[0].target, "/v1/payment_intents/pi_3Mtw?expand%5B%5D=latest_charge");
    assert_eq!((&*asked[1].target, asked[1].header("idempotency-key")), ("/v1/refunds", Some("r1")));
    assert!(fields(&asked[1]).contains(&"amount=3050".to_owned()));
    assert_eq!(asked[2].header("idempotency-key"), Some("r2"));
}

#[tokio::test]
async fn a_refund_of_yesterday_is_looked_for_before_it_is_made() {
    let earlier = |key: &str| {
        let mut earlier = refund(3_050, 3_050);
        earlier["metadata"] = json!({"baton_key": key});
        earlier
    };
    for (listed, has_more, acts) in
        [(earlier("r"), false, 0), (earlier("another"), false, 1), (earlier("another"), true, 0)]
    {
        let (service, world) = stripe(move |asked| match (asked.method.as_str(), asked.target.as_str()) {
            ("GET", target) if target.starts_with("/v1/refunds?") => {
                answer(200, &json!({"object": "list", "data": [listed], "has_more": has_more}))
            }
            ("GET", _) => answer(200, &json!({"id": "pi_3Mtw", "latest_charge": {"currency": "eur"}})),
            _ => answer(200, &refund(3_050, 6_100)),
        })
        .await;
        let call = world.call("r", "refund_payment", json!({"transaction_id": "pi_3Mtw", "amount": 30.5}));
        world.clock.advance(Duration::from_secs(21 * 3_600));
        let outcome = world.send(&call).await.outcome;
        match has_more {
            true => assert_eq!(unknown(outcome).0, "OUTCOME_UNKNOWN"),
            false => assert_eq!(done(outcome)["amount"], json!(30.5)),
        }
        let asked = service.received();
        assert_eq!(asked[0].target, "/v1/refunds?payment_intent=pi_3Mtw&limit=100&expand%5B%5D=data.charge");
        assert_eq!(asked.iter().filter(|asked| asked.method == "POST").count(), acts, "what was found is not repeated");
    }
}

#[tokio::test]
async fn what_is_given_back_whole_already_is_left_as_it_is() {
    let (_service, world) = stripe(|asked| match asked.method.as_str() {
        "GET" => answer(200, &json!({"id": "pi_3Mtw", "latest_charge": {"id": "ch_3Mtw", "currency": "eur", "amount_refunded": 10_000}})),
        _ => error(400, json!({"type": "invalid_request_error", "code": "charge_already_refunded", "message": "Charge ch_3Mtw has already been refunded."})),
    })
    .await;
    let none = world.done("r", "refund_payment", json!({"transaction_id": "pi_3Mtw"})).await;
    assert_eq!(
        (&none["amount"], &none["refunded_total"], &none["status"]),
        (&json!(0), &json!(100), &json!("refunded"))
    );
    let (code, _) = world.refused("r2", "refund_payment", json!({"transaction_id": "pi_3Mtw", "amount": 1})).await;
    assert_eq!(code, "REFUND_TOO_LARGE");
}

#[tokio::test]
async fn a_refund_that_cannot_be_is_told_apart() {
    for (says, code) in [
        (
            json!({"type": "invalid_request_error", "code": "resource_missing", "param": "payment_intent", "message": "No such payment_intent: 'pi_0'"}),
            "PAYMENT_NOT_FOUND",
        ),
        (
            json!({"type": "invalid_request_error", "param": "amount", "message": "Refund amount is greater than unrefunded amount on charge"}),
            "REFUND_TOO_LARGE",
        ),
    ] {
        let (_service, world) = stripe(move |asked| match asked.method.as_str() {
            "GET" => answer(200, &json!({"latest_charge": {"currency": "eur"}})),
            _ => error(400, says.clone()),
        })
        .await;
        let (found, message) =
            world.refused("r", "refund_payment", json!({"transaction_id": "pi_0", "amount": 5})).await;
        assert_eq!(found, code, "{message}");
    }
    let (_service, world) =
        stripe(|_| answer(200, &json!({"id": "re_1", "status": "failed", "failure_reason": "lost_or_stolen_card"})))
            .await;
    let (_, message) = world.refused("r", "refund_payment", json!({"transaction_id": "pi_0"})).await;
    assert!(message.contains("lost_or_stolen_card"), "{message}");
}

#[tokio::test]
async fn a_charge_of_the_ledger_is_given_back_there_after_stripe_was_chosen() {
    let service = FakeService::start(|_| answer(200, &json!({}))).await;
    let before = ToolsFixture::new();
    let charged = before.done("c", "charge_payment", json!({"amount": 100})).await;
    let config = serde_json::from_value(settings(&service)).unwrap();
    let after = crate::ToolRegistry::new(config, &before.services()).unwrap();
    let call = before.call("r", "refund_payment", json!({"transaction_id": charged["transaction_id"]}));
    let baton_ports::tools::CheckResult::Permitted(permit) = after.check(&call, None).await else {
        panic!("held back")
    };
    let given_back = done(permit.perform(Duration::from_secs(5)).await.outcome);
    assert_eq!((&given_back["provider"], &given_back["amount"]), (&json!("internal"), &json!(100)));
    assert!(service.received().is_empty());
}
