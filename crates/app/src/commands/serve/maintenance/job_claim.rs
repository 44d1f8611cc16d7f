//! Whose turn a job is that one process of many does once in a while.

use std::time::Duration;

use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::records::{RecordError, RecordOp, RecordStore};
use serde_json::json;

const SPACE: &str = "upkeep";

/// Whether the caller is the one who does this job in the period that holds `now`: nobody else is told so, and nobody is
/// told so twice. One who then fails, or dies, leaves it to the next period.
pub async fn claim_period(
    records: &dyn RecordStore,
    tenant: &TenantId,
    job: &str,
    every: Duration,
    now: Time,
) -> Result<bool, RecordError> {
    let every = i64::try_from(every.as_millis()).unwrap_or(i64::MAX).max(1);
    let period = now.as_ms().div_euclid(every);
    let (space, key, value) = (SPACE.to_owned(), job.to_owned(), json!({ "period": period, "every_ms": every }));
    let op = match records.get(tenant, SPACE, job).await? {
        None => RecordOp::Insert { space, key, value },
        Some(row) => {
            let told = |name: &str| row.value.get(name).and_then(serde_json::Value::as_i64);
            if told("every_ms") == Some(every) && told("period").is_some_and(|done| done >= period) {
                return Ok(false);
            }
            RecordOp::CompareAndSet { space, key, version: row.version, value }
        }
    };
    match records.commit(tenant, vec![op], now).await {
        Ok(()) => Ok(true),
        // Somebody else was first.
        Err(RecordError::Conflict { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
