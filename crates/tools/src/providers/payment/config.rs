//! Rules of the internal ledger: which methods decline, and which have a balance.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Number;

use crate::config::SecretString;
use crate::vendor::BaseUrl;

/// A method that no rule names accepts every charge.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PaymentConfig {
    pub provider: Option<PaymentProvider>,
    /// ISO 4217, where a charge names none.
    pub currency: String,
    /// Where a charge names none.
    pub method: String,
    pub methods: BTreeMap<String, PaymentMethod>,
    pub stripe: Option<StripeConfig>,
}

/// Who charges; Stripe where it is set up, unless told.
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
    /// `sk_…`, or better a restricted key `rk_…`.
    pub secret_key: Option<SecretString>,
    /// What a charge's `method` stands for; one that is not here must be Stripe's own id, `pm_…`.
    pub methods: BTreeMap<String, StripeMethod>,
    /// Where the API is, if not at Stripe itself.
    pub base_url: Option<BaseUrl>,
}

/// A saved payment method.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StripeMethod {
    /// `pm_…`.
    pub payment_method: String,
    /// `cus_…`: whose it is, where it is attached to a customer.
    #[serde(default)]
    pub customer: Option<String>,
}

/// One payment method of the ledger.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PaymentMethod {
    /// Declines every charge, for this reason.
    pub decline: Option<String>,
    /// What can be charged in all, in whole units of the charge's currency; refunds give it back.
    pub balance: Option<Number>,
}

/// Declines always, for trying out, unless a rule says otherwise.
const DECLINED: &str = "declined";

impl PaymentConfig {
    /// The account that charges, if one is chosen; the error is the reason it cannot be.
    pub(super) fn stripe(&self) -> Result<Option<&StripeConfig>, String> {
        match (self.provider, &self.stripe) {
            (Some(PaymentProvider::Internal), _) | (None, None) => Ok(None),
            (None | Some(PaymentProvider::Stripe), Some(stripe)) => Ok(Some(stripe)),
            (Some(PaymentProvider::Stripe), None) => Err("`provider` is `stripe`, and there is no `stripe`".to_owned()),
        }
    }

    /// Charges in the ledger only, with the rules for its methods.
    pub(crate) fn force_internal(&mut self) {
        (self.provider, self.stripe) = (None, None);
    }

    /// Why the method declines every charge, if it does.
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
