//! Rules of the internal ledger: which methods decline, and which have a balance.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Number;

/// A method that no rule names accepts every charge.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// ISO 4217, where a charge names none.
    pub currency: String,
    /// Where a charge names none.
    pub method: String,
    pub methods: BTreeMap<String, Method>,
}

/// One payment method of the ledger.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Method {
    /// Declines every charge, for this reason.
    pub decline: Option<String>,
    /// What can be charged in all, in whole units of the charge's currency; refunds give it back.
    pub balance: Option<Number>,
}

/// Declines always, for trying out, unless a rule says otherwise.
const DECLINED: &str = "declined";

impl Config {
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

impl Default for Config {
    fn default() -> Self {
        Self { currency: "USD".to_owned(), method: "card".to_owned(), methods: BTreeMap::new() }
    }
}
