use baton_core::tool::ToolOutcome;
use serde_json::json;

use crate::testing::{ToolsFixture, done, not_done};

#[tokio::test]
async fn a_charge_answers_with_the_names_the_seeds_use() {
    let world = ToolsFixture::new();
    let charged = world.done("k", "process_payment", json!({"amount": 100, "method": "credit_card"})).await;
    assert_eq!(charged["id"], charged["transaction_id"]);
    assert!(charged["order_id"].is_string());
    assert_eq!(
        (&charged["amount"], &charged["currency"], &charged["status"]),
        (&json!(100), &json!("USD"), &json!("charged"))
    );
}

#[tokio::test]
async fn one_key_charges_once_however_often_it_is_sent() {
    let world = ToolsFixture::with(json!({"payment": {"methods": {"gift": {"balance": 100}}}}));
    let call = world.call("k", "charge_payment", json!({"amount": 60, "method": "gift"}));
    let outcomes = futures::future::join_all((0..20).map(|_| world.send(&call))).await;
    let outputs: Vec<_> = outcomes.into_iter().map(|performed| done(performed.outcome)).collect();
    assert!(outputs.iter().all(|output| *output == outputs[0]));
    assert_eq!(world.records.space("payments").len(), 1);
    assert_eq!(world.records.space("payment_balances"), vec![json!({"spent_minor": 6_000})]);
}

#[tokio::test]
async fn a_declined_card_is_not_asked_again_and_the_customer_is_told() {
    let world = ToolsFixture::new();
    let performed = world.send(&world.call("k", "charge_payment", json!({"amount": 60, "method": "declined"}))).await;
    match performed.outcome {
        ToolOutcome::NotDone { fault, retryable: false, .. } => {
            assert_eq!(fault.code, "PAYMENT_DECLINED");
            assert_eq!(fault.message, "`declined` was declined: Insufficient funds");
            let said =
                "Lo siento, no pudimos procesar tu pago. Por favor, verifica tu método de pago e intenta nuevamente.";
            assert_eq!(fault.customer.as_deref(), Some(said));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(world.records.space("payments").len(), 0);
}

#[tokio::test]
async fn charges_at_once_never_spend_more_than_the_balance() {
    let world = ToolsFixture::with(json!({"payment": {"methods": {"gift": {"balance": 100}}}}));
    let calls: Vec<_> = (0..8)
        .map(|n| world.call(&format!("k{n}"), "charge_payment", json!({"amount": 33.34, "method": "gift"})))
        .collect();
    let outcomes = futures::future::join_all(calls.iter().map(|call| world.send(call))).await;
    let charged = outcomes.iter().filter(|performed| matches!(performed.outcome, ToolOutcome::Done { .. })).count();
    assert_eq!(charged, 2);
    for performed in outcomes {
        if !matches!(performed.outcome, ToolOutcome::Done { .. }) {
            assert_eq!(not_done(performed.outcome).0, "PAYMENT_DECLINED");
        }
    }
    assert_eq!(world.records.space("payment_balances"), vec![json!({"spent_minor": 6_668})]);
}

#[tokio::test]
async fn a_refund_gives_back_what_is_left_and_never_more() {
    let world = ToolsFixture::with(json!({"payment": {"methods": {"gift": {"balance": 100}}}}));
    let charged = world.done("c", "charge_payment", json!({"amount": 100, "method": "gift"})).await;
    let transaction = &charged["transaction_id"];
    let part = world.done("r1", "refund_payment", json!({"transaction_id": transaction, "amount": 30.5})).await;
    assert_eq!((&part["status"], &part["refunded_total"]), (&json!("partly_refunded"), &json!(30.5)));
    let (code, message) =
        world.refused("r2", "refund_payment", json!({"transaction_id": transaction, "amount": 70})).await;
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("REFUND_TOO_LARGE", "a refund of 70 USD is more than the 69.5 left")
    );
    let rest = world.done("r3", "refund_payment", json!({"transaction_id": transaction})).await;
    assert_eq!((&rest["amount"], &rest["status"]), (&json!(69.5), &json!("refunded")));
    let none = world.done("r4", "refund_payment", json!({"transaction_id": transaction})).await;
    assert_eq!((&none["amount"], &none["status"]), (&json!(0), &json!("refunded")));
    assert_eq!(world.records.space("payment_balances"), vec![json!({"spent_minor": 0})]);
    assert_eq!(world.records.space("refunds").len(), 2);
}

#[tokio::test]
async fn refunds_at_once_never_give_back_more_than_was_charged() {
    let world = ToolsFixture::new();
    let charged = world.done("c", "charge_payment", json!({"amount": 100})).await;
    let refund = json!({"transaction_id": charged["transaction_id"], "amount": 60});
    let calls: Vec<_> = (0..6).map(|n| world.call(&format!("r{n}"), "refund_payment", refund.clone())).collect();
    let outcomes = futures::future::join_all(calls.iter().map(|call| world.send(call))).await;
    assert_eq!(outcomes.iter().filter(|performed| matches!(performed.outcome, ToolOutcome::Done { .. })).count(), 1);
    let again = done(world.send(&calls[0]).await.outcome);
    assert_eq!(again["refunded_total"], 60, "the same key answers the same");
    assert_eq!(world.records.space("payments")[0]["refunded_minor"], 6_000);
}

#[tokio::test]
async fn what_was_not_charged_cannot_be_given_back() {
    let (code, _) = ToolsFixture::new().refused("k", "refund_payment", json!({"transaction_id": "tx_0"})).await;
    assert_eq!(code, "PAYMENT_NOT_FOUND");
}

#[tokio::test]
async fn an_amount_is_checked_before_anything_is_charged() {
    let world = ToolsFixture::new();
    for amount in [json!(0), json!(-5), json!("5"), json!(0.001)] {
        assert_eq!(world.refused("k", "charge_payment", json!({"amount": amount})).await.0, "INVALID_PARAMETERS");
    }
}
