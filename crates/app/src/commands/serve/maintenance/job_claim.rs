//! Claims for periodic jobs that one of several processes does.

use std::time::Duration;

use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::records::{RecordError, RecordOp, RecordStore};
use serde_json::json;

const SPACE: &str = "upkeep";

/// Returns whether the caller does this job in the period that contains `now`. Only one call per period returns true.
/// If that caller fails or dies, the job waits for the next period.
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
        // Another process was first.
        Err(RecordError::Conflict { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
