//! Refunds: the key's row, the charge's remaining amount, the refund and the method's balance in one batch.

use std::sync::Arc;

use async_trait::async_trait;
use baton_ports::records::{RecordOp, StoredRecord};
use serde_json::{Value, json};

use super::amount::MinorUnits;
use super::ledger::{CHARGES, PaymentLedger, REFUNDS, TRIES_MAX};
use crate::code;
use crate::idempotency::{ActError, IdempotentAct};
use crate::request::PreparedRequest;
use crate::tool::ToolHandler;
use crate::tool_error::ToolError;

pub(super) struct LedgerRefund(pub(super) Arc<PaymentLedger>);

#[async_trait]
impl ToolHandler for LedgerRefund {
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let act = IdempotentAct::new(&*self.0.records, request);
        if let Some(output) = act.recorded().await? {
            return Ok(output);
        }
        let id = request.text("transaction_id").unwrap_or_default();
        for _ in 0..TRIES_MAX {
            let Some(charge) = self.0.read(&request.call.tenant, CHARGES, id).await? else {
                return Err(ToolError::permanent(code::PAYMENT_NOT_FOUND, format!("there is no transaction `{id}`")));
            };
            let refund = LedgerRefundRequest::read(&charge, request)?;
            let output = refund.output(id, request);
            let ops = refund.ops(&self.0, charge, request).await?;
            match act.commit(ops, output, self.0.clock.now()).await {
                Ok(output) => return Ok(output),
                Err(ActError::Conflict { .. }) => {}
                Err(ActError::Failed(failure)) => return Err(failure),
            }
        }
        Err(ToolError::transient(code::STORAGE_UNAVAILABLE, format!("the transaction `{id}` keeps changing")))
    }
}

/// A refund that does not exceed what remains of the charge.
struct LedgerRefundRequest {
    amount: MinorUnits,
    charged: MinorUnits,
    /// The total refunded, including this refund.
    total: MinorUnits,
    currency: String,
}

impl LedgerRefundRequest {
    fn read(charge: &StoredRecord, request: &PreparedRequest) -> Result<Self, ToolError> {
        let minor = |name: &str| charge.value[name].as_i64().unwrap_or(0);
        let (charged, refunded) = (minor("amount_minor"), minor("refunded_minor"));
        let currency = charge.value["currency"].as_str().unwrap_or_default().to_owned();
        let left = charged - refunded;
        let amount = match request.argument("amount") {
            Value::Number(amount) => MinorUnits::read(amount, &currency)
                .map_err(|reason| ToolError::permanent(code::INVALID_PARAMETERS, reason))?,
            _ => MinorUnits(left),
        };
        if amount.0 > left {
            let show = |minor| MinorUnits(minor).to_json(&currency);
            let message = format!("a refund of {} {currency} is more than the {} left", show(amount.0), show(left));
            return Err(ToolError::permanent(code::REFUND_TOO_LARGE, message));
        }
        Ok(Self { amount, charged: MinorUnits(charged), total: MinorUnits(refunded + amount.0), currency })
    }

    async fn ops(
        &self,
        ledger: &PaymentLedger,
        charge: StoredRecord,
        request: &PreparedRequest,
    ) -> Result<Vec<RecordOp>, ToolError> {
        // A charge that is already refunded in full stays unchanged: only the key's row records the request.
        if self.amount == MinorUnits(0) {
            return Ok(Vec::new());
        }
        let mut ops = Vec::with_capacity(3);
        if charge.value["has_balance"] == true {
            let method = charge.value["method"].as_str().unwrap_or_default();
            let spent = ledger.balance(&request.call.tenant, method, &self.currency).await?;
            let left = MinorUnits(spent.amount().0 - self.amount.0);
            ops.push(spent.set(left));
        }
        let refund = json!({
            "transaction_id": charge.key, "amount_minor": self.amount.0, "run": request.call.run,
            "reason": request.argument("reason"), "refunded_at": ledger.clock.now().to_string(),
        });
        ops.push(RecordOp::Insert { space: REFUNDS.to_owned(), key: request.id("rf"), value: refund });
        let mut value = charge.value;
        if let Some(fields) = value.as_object_mut() {
            fields.insert("refunded_minor".to_owned(), self.total.0.into());
        }
        ops.push(RecordOp::CompareAndSet {
            space: CHARGES.to_owned(),
            key: charge.key,
            version: charge.version,
            value,
        });
        Ok(ops)
    }

    fn output(&self, transaction: &str, request: &PreparedRequest) -> Value {
        let id = request.id("rf");
        json!({
            "refund_id": id,
            "id": id,
            "transaction_id": transaction,
            "amount": self.amount.to_json(&self.currency),
            "refunded_total": self.total.to_json(&self.currency),
            "currency": self.currency,
            "status": if self.total == self.charged { "refunded" } else { "partly_refunded" },
            "provider": "internal",
        })
    }
}
