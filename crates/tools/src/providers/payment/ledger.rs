//! The internal ledger: charges by transaction id, refunds, and the amounts spent by methods with a balance.

use std::sync::Arc;

use baton_core::id::TenantId;
use baton_ports::clock::Clock;
use baton_ports::records::{RecordOp, RecordStore, StoredRecord};
use serde_json::{Value, json};

use super::PaymentConfig;
use crate::by_tenant::ByTenant;
use crate::providers::payment::amount::MinorUnits;
use crate::tool_error::ToolError;

pub(super) const CHARGES: &str = "payments";
pub(super) const REFUNDS: &str = "refunds";
const BALANCES: &str = "payment_balances";
/// Maximum number of attempts when a concurrent writer changes a record.
pub(super) const TRIES_MAX: usize = 10;

pub(super) struct PaymentLedger {
    settings: ByTenant<PaymentConfig>,
    pub(super) records: Arc<dyn RecordStore>,
    pub(super) clock: Arc<dyn Clock>,
}

/// The amount a method has spent so far, and the version of its record.
pub(super) struct MethodBalance {
    key: String,
    record: Option<StoredRecord>,
}

impl PaymentLedger {
    pub(super) fn new(settings: ByTenant<PaymentConfig>, records: Arc<dyn RecordStore>, clock: Arc<dyn Clock>) -> Self {
        Self { settings, records, clock }
    }

    pub(super) fn config(&self, tenant: &TenantId) -> &PaymentConfig {
        self.settings.of(tenant)
    }

    pub(super) async fn read(
        &self,
        tenant: &TenantId,
        space: &str,
        key: &str,
    ) -> Result<Option<StoredRecord>, ToolError> {
        self.records.get(tenant, space, key).await.map_err(|error| ToolError::from_read(&error))
    }

    pub(super) async fn balance(
        &self,
        tenant: &TenantId,
        method: &str,
        currency: &str,
    ) -> Result<MethodBalance, ToolError> {
        let key = format!("{method}/{currency}");
        let record = self.read(tenant, BALANCES, &key).await?;
        Ok(MethodBalance { key, record })
    }
}

impl MethodBalance {
    pub(super) fn amount(&self) -> MinorUnits {
        let spent = self.record.as_ref().and_then(|record| record.value["spent_minor"].as_i64());
        MinorUnits(spent.unwrap_or(0))
    }

    /// Sets the spent amount, if no concurrent writer has changed it.
    pub(super) fn set(self, amount: MinorUnits) -> RecordOp {
        let (space, key, value) = (BALANCES.to_owned(), self.key, spent_row(amount));
        match self.record {
            Some(record) => RecordOp::CompareAndSet { space, key, version: record.version, value },
            None => RecordOp::Insert { space, key, value },
        }
    }
}

fn spent_row(amount: MinorUnits) -> Value {
    json!({"spent_minor": amount.0})
}
