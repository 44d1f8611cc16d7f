//! `charge_payment` and `refund_payment`: by Stripe if configured, otherwise in an internal ledger.

mod amount;
mod charge;
mod config;
mod ledger;
mod refund;
mod stripe;

use std::sync::Arc;

use baton_core::tool::{EffectClass, ToolCompensation, ToolContract};
use baton_ports::clock::Clock;
use baton_ports::records::RecordStore;
use serde_json::json;

use crate::account_binding::{AccountBoundTool, ProviderAccount};
use crate::by_tenant::ByTenant;
use crate::catalogue::{ActionSpec, ProviderOption, ToolEntry, ToolPerformer, ToolRisk};
use crate::config::{SecretString, ToolsConfig};
use crate::error::ToolSetupError;
use crate::outbound::OutboundClient;
use crate::tool::ToolHandler;
use crate::tool_set::TIMEOUT;

use self::ledger::PaymentLedger;
use self::stripe::StripeClient;
pub use config::{PaymentConfig, PaymentMethod, PaymentProvider, StripeConfig, StripeMethod};

/// The prefix of the ledger's own transaction ids.
const TRANSACTION: &str = "tx";
const OFFERED: &[ProviderOption] =
    &[ProviderOption::free(INTERNAL, &[]), ProviderOption::free(stripe::NAME, &["payment.stripe.secret_key"])];
const INTERNAL: &str = "internal";

/// Creates a Stripe tool with a tenant's settings.
type StripeToolFactory<'a> = dyn Fn(Arc<StripeClient>, &PaymentConfig) -> Arc<dyn ToolHandler> + 'a;

pub(crate) fn entries(
    config: &ToolsConfig,
    records: &Arc<dyn RecordStore>,
    clock: &Arc<dyn Clock>,
    outbound: &Arc<OutboundClient>,
) -> Result<Vec<ToolEntry>, ToolSetupError> {
    let settings = ByTenant::read(config, config.payment.clone(), |tenant| tenant.payment.clone());
    let ledger = Arc::new(PaymentLedger::new(settings.clone(), records.clone(), clock.clone()));
    let by = |internal: Arc<dyn ToolHandler>, by_stripe: &StripeToolFactory| {
        let internal = AccountBoundTool::bind_to_account(internal, ProviderAccount::Internal, records, clock);
        settings.try_map(|place, settings| {
            let chosen = settings.stripe().map_err(|reason| ToolSetupError::Setting { place: "payment", reason })?;
            let Some(stripe) = chosen else {
                return Ok(ToolPerformer::new(INTERNAL, EffectClass::Keyed, internal.clone()));
            };
            let setting = || format!("{place}.payment.stripe.secret_key");
            Ok::<_, ToolSetupError>(
                match SecretString::required(
                    stripe.secret_key.as_ref(),
                    setting,
                    &config.secrets,
                    &stripe::base(stripe),
                ) {
                    Ok(key) => {
                        let account = ProviderAccount::of(stripe::NAME, &stripe::base(stripe), &key);
                        let stripe = Arc::new(StripeClient::new(stripe, key, outbound.clone()));
                        let tool =
                            AccountBoundTool::bind_to_account(by_stripe(stripe, settings), account, records, clock);
                        ToolPerformer::new(stripe::NAME, EffectClass::Keyed, tool)
                    }
                    Err(setting) => ToolPerformer::unavailable(stripe::NAME, EffectClass::Keyed, setting),
                },
            )
        })
    };
    let charge = by(Arc::new(charge::LedgerCharge(ledger.clone())), &|stripe, config| {
        Arc::new(stripe::StripeCharge { stripe, config: config.clone(), clock: clock.clone() })
    })?;
    let of_ledger: Arc<dyn ToolHandler> = Arc::new(refund::LedgerRefund(ledger));
    let refund = by(of_ledger.clone(), &|stripe, _| {
        Arc::new(stripe::StripeRefund { stripe, ledger: of_ledger.clone(), clock: clock.clone() })
    })?;
    let entry = |name: &str, facts, performers| {
        let action = ActionSpec::new(facts, "payment", ToolRisk::High);
        ToolEntry::with_performers(name, "payment", performers, action).with_offers(OFFERED)
    };
    Ok(vec![entry("charge_payment", charge_facts(), charge), entry("refund_payment", refund_facts(), refund)])
}

fn charge_facts() -> ToolContract {
    let outputs =
        ["id", "transaction_id", "order_id", "amount", "currency", "method", "status", "charged_at", "provider"];
    ToolContract {
        description: "Charges an amount to a payment method, once".to_owned(),
        compensation: Some(ToolCompensation {
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
        ..ToolContract::new(EffectClass::Keyed, TIMEOUT)
    }
}

fn refund_facts() -> ToolContract {
    let outputs = ["refund_id", "id", "transaction_id", "amount", "refunded_total", "currency", "status", "provider"];
    ToolContract {
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
        ..ToolContract::new(EffectClass::Keyed, TIMEOUT)
    }
}

#[cfg(test)]
mod tests;
