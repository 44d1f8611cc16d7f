//! Payments through Stripe (API 2024-06-20): PaymentIntents that are confirmed on creation, and refunds.
//!
//! Every request with side effects carries the effect's key, so a retry acts only once. Stripe forgets keys after a
//! day. If a call was scheduled longer ago, the intent is first searched by the key in its metadata.

mod charge;
mod refund;
mod units;

use std::sync::Arc;
use std::time::Duration;

use baton_core::fault::Fault;
use baton_core::time::Time;
use baton_core::tool::EffectClass;
use serde_json::Value;

use super::config::StripeConfig;
use crate::code;
use crate::config::SecretString;
use crate::outbound::{OutboundClient, OutboundResponse};
use crate::request::PreparedRequest;
use crate::tool_error::ToolError;
use crate::vendor::{BaseUrl, VendorApi, VendorAuth, VendorError, VendorErrorMeaning, VendorRequest};

pub(super) use charge::StripeCharge;
pub(super) use refund::StripeRefund;

pub(super) const NAME: &str = "stripe";
const BASE: BaseUrl = BaseUrl::documented("https://api.stripe.com");
/// The API version of the responses that are read here.
const VERSION: &str = "2024-06-20";

/// Stripe keeps a key for at least a day; after this time, earlier acts are searched instead.
const KEY_LIFETIME: Duration = Duration::from_secs(20 * 3_600);

/// Returns whether Stripe may have forgotten the key of this call by now.
fn is_key_expired(request: &PreparedRequest, now: Time) -> bool {
    now.since(request.call.at) > KEY_LIFETIME
}

/// The address of the API of an account.
pub(super) fn base(config: &StripeConfig) -> BaseUrl {
    config.base_url.clone().unwrap_or(BASE)
}

/// One account.
pub(super) struct StripeClient {
    vendor: VendorApi,
    key: SecretString,
    pub(super) config: StripeConfig,
}

impl StripeClient {
    pub(super) fn new(config: &StripeConfig, key: SecretString, outbound: Arc<OutboundClient>) -> Self {
        Self { vendor: VendorApi::new(NAME, base(config), outbound, complaint), key, config: config.clone() }
    }

    fn get(&self, path: &[&str]) -> VendorRequest<'_> {
        self.identified(self.vendor.get(path))
    }

    fn post(&self, path: &[&str]) -> VendorRequest<'_> {
        self.identified(self.vendor.post(path))
    }

    fn identified<'v>(&self, ask: VendorRequest<'v>) -> VendorRequest<'v> {
        let version = reqwest::header::HeaderName::from_static("stripe-version");
        ask.auth(VendorAuth::Bearer(&self.key)).header(version, VERSION)
    }
}

/// Parses the JSON response to an act. An unreadable one does not mean that nothing was done.
fn object(answer: &OutboundResponse) -> Result<Value, ToolError> {
    match answer.value() {
        object @ Value::Object(_) if object["id"].is_string() => Ok(object),
        _ => {
            let message = format!("{} answered {} and no object with an `id`", answer.from, answer.status);
            Err(ToolError::indeterminate(EffectClass::Keyed, Fault::new(code::OUTCOME_UNKNOWN, message)))
        }
    }
}

/// Reads an error `{"error": {"type", "code", "decline_code", "message", "param"}}`:
/// <https://docs.stripe.com/api/errors>.
fn complaint(answer: &OutboundResponse) -> Option<VendorError> {
    let complaint = VendorError::from_response(answer, &["/error/message"])?;
    let body = answer.value();
    let text = |name: &str| body["error"][name].as_str().unwrap_or_default();
    let meaning = match (text("type"), text("code"), text("param")) {
        // Another request under this key is still in progress.
        (_, "idempotency_key_in_use", _) => VendorErrorMeaning::Unclear,
        _ if answer.status == 409 => VendorErrorMeaning::Unclear,
        ("card_error", _, _) => VendorErrorMeaning::Refused(code::PAYMENT_DECLINED),
        ("idempotency_error", _, _) => VendorErrorMeaning::Refused(code::KEY_REUSED),
        (_, "resource_missing", "intent" | "payment_intent" | "charge") => {
            VendorErrorMeaning::Refused(code::PAYMENT_NOT_FOUND)
        }
        (_, "charge_already_refunded", _) => VendorErrorMeaning::Refused(code::REFUND_TOO_LARGE),
        (_, _, "amount") if answer.from.ends_with("/refunds") => VendorErrorMeaning::Refused(code::REFUND_TOO_LARGE),
        ("invalid_request_error", _, _) if answer.status == 400 => {
            VendorErrorMeaning::Refused(code::INVALID_PARAMETERS)
        }
        _ => VendorErrorMeaning::AsStatus,
    };
    let codes: Vec<&str> = [text("code"), text("decline_code")].into_iter().filter(|code| !code.is_empty()).collect();
    let codes = if codes.is_empty() { String::new() } else { format!(" ({})", codes.join(", ")) };
    Some(VendorError { message: format!("{}{codes}", complaint.message), meaning })
}

#[cfg(test)]
mod tests;
