//! `charge_payment` and `refund_payment`: by Stripe where it is configured, else in a ledger of our own.

mod amount;
mod charge;
mod config;
mod ledger;
mod refund;
mod stripe;

use std::sync::Arc;

use baton_core::tool::{Class, Compensation, Facts};
use baton_ports::clock::Clock;
use baton_ports::records::Records;
use serde_json::json;

use crate::bound::{Account, Bound};
use crate::by_tenant::ByTenant;
use crate::catalogue::{Action, Entry, Offered, Performer, Risk};
use crate::config::{Config as Settings, Secret};
use crate::error::Error;
use crate::outbound::Outbound;
use crate::shipped::TIMEOUT;
use crate::tool::Tool;

use self::ledger::Ledger;
use self::stripe::Stripe;
pub use config::{Config, Method, Provider, StripeConfig, StripeMethod};

/// How ids of the ledger's own transactions begin.
const TRANSACTION: &str = "tx";
const OFFERED: &[Offered] =
    &[Offered::free(INTERNAL, &[]), Offered::free(stripe::NAME, &["payment.stripe.secret_key"])];
const INTERNAL: &str = "internal";

/// A tool by Stripe, with a tenant's settings.
type ByStripe<'a> = dyn Fn(Arc<Stripe>, &Config) -> Arc<dyn Tool> + 'a;

pub(crate) fn entries(
    config: &Settings,
    records: &Arc<dyn Records>,
    clock: &Arc<dyn Clock>,
    outbound: &Arc<Outbound>,
) -> Result<Vec<Entry>, Error> {
    let settings = ByTenant::read(config, config.payment.clone(), |tenant| tenant.payment.clone());
    let ledger = Arc::new(Ledger::new(settings.clone(), records.clone(), clock.clone()));
    let by = |internal: Arc<dyn Tool>, by_stripe: &ByStripe| {
        let internal = Bound::to(internal, Account::Own, records, clock);
        settings.map(|place, settings| {
            let chosen = settings.stripe().map_err(|reason| Error::Setting { place: "payment", reason })?;
            let Some(stripe) = chosen else { return Ok(Performer::new(INTERNAL, Class::Keyed, internal.clone())) };
            let setting = || format!("{place}.payment.stripe.secret_key");
            Ok::<_, Error>(
                match Secret::needed(stripe.secret_key.as_ref(), setting, &config.secrets, &stripe::base(stripe)) {
                    Ok(key) => {
                        let account = Account::of(stripe::NAME, &stripe::base(stripe), &key);
                        let stripe = Arc::new(Stripe::new(stripe, key, outbound.clone()));
                        let tool = Bound::to(by_stripe(stripe, settings), account, records, clock);
                        Performer::new(stripe::NAME, Class::Keyed, tool)
                    }
                    Err(setting) => Performer::lacking(stripe::NAME, Class::Keyed, setting),
                },
            )
        })
    };
    let charge = by(Arc::new(charge::Charge(ledger.clone())), &|stripe, config| {
        Arc::new(stripe::Charge { stripe, config: config.clone(), clock: clock.clone() })
    })?;
    let of_ledger: Arc<dyn Tool> = Arc::new(refund::Refund(ledger));
    let refund = by(of_ledger.clone(), &|stripe, _| {
        Arc::new(stripe::Refund { stripe, ledger: of_ledger.clone(), clock: clock.clone() })
    })?;
    let entry = |name: &str, facts, performers| {
        let action = Action::new(facts, "payment", Risk::High);
        Entry::by(name, "payment", performers, action).offered_by(OFFERED)
    };
    Ok(vec![entry("charge_payment", charge_facts(), charge), entry("refund_payment", refund_facts(), refund)])
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
