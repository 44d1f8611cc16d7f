//! Charges: the key's row, the charge and the method's balance in one batch.

use std::sync::Arc;

use async_trait::async_trait;
use baton_core::fault::Fault;
use baton_ports::records::RecordOp;
use serde_json::{Value, json};

use super::amount::MinorUnits;
use super::ledger::{CHARGES, PaymentLedger, TRIES_MAX};
use crate::code;
use crate::idempotency::{ActError, IdempotentAct};
use crate::request::PreparedRequest;
use crate::tool::ToolHandler;
use crate::tool_error::ToolError;

pub(super) struct LedgerCharge(pub(super) Arc<PaymentLedger>);

#[async_trait]
impl ToolHandler for LedgerCharge {
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let act = IdempotentAct::new(&*self.0.records, request);
        if let Some(output) = act.recorded().await? {
            return Ok(output);
        }
        let asked = LedgerChargeRequest::read(&self.0, request)?;
        for _ in 0..TRIES_MAX {
            let ops = asked.ops(&self.0, request).await?;
            match act.commit(ops, asked.output(request), self.0.clock.now()).await {
                Ok(output) => return Ok(output),
                Err(ActError::Conflict { .. }) => {}
                Err(ActError::Failed(failure)) => return Err(failure),
            }
        }
        let message = format!("the balance of `{}` keeps changing", asked.method);
        Err(ToolError::transient(code::STORAGE_UNAVAILABLE, message))
    }
}

/// A charge that the method's rules do not decline outright.
struct LedgerChargeRequest<'a> {
    amount: MinorUnits,
    currency: String,
    method: &'a str,
    balance: Option<MinorUnits>,
    id: String,
    at: String,
}

impl<'a> LedgerChargeRequest<'a> {
    fn read(ledger: &'a PaymentLedger, request: &'a PreparedRequest) -> Result<Self, ToolError> {
        let config = ledger.config(&request.call.tenant);
        let currency = request.text("currency").unwrap_or(&config.currency).to_ascii_uppercase();
        let invalid = |reason: String| ToolError::permanent(code::INVALID_PARAMETERS, reason);
        let Value::Number(amount) = request.argument("amount") else {
            return Err(invalid("`amount` is not a number".to_owned()));
        };
        let method = request.text("method").unwrap_or(&config.method);
        if let Some(reason) = config.decline(method) {
            return Err(declined(method, reason));
        }
        let balance = config.balance(method);
        Ok(Self {
            amount: MinorUnits::read(amount, &currency).map_err(invalid)?,
            balance: balance.map(|balance| MinorUnits::read(balance, &currency)).transpose().map_err(invalid)?,
            currency,
            method,
            id: request.id(super::TRANSACTION),
            at: ledger.clock.now().to_string(),
        })
    }

    async fn ops(&self, ledger: &PaymentLedger, request: &PreparedRequest) -> Result<Vec<RecordOp>, ToolError> {
        let mut ops =
            vec![RecordOp::Insert { space: CHARGES.to_owned(), key: self.id.clone(), value: self.row(request) }];
        if let Some(balance) = self.balance {
            let spent = ledger.balance(&request.call.tenant, self.method, &self.currency).await?;
            let total = MinorUnits(spent.amount().0.saturating_add(self.amount.0));
            if total > balance {
                return Err(declined(self.method, "Insufficient funds"));
            }
            ops.push(spent.set(total));
        }
        Ok(ops)
    }

    fn row(&self, request: &PreparedRequest) -> Value {
        json!({
            "transaction_id": self.id,
            "amount_minor": self.amount.0,
            "refunded_minor": 0,
            "currency": self.currency,
            "method": self.method,
            "has_balance": self.balance.is_some(),
            "charged_at": self.at,
            "run": request.call.run,
            "charge": request.call.arguments,
        })
    }

    fn output(&self, request: &PreparedRequest) -> Value {
        json!({
            "id": self.id,
            "transaction_id": self.id,
            "order_id": request.text("order_id").map_or_else(|| request.id("or"), str::to_owned),
            "amount": self.amount.to_json(&self.currency),
            "currency": self.currency,
            "method": self.method,
            "status": "charged",
            "charged_at": self.at,
            "provider": "internal",
        })
    }
}

/// Nothing was charged, and a retry changes nothing.
fn declined(method: &str, reason: &str) -> ToolError {
    let fault = Fault::new(code::PAYMENT_DECLINED, format!("`{method}` was declined: {reason}"));
    ToolError::NotDone { fault, retryable: false, retry_after: None }
}
