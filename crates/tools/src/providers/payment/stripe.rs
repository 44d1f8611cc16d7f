//! Payments by Stripe (API 2024-06-20): PaymentIntents that are confirmed when they are made, and refunds.
//!
//! Every request that acts carries the effect's key, so what is sent again is done once. Stripe forgets keys after a day;
//! a call that was scheduled longer ago is looked for by the key in the intent's metadata before it is made.

mod charge;
mod refund;
mod units;

use std::sync::Arc;
use std::time::Duration;

use baton_core::fault::Fault;
use baton_core::time::Time;
use baton_core::tool::Class;
use serde_json::Value;

use super::config::StripeConfig;
use crate::code;
use crate::config::Secret;
use crate::failure::Failure;
use crate::outbound::{Answer, Outbound};
use crate::request::Request;
use crate::vendor::{Ask, Auth, Base, Complaint, Meaning, Vendor};

pub(super) use charge::Charge;
pub(super) use refund::Refund;

pub(super) const NAME: &str = "stripe";
const BASE: Base = Base::documented("https://api.stripe.com");
/// The shape of answers that is read here.
const VERSION: &str = "2024-06-20";

/// Stripe keeps a key for at least a day; beyond this what it did before is looked for instead.
const KEYS_LAST: Duration = Duration::from_secs(20 * 3_600);

/// Whether Stripe may have forgotten the key of this call by now.
fn is_old(request: &Request, now: Time) -> bool {
    now.since(request.call.at) > KEYS_LAST
}

/// Where the API of an account is.
pub(super) fn base(config: &StripeConfig) -> Base {
    config.base_url.clone().unwrap_or(BASE)
}

/// One account.
pub(super) struct Stripe {
    vendor: Vendor,
    key: Secret,
    pub(super) config: StripeConfig,
}

impl Stripe {
    pub(super) fn new(config: &StripeConfig, key: Secret, outbound: Arc<Outbound>) -> Self {
        Self { vendor: Vendor::new(NAME, base(config), outbound, complaint), key, config: config.clone() }
    }

    fn get(&self, path: &[&str]) -> Ask<'_> {
        self.identified(self.vendor.get(path))
    }

    fn post(&self, path: &[&str]) -> Ask<'_> {
        self.identified(self.vendor.post(path))
    }

    fn identified<'v>(&self, ask: Ask<'v>) -> Ask<'v> {
        let version = reqwest::header::HeaderName::from_static("stripe-version");
        ask.auth(Auth::Bearer(&self.key)).header(version, VERSION)
    }
}

/// A JSON answer to what acted. One that cannot be read does not say that nothing was done.
fn object(answer: &Answer) -> Result<Value, Failure> {
    match answer.value() {
        object @ Value::Object(_) if object["id"].is_string() => Ok(object),
        _ => {
            let message = format!("{} answered {} and no object with an `id`", answer.from, answer.status);
            Err(Failure::unclear(Class::Keyed, Fault::new(code::OUTCOME_UNKNOWN, message)))
        }
    }
}

/// `{"error": {"type", "code", "decline_code", "message", "param"}}`: <https://docs.stripe.com/api/errors>.
fn complaint(answer: &Answer) -> Option<Complaint> {
    let complaint = Complaint::worded(answer, &["/error/message"])?;
    let body = answer.value();
    let text = |name: &str| body["error"][name].as_str().unwrap_or_default();
    let meaning = match (text("type"), text("code"), text("param")) {
        // Another request under this key is still at it.
        (_, "idempotency_key_in_use", _) => Meaning::Unclear,
        _ if answer.status == 409 => Meaning::Unclear,
        ("card_error", _, _) => Meaning::Refused(code::PAYMENT_DECLINED),
        ("idempotency_error", _, _) => Meaning::Refused(code::KEY_REUSED),
        (_, "resource_missing", "intent" | "payment_intent" | "charge") => Meaning::Refused(code::PAYMENT_NOT_FOUND),
        (_, "charge_already_refunded", _) => Meaning::Refused(code::REFUND_TOO_LARGE),
        (_, _, "amount") if answer.from.ends_with("/refunds") => Meaning::Refused(code::REFUND_TOO_LARGE),
        ("invalid_request_error", _, _) if answer.status == 400 => Meaning::Refused(code::INVALID_PARAMETERS),
        _ => Meaning::AsStatus,
    };
    let codes: Vec<&str> = [text("code"), text("decline_code")].into_iter().filter(|code| !code.is_empty()).collect();
    let codes = if codes.is_empty() { String::new() } else { format!(" ({})", codes.join(", ")) };
    Some(Complaint { message: format!("{}{codes}", complaint.message), meaning })
}

#[cfg(test)]
mod tests;
