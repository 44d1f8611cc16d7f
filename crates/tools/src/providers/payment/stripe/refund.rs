//! Refunds a charge made by Stripe. A charge of the internal ledger is refunded there, whatever the current provider.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use baton_core::fault::Fault;
use baton_core::tool::EffectClass;
use baton_ports::clock::Clock;
use serde_json::{Value, json};

use super::{NAME, StripeClient, is_key_expired, object, units};
use crate::code;
use crate::kinds::http_request::idempotency_key;
use crate::providers::payment::TRANSACTION;
use crate::providers::payment::amount::MinorUnits;
use crate::request::PreparedRequest;
use crate::tool::ToolHandler;
use crate::tool_error::ToolError;

/// Maximum number of refunds of one charge that are searched, newest first: Stripe's largest page.
const REFUNDS_READ: &str = "100";

pub(in crate::providers::payment) struct StripeRefund {
    pub(in crate::providers::payment) stripe: Arc<StripeClient>,
    /// For charges made before Stripe was configured.
    pub(in crate::providers::payment) ledger: Arc<dyn ToolHandler>,
    pub(in crate::providers::payment) clock: Arc<dyn Clock>,
}

#[async_trait]
impl ToolHandler for StripeRefund {
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let id = request.text("transaction_id").unwrap_or_default();
        if is_of_ledger(id) {
            return self.ledger.attempt(request).await;
        }
        let target = if id.starts_with("ch_") { "charge" } else { "payment_intent" };
        let key = idempotency_key(&request.call.key).to_str().unwrap_or_default().to_owned();
        if is_key_expired(request, self.clock.now())
            && let Some(refund) = self.find_earlier(target, id, &key).await?
        {
            return output(&refund, id);
        }
        let mut fields = vec![(target, id.to_owned()), ("expand[]", "charge".to_owned())];
        fields.push(("metadata[baton_key]", key));
        if let Value::Number(amount) = request.argument("amount") {
            let invalid = |reason: String| ToolError::permanent(code::INVALID_PARAMETERS, reason);
            let currency = self.currency(target, id).await?;
            let amount =
                MinorUnits::read(amount, &currency).and_then(|amount| units::to_stripe_units(amount, &currency));
            fields.push(("amount", amount.map_err(invalid)?.to_string()));
        }
        let pairs: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let ask = self.stripe.post(&["v1", "refunds"]).idempotency_key(&request.call.key).form(&pairs);
        match ask.send(EffectClass::Keyed).await {
            Ok(answer) => output(&object(&answer)?, id),
            Err(failure) if failure.fault().code == code::REFUND_TOO_LARGE && request.argument("amount").is_null() => {
                self.already_refunded(target, id, request).await
            }
            Err(failure) => Err(failure),
        }
    }

    fn service<'a>(&'a self, request: &'a PreparedRequest) -> Option<Cow<'a, str>> {
        let is_own = request.text("transaction_id").is_some_and(is_of_ledger);
        (!is_own).then_some(Cow::Borrowed(NAME))
    }
}

impl StripeRefund {
    async fn charge(&self, target: &str, id: &str) -> Result<Value, ToolError> {
        let path = if target == "charge" { ["v1", "charges", id] } else { ["v1", "payment_intents", id] };
        let answer = self.stripe.get(&path).query(&[("expand[]", "latest_charge")]).send(EffectClass::Read).await?;
        let found = answer.value();
        Ok(if target == "charge" { found } else { found["latest_charge"].clone() })
    }

    /// Finds the refund that this key created before, with its charge.
    async fn find_earlier(&self, target: &str, id: &str, key: &str) -> Result<Option<Value>, ToolError> {
        let query = [(target, id), ("limit", REFUNDS_READ), ("expand[]", "data.charge")];
        let found = self.stripe.get(&["v1", "refunds"]).query(&query).send(EffectClass::Read).await?.value();
        let Some(refunds) = found["data"].as_array() else {
            return Err(ToolError::transient(
                code::SERVICE_UNAVAILABLE,
                "Stripe's list of refunds came without `data`",
            ));
        };
        let earlier = refunds.iter().find(|refund| refund["metadata"]["baton_key"] == key);
        match earlier {
            None if found["has_more"] == true => {
                let message =
                    format!("`{id}` has more than {REFUNDS_READ} refunds, and this one is not among the newest");
                Err(ToolError::Unknown { fault: Fault::new(code::OUTCOME_UNKNOWN, message) })
            }
            earlier => Ok(earlier.cloned()),
        }
    }

    async fn currency(&self, target: &str, id: &str) -> Result<String, ToolError> {
        let charge = self.charge(target, id).await?;
        let currency = charge["currency"].as_str().map(str::to_ascii_uppercase);
        currency.ok_or_else(|| ToolError::permanent(code::PAYMENT_NOT_FOUND, format!("`{id}` was not charged")))
    }

    /// The charge was already refunded in full; returns the same result as the ledger does.
    async fn already_refunded(&self, target: &str, id: &str, request: &PreparedRequest) -> Result<Value, ToolError> {
        let charge = self.charge(target, id).await?;
        let currency = charge["currency"].as_str().unwrap_or_default().to_ascii_uppercase();
        let total = units::from_stripe_units(charge["amount_refunded"].as_i64().unwrap_or(0), &currency);
        let refund = request.id("rf");
        Ok(json!({
            "refund_id": refund, "id": refund, "transaction_id": id, "amount": 0,
            "refunded_total": total.to_json(&currency), "currency": currency, "status": "refunded", "provider": NAME,
        }))
    }
}

/// Returns whether it is an id of the ledger, `tx_…`. No Stripe id has that prefix.
fn is_of_ledger(id: &str) -> bool {
    id.strip_prefix(TRANSACTION).is_some_and(|rest| rest.starts_with('_'))
}

fn output(refund: &Value, transaction: &str) -> Result<Value, ToolError> {
    let text = |name: &str| refund[name].as_str().unwrap_or_default();
    if matches!(text("status"), "failed" | "canceled") {
        let reason = refund["failure_reason"].as_str().unwrap_or("it says no reason");
        return Err(ToolError::permanent(
            code::SERVICE_REJECTED,
            format!("the refund {} failed: {reason}", text("id")),
        ));
    }
    let currency = text("currency").to_ascii_uppercase();
    let money = |units: Option<i64>| units::from_stripe_units(units.unwrap_or(0), &currency).to_json(&currency);
    let charge = &refund["charge"];
    let whole = match (charge["amount"].as_i64(), charge["amount_refunded"].as_i64()) {
        (Some(charged), Some(refunded)) => refunded >= charged,
        _ => {
            let message = format!("the refund {} came without its charge", text("id"));
            return Err(ToolError::Unknown { fault: Fault::new(code::OUTCOME_UNKNOWN, message) });
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
