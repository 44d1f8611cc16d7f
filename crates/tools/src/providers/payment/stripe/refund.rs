//! Giving back a charge that Stripe made. One of our own ledger is given back there, whoever charges today.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use baton_core::fault::Fault;
use baton_core::tool::Class;
use baton_ports::clock::Clock;
use serde_json::{Value, json};

use super::{NAME, Stripe, is_old, object, units};
use crate::code;
use crate::failure::Failure;
use crate::kinds::http_request::idempotency_key;
use crate::providers::payment::TRANSACTION;
use crate::providers::payment::amount::Minor;
use crate::request::Request;
use crate::tool::Tool;

/// Refunds of one charge that are looked through, the newest first: as many as Stripe tells at once.
const REFUNDS_READ: &str = "100";

pub(in crate::providers::payment) struct Refund {
    pub(in crate::providers::payment) stripe: Arc<Stripe>,
    /// For charges that were made before Stripe was chosen.
    pub(in crate::providers::payment) ledger: Arc<dyn Tool>,
    pub(in crate::providers::payment) clock: Arc<dyn Clock>,
}

#[async_trait]
impl Tool for Refund {
    async fn attempt(&self, request: &Request) -> Result<Value, Failure> {
        let id = request.text("transaction_id").unwrap_or_default();
        if is_of_ledger(id) {
            return self.ledger.attempt(request).await;
        }
        let target = if id.starts_with("ch_") { "charge" } else { "payment_intent" };
        let key = idempotency_key(&request.call.key).to_str().unwrap_or_default().to_owned();
        if is_old(request, self.clock.now())
            && let Some(refund) = self.earlier(target, id, &key).await?
        {
            return output(&refund, id);
        }
        let mut fields = vec![(target, id.to_owned()), ("expand[]", "charge".to_owned())];
        fields.push(("metadata[baton_key]", key));
        if let Value::Number(amount) = request.argument("amount") {
            let invalid = |reason: String| Failure::refused(code::INVALID_PARAMETERS, reason);
            let currency = self.currency(target, id).await?;
            let amount = Minor::read(amount, &currency).and_then(|amount| units::told(amount, &currency));
            fields.push(("amount", amount.map_err(invalid)?.to_string()));
        }
        let pairs: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let ask = self.stripe.post(&["v1", "refunds"]).keyed(&request.call.key).form(&pairs);
        match ask.send(Class::Keyed).await {
            Ok(answer) => output(&object(&answer)?, id),
            Err(failure) if failure.fault().code == code::REFUND_TOO_LARGE && request.argument("amount").is_null() => {
                self.given_back_already(target, id, request).await
            }
            Err(failure) => Err(failure),
        }
    }

    fn service<'a>(&'a self, request: &'a Request) -> Option<Cow<'a, str>> {
        let is_own = request.text("transaction_id").is_some_and(is_of_ledger);
        (!is_own).then_some(Cow::Borrowed(NAME))
    }
}

impl Refund {
    async fn charge(&self, target: &str, id: &str) -> Result<Value, Failure> {
        let path = if target == "charge" { ["v1", "charges", id] } else { ["v1", "payment_intents", id] };
        let answer = self.stripe.get(&path).query(&[("expand[]", "latest_charge")]).send(Class::Read).await?;
        let found = answer.value();
        Ok(if target == "charge" { found } else { found["latest_charge"].clone() })
    }

    /// The refund that this key made before, with its charge.
    async fn earlier(&self, target: &str, id: &str, key: &str) -> Result<Option<Value>, Failure> {
        let query = [(target, id), ("limit", REFUNDS_READ), ("expand[]", "data.charge")];
        let found = self.stripe.get(&["v1", "refunds"]).query(&query).send(Class::Read).await?.value();
        let Some(refunds) = found["data"].as_array() else {
            return Err(Failure::later(code::SERVICE_UNAVAILABLE, "Stripe's list of refunds came without `data`"));
        };
        let earlier = refunds.iter().find(|refund| refund["metadata"]["baton_key"] == key);
        match earlier {
            None if found["has_more"] == true => {
                let message =
                    format!("`{id}` has more than {REFUNDS_READ} refunds, and this one is not among the newest");
                Err(Failure::Unknown { fault: Fault::new(code::OUTCOME_UNKNOWN, message) })
            }
            earlier => Ok(earlier.cloned()),
        }
    }

    async fn currency(&self, target: &str, id: &str) -> Result<String, Failure> {
        let charge = self.charge(target, id).await?;
        let currency = charge["currency"].as_str().map(str::to_ascii_uppercase);
        currency.ok_or_else(|| Failure::refused(code::PAYMENT_NOT_FOUND, format!("`{id}` was not charged")))
    }

    /// All of it was given back before; there is nothing left to do, and that is said as the ledger says it.
    async fn given_back_already(&self, target: &str, id: &str, request: &Request) -> Result<Value, Failure> {
        let charge = self.charge(target, id).await?;
        let currency = charge["currency"].as_str().unwrap_or_default().to_ascii_uppercase();
        let total = units::meant(charge["amount_refunded"].as_i64().unwrap_or(0), &currency);
        let refund = request.id("rf");
        Ok(json!({
            "refund_id": refund, "id": refund, "transaction_id": id, "amount": 0,
            "refunded_total": total.to_json(&currency), "currency": currency, "status": "refunded", "provider": NAME,
        }))
    }
}

/// Ids of the ledger: `tx_…`. Stripe has none that begin so.
fn is_of_ledger(id: &str) -> bool {
    id.strip_prefix(TRANSACTION).is_some_and(|rest| rest.starts_with('_'))
}

fn output(refund: &Value, transaction: &str) -> Result<Value, Failure> {
    let text = |name: &str| refund[name].as_str().unwrap_or_default();
    if matches!(text("status"), "failed" | "canceled") {
        let reason = refund["failure_reason"].as_str().unwrap_or("it says no reason");
        return Err(Failure::refused(code::SERVICE_REJECTED, format!("the refund {} failed: {reason}", text("id"))));
    }
    let currency = text("currency").to_ascii_uppercase();
    let money = |units: Option<i64>| units::meant(units.unwrap_or(0), &currency).to_json(&currency);
    let charge = &refund["charge"];
    let whole = match (charge["amount"].as_i64(), charge["amount_refunded"].as_i64()) {
        (Some(charged), Some(refunded)) => refunded >= charged,
        _ => {
            let message = format!("the refund {} came without its charge", text("id"));
            return Err(Failure::Unknown { fault: Fault::new(code::OUTCOME_UNKNOWN, message) });
        }
    };
    Ok(json!({
        "refund_id": text("id"),
        "id": text("id"),
        "transaction_id": transaction,
        "amount": money(refund["amount"].as_i64()),
        "refunded_total": money(charge["amount_refunded"].as_i64()),
        "currency": currency,
        "status": if whole { "refunded" } else { "partly_refunded" },
        "provider": NAME,
    }))
}
