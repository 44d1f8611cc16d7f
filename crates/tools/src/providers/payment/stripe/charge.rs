//! Charges with a PaymentIntent, off session: the customer has agreed before and is not asked now.

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
use crate::providers::payment::amount::MinorUnits;
use crate::providers::payment::config::PaymentConfig;
use crate::request::PreparedRequest;
use crate::tool::ToolHandler;
use crate::tool_error::ToolError;

/// Maximum length of one metadata value, in characters.
const METADATA_CHARS_MAX: usize = 500;

pub(in crate::providers::payment) struct StripeCharge {
    pub(in crate::providers::payment) stripe: Arc<StripeClient>,
    pub(in crate::providers::payment) config: PaymentConfig,
    pub(in crate::providers::payment) clock: Arc<dyn Clock>,
}

#[async_trait]
impl ToolHandler for StripeCharge {
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let asked = StripeChargeRequest::read(self, request)?;
        if is_key_expired(request, self.clock.now())
            && let Some(intent) = self.find_earlier(&asked.key).await?
        {
            return asked.outcome(&intent, request);
        }
        let fields = asked.fields();
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let ask = self.stripe.post(&["v1", "payment_intents"]).idempotency_key(&request.call.key).form(&fields);
        let intent = object(&ask.send(EffectClass::Keyed).await?)?;
        asked.outcome(&intent, request)
    }

    fn service<'a>(&'a self, _request: &'a PreparedRequest) -> Option<Cow<'a, str>> {
        Some(Cow::Borrowed(NAME))
    }
}

impl StripeCharge {
    /// Finds the intent that this key created before. Stripe's search lags by up to a minute.
    async fn find_earlier(&self, key: &str) -> Result<Option<Value>, ToolError> {
        let quoted = key.replace('\\', "\\\\").replace('\'', "\\'");
        let query = format!("metadata['baton_key']:'{quoted}'");
        let ask = self.stripe.get(&["v1", "payment_intents", "search"]).query(&[("query", &query), ("limit", "1")]);
        let found = ask.send(EffectClass::Read).await?.value();
        match found["data"].as_array() {
            Some(intents) => Ok(intents.first().cloned()),
            None => Err(ToolError::transient(code::SERVICE_UNAVAILABLE, "Stripe's search answered without `data`")),
        }
    }
}

/// A charge in a form that Stripe accepts.
struct StripeChargeRequest<'r> {
    units: i64,
    currency: String,
    method: &'r str,
    payment_method: &'r str,
    customer: Option<&'r str>,
    order: String,
    key: String,
    request: &'r PreparedRequest,
}

impl<'r> StripeChargeRequest<'r> {
    fn read(charge: &'r StripeCharge, request: &'r PreparedRequest) -> Result<Self, ToolError> {
        let invalid = |reason: String| ToolError::permanent(code::INVALID_PARAMETERS, reason);
        let currency = request.text("currency").unwrap_or(&charge.config.currency).to_ascii_uppercase();
        let Value::Number(amount) = request.argument("amount") else {
            return Err(invalid("`amount` is not a number".to_owned()));
        };
        let amount = MinorUnits::read(amount, &currency).map_err(invalid)?;
        let method = request.text("method").unwrap_or(&charge.config.method);
        let (payment_method, mapped) = match charge.stripe.config.methods.get(method) {
            Some(mapped) => (mapped.payment_method.as_str(), mapped.customer.as_deref()),
            None if method.starts_with("pm_") || method.starts_with("card_") => (method, None),
            None => {
                let reason = "is neither a payment method of Stripe's (`pm_…`) nor under `payment.stripe.methods`";
                return Err(invalid(format!("`method`: `{method}` {reason}")));
            }
        };
        let customer = request.text("customer").or_else(|| request.argument("customer")["id"].as_str());
        Ok(Self {
            units: units::to_stripe_units(amount, &currency).map_err(invalid)?,
            currency,
            method,
            payment_method,
            // Only Stripe's own ids; a name or an address goes into the description.
            customer: mapped.or(customer.filter(|customer| customer.starts_with("cus_"))),
            order: request.text("order_id").map_or_else(|| request.id("or"), str::to_owned),
            key: idempotency_key(&request.call.key).to_str().unwrap_or_default().to_owned(),
            request,
        })
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = vec![
            ("amount", self.units.to_string()),
            ("currency", self.currency.to_ascii_lowercase()),
            ("payment_method", self.payment_method.to_owned()),
            ("confirm", "true".to_owned()),
            ("off_session", "true".to_owned()),
            ("automatic_payment_methods[enabled]", "true".to_owned()),
            ("automatic_payment_methods[allow_redirects]", "never".to_owned()),
            ("metadata[baton_key]", self.key.clone()),
            ("metadata[order_id]", clipped(&self.order)),
        ];
        fields.extend(self.customer.map(|customer| ("customer", customer.to_owned())));
        let described = self.request.text("description").filter(|text| !text.is_empty());
        fields.extend(described.map(|description| ("description", description.to_owned())));
        fields.extend(self.request.text("booking_id").map(|booking| ("metadata[booking_id]", clipped(booking))));
        fields
    }

    fn outcome(&self, intent: &Value, request: &PreparedRequest) -> Result<Value, ToolError> {
        let text = |name: &str| intent[name].as_str().unwrap_or_default();
        let status = match text("status") {
            "succeeded" => "charged",
            // Bank debits take days; Stripe has accepted the charge.
            "processing" => "processing",
            "requires_payment_method" | "requires_action" | "requires_confirmation" | "canceled" => {
                let message = format!("`{}` was declined: the intent is {}", self.method, text("status"));
                return Err(ToolError::permanent(code::PAYMENT_DECLINED, message));
            }
            other => {
                let message = format!("the intent {} is `{other}`, which tells neither charged nor not", text("id"));
                return Err(ToolError::Unknown { fault: Fault::new(code::OUTCOME_UNKNOWN, message) });
            }
        };
        let at = intent["created"].as_i64().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
        let amount = intent["amount"].as_i64().unwrap_or(self.units);
        Ok(json!({
            "id": text("id"),
            "transaction_id": text("id"),
            "order_id": self.order,
            "amount": units::from_stripe_units(amount, &self.currency).to_json(&self.currency),
            "currency": self.currency,
            "method": self.method,
            "status": status,
            "charged_at": at.map_or_else(|| request.call.at.to_string(), |at| at.to_string()),
            "provider": NAME,
        }))
    }
}

fn clipped(text: &str) -> String {
    text.chars().take(METADATA_CHARS_MAX).collect()
}
