//! Charging: the key's row, the charge and the method's balance in one batch.

use std::sync::Arc;

use async_trait::async_trait;
use baton_core::fault::Fault;
use baton_ports::records::Op;
use serde_json::{Value, json};

use super::amount::Minor;
use super::ledger::{CHARGES, Ledger, TRIES_MAX};
use crate::code;
use crate::failure::Failure;
use crate::keyed::{Act, Rejected};
use crate::request::Request;
use crate::tool::Tool;

pub(super) struct Charge(pub(super) Arc<Ledger>);

#[async_trait]
impl Tool for Charge {
    async fn attempt(&self, request: &Request) -> Result<Value, Failure> {
        let act = Act::new(&*self.0.records, request);
        if let Some(output) = act.recorded().await? {
            return Ok(output);
        }
        let asked = Asked::read(&self.0, request)?;
        for _ in 0..TRIES_MAX {
            let ops = asked.ops(&self.0, request).await?;
            match act.commit(ops, asked.output(request), self.0.clock.now()).await {
                Ok(output) => return Ok(output),
                Err(Rejected::Conflict { .. }) => {}
                Err(Rejected::Failed(failure)) => return Err(failure),
            }
        }
        let message = format!("the balance of `{}` keeps changing", asked.method);
        Err(Failure::later(code::STORAGE_UNAVAILABLE, message))
    }
}

/// A charge that the method's rules do not decline outright.
struct Asked<'a> {
    amount: Minor,
    currency: String,
    method: &'a str,
    balance: Option<Minor>,
    id: String,
    at: String,
}

impl<'a> Asked<'a> {
    fn read(ledger: &'a Ledger, request: &'a Request) -> Result<Self, Failure> {
        let config = ledger.config(&request.call.tenant);
        let currency = request.text("currency").unwrap_or(&config.currency).to_ascii_uppercase();
        let invalid = |reason: String| Failure::refused(code::INVALID_PARAMETERS, reason);
        let Value::Number(amount) = request.argument("amount") else {
            return Err(invalid("`amount` is not a number".to_owned()));
        };
        let method = request.text("method").unwrap_or(&config.method);
        if let Some(reason) = config.decline(method) {
            return Err(declined(method, reason));
        }
        let balance = config.balance(method);
        Ok(Self {
            amount: Minor::read(amount, &currency).map_err(invalid)?,
            balance: balance.map(|balance| Minor::read(balance, &currency)).transpose().map_err(invalid)?,
            currency,
            method,
            id: request.id(super::TRANSACTION),
            at: ledger.clock.now().to_string(),
        })
    }

    async fn ops(&self, ledger: &Ledger, request: &Request) -> Result<Vec<Op>, Failure> {
        let mut ops = vec![Op::Insert { space: CHARGES.to_owned(), key: self.id.clone(), value: self.row(request) }];
        if let Some(balance) = self.balance {
            let spent = ledger.spent(&request.call.tenant, self.method, &self.currency).await?;
            let total = Minor(spent.amount().0.saturating_add(self.amount.0));
            if total > balance {
                return Err(declined(self.method, "Insufficient funds"));
            }
            ops.push(spent.set(total));
        }
        Ok(ops)
    }

    fn row(&self, request: &Request) -> Value {
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

    fn output(&self, request: &Request) -> Value {
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

/// Nothing was charged, and asking again changes nothing.
fn declined(method: &str, reason: &str) -> Failure {
    let fault = Fault::new(code::PAYMENT_DECLINED, format!("`{method}` was declined: {reason}"));
    Failure::NotDone { fault, retryable: false, retry_after: None }
}
