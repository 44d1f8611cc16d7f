//! Rules of the internal ledger: which methods decline, and which have a balance.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Number;

use crate::config::SecretString;
use crate::vendor::BaseUrl;

/// The settings. A method without a rule accepts every charge.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PaymentConfig {
    pub provider: Option<PaymentProvider>,
    /// ISO 4217, used if a charge names no currency.
    pub currency: String,
    /// Used if a charge names no method.
    pub method: String,
    pub methods: BTreeMap<String, PaymentMethod>,
    pub stripe: Option<StripeConfig>,
}

/// The provider that charges. Default: Stripe, if it is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PaymentProvider {
    Internal,
    Stripe,
}

/// An account at Stripe.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StripeConfig {
    /// `sk_…`, or preferably a restricted key `rk_…`.
    pub secret_key: Option<SecretString>,
    /// The payment methods that a charge's `method` can name; any other value must be Stripe's own id, `pm_…`.
    pub methods: BTreeMap<String, StripeMethod>,
    /// The address of the API, if not Stripe's own.
    pub base_url: Option<BaseUrl>,
}

/// A saved payment method.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StripeMethod {
    /// `pm_…`.
    pub payment_method: String,
    /// `cus_…`: the customer it is attached to, if any.
    #[serde(default)]
    pub customer: Option<String>,
}

/// One payment method of the ledger.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PaymentMethod {
    /// Declines every charge, for this reason.
    pub decline: Option<String>,
    /// The total that can be charged, in whole units of the charge's currency; refunds restore it.
    pub balance: Option<Number>,
}

/// A method for testing that always declines, unless a rule says otherwise.
const DECLINED: &str = "declined";

impl PaymentConfig {
    /// Returns the Stripe account, if it is chosen; the error states why it cannot be used.
    pub(super) fn stripe(&self) -> Result<Option<&StripeConfig>, String> {
        match (self.provider, &self.stripe) {
            (Some(PaymentProvider::Internal), _) | (None, None) => Ok(None),
            (None | Some(PaymentProvider::Stripe), Some(stripe)) => Ok(Some(stripe)),
            (Some(PaymentProvider::Stripe), None) => Err("`provider` is `stripe`, and there is no `stripe`".to_owned()),
        }
    }

    /// Forces the internal ledger, and keeps the rules for its methods.
    pub(crate) fn force_internal(&mut self) {
        (self.provider, self.stripe) = (None, None);
    }

    /// Returns why the method declines every charge, if it does.
    pub(super) fn decline(&self, method: &str) -> Option<&str> {
        match self.methods.get(method) {
            Some(rule) => rule.decline.as_deref(),
            None => (method == DECLINED).then_some("Insufficient funds"),
        }
    }

    pub(super) fn balance(&self, method: &str) -> Option<&Number> {
        self.methods.get(method)?.balance.as_ref()
    }
}

impl Default for PaymentConfig {
    fn default() -> Self {
        Self {
            currency: "USD".to_owned(),
            method: "card".to_owned(),
            methods: BTreeMap::new(),
            provider: None,
            stripe: None,
        }
    }
}
