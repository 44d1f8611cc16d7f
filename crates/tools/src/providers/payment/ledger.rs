//! The internal ledger: charges by transaction id, refunds, and what methods with a balance have spent.

use std::sync::Arc;

use baton_core::id::TenantId;
use baton_ports::clock::Clock;
use baton_ports::records::{Op, Record, Records};
use serde_json::{Value, json};

use super::Config;
use crate::by_tenant::ByTenant;
use crate::failure::Failure;
use crate::providers::payment::amount::Minor;

pub(super) const CHARGES: &str = "payments";
pub(super) const REFUNDS: &str = "refunds";
const BALANCES: &str = "payment_balances";
/// How often a record may change under our hands before we give up.
pub(super) const TRIES_MAX: usize = 10;

pub(super) struct Ledger {
    settings: ByTenant<Config>,
    pub(super) records: Arc<dyn Records>,
    pub(super) clock: Arc<dyn Clock>,
}

/// What a method has spent so far, and the version that says so.
pub(super) struct Spent {
    key: String,
    record: Option<Record>,
}

impl Ledger {
    pub(super) fn new(settings: ByTenant<Config>, records: Arc<dyn Records>, clock: Arc<dyn Clock>) -> Self {
        Self { settings, records, clock }
    }

    pub(super) fn config(&self, tenant: &TenantId) -> &Config {
        self.settings.of(tenant)
    }

    pub(super) async fn read(&self, tenant: &TenantId, space: &str, key: &str) -> Result<Option<Record>, Failure> {
        self.records.get(tenant, space, key).await.map_err(|error| Failure::unreadable(&error))
    }

    pub(super) async fn spent(&self, tenant: &TenantId, method: &str, currency: &str) -> Result<Spent, Failure> {
        let key = format!("{method}/{currency}");
        let record = self.read(tenant, BALANCES, &key).await?;
        Ok(Spent { key, record })
    }
}

impl Spent {
    pub(super) fn amount(&self) -> Minor {
        let spent = self.record.as_ref().and_then(|record| record.value["spent_minor"].as_i64());
        Minor(spent.unwrap_or(0))
    }

    /// Sets what is spent, if nobody else has meanwhile.
    pub(super) fn set(self, amount: Minor) -> Op {
        let (space, key, value) = (BALANCES.to_owned(), self.key, spent_row(amount));
        match self.record {
            Some(record) => Op::CompareAndSet { space, key, version: record.version, value },
            None => Op::Insert { space, key, value },
        }
    }
}

fn spent_row(amount: Minor) -> Value {
    json!({"spent_minor": amount.0})
}
