//! `charge_payment` and `refund_payment`.

mod amount;
mod charge;
mod config;
mod ledger;
mod refund;

use std::collections::BTreeMap;
use std::sync::Arc;

use baton_core::id::TenantId;
use baton_core::tool::{Class, Compensation, Facts};
use baton_ports::clock::Clock;
use baton_ports::records::Records;
use serde_json::json;

use crate::catalogue::{Action, Entry, Risk};
use crate::shipped::TIMEOUT;

use self::ledger::Ledger;
pub use config::{Config, Method};

pub(crate) fn entries(
    shared: Config,
    tenants: BTreeMap<TenantId, Config>,
    records: &Arc<dyn Records>,
    clock: &Arc<dyn Clock>,
) -> Vec<Entry> {
    let ledger = Arc::new(Ledger::new(shared, tenants, records.clone(), clock.clone()));
    let entry = |name: &str, facts, tool| {
        Entry::new(name, "payment", "internal", Action::new(facts, "payment", Risk::High), tool)
    };
    vec![
        entry("charge_payment", charge_facts(), Arc::new(charge::Charge(ledger.clone()))),
        entry("refund_payment", refund_facts(), Arc::new(refund::Refund(ledger))),
    ]
}

fn charge_facts() -> Facts {
    let outputs =
        ["id", "transaction_id", "order_id", "amount", "currency", "method", "status", "charged_at", "provider"];
    Facts {
        description: "Charges an amount to a payment method, once".to_owned(),
        compensation: Some(Compensation {
            tool_name: "refund_payment".to_owned(),
            parameters: json!({"transaction_id": "{{ output.transaction_id }}", "reason": "undone"}),
        }),
        output_fields: outputs.map(str::to_owned).into(),
        parameters: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["amount"],
            "properties": {
                "amount": {"type": "number", "exclusiveMinimum": 0, "maximum": amount::MAJOR_MAX},
                "currency": {"type": "string", "pattern": "^[A-Za-z]{3}$", "description": "ISO 4217, such as EUR"},
                "method": {
                    "type": "string", "minLength": 1, "maxLength": 200,
                    "description": "The customer's payment method, by its name",
                },
                "order_id": {"type": ["string", "null"], "maxLength": 200},
                "booking_id": {"type": ["string", "null"], "maxLength": 200},
                "description": {"type": ["string", "null"], "maxLength": 1_000},
                "customer": {"type": ["string", "object", "null"]},
                "user_id": {"type": ["string", "null"], "maxLength": 200},
            },
        }),
        ..Facts::new(Class::Keyed, TIMEOUT)
    }
}

fn refund_facts() -> Facts {
    let outputs = ["refund_id", "id", "transaction_id", "amount", "refunded_total", "currency", "status", "provider"];
    Facts {
        description: "Gives a charge back, whole or in part, never more than was charged".to_owned(),
        irreversible: Some("money that was given back is not taken again; charge anew with consent".to_owned()),
        output_fields: outputs.map(str::to_owned).into(),
        parameters: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["transaction_id"],
            "properties": {
                "transaction_id": {"type": "string", "minLength": 1, "maxLength": 200},
                "amount": {
                    "type": ["number", "null"], "exclusiveMinimum": 0, "maximum": amount::MAJOR_MAX,
                    "description": "Unsaid, all that is left of the charge",
                },
                "reason": {"type": ["string", "null"], "maxLength": 1_000},
                "user_id": {"type": ["string", "null"], "maxLength": 200},
            },
        }),
        ..Facts::new(Class::Keyed, TIMEOUT)
    }
}

#[cfg(test)]
mod tests;
