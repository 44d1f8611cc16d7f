//! The right to book a time in an external calendar, for the duration of one attempt.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use baton_core::id::TenantId;
use baton_ports::records::{RecordError, RecordOp};
use serde_json::{Value, json};

use super::remote_calendar::EntryDraft;
use crate::providers::calendar::calendars::CalendarServices;
use crate::providers::calendar::range::TimeRange;
use crate::request::PreparedRequest;
use crate::tool_error::ToolError;

/// The record space of leases by booking, and of the ranges they hold, in milliseconds since the epoch.
const SPACE: &str = "calendar_lease";
/// After this time the holder is assumed dead: an attempt takes seconds.
const LEASE_TTL: Duration = Duration::from_secs(120);
/// How long other calls wait for an attempt that was given up, because its request may still arrive. Its own next
/// attempt does not wait, because it finds what arrived.
const GRACE: Duration = Duration::from_secs(15);
/// Maximum number of times that an expired lease is cleared before giving up.
const TRIES_MAX: usize = 3;

pub(super) struct SlotLease<'a> {
    services: &'a CalendarServices,
    request: &'a PreparedRequest,
    service: &'a str,
    /// The booking's id.
    id: &'a str,
    is_held: AtomicBool,
}

impl<'a> SlotLease<'a> {
    pub(super) fn new(
        means: &'a CalendarServices,
        service: &'a str,
        request: &'a PreparedRequest,
        id: &'a str,
    ) -> Self {
        Self { services: means, request, service, id, is_held: AtomicBool::new(false) }
    }

    /// Takes the lease and returns whether this booking holds it now. Taking it twice for one booking has no further
    /// effect.
    pub(super) async fn take(&self, draft: &EntryDraft<'_>, resource: &str) -> Result<bool, ToolError> {
        let (tenant, id, held) = (&self.request.call.tenant, self.id, draft.blocked);
        let resource = format!("{}/{resource}", self.service);
        for _ in 0..TRIES_MAX {
            let now = self.services.clock.now();
            let value = json!({"until": (now + LEASE_TTL).as_ms(), "attempt": self.request.call.attempt});
            let ops = vec![
                RecordOp::Put { space: SPACE.to_owned(), key: id.to_owned(), value },
                RecordOp::HoldRange {
                    space: SPACE.to_owned(),
                    resource: resource.clone(),
                    from: held.from,
                    to: held.to,
                    key: id.to_owned(),
                },
            ];
            // Set before the result is known, so that an attempt that is dropped right here leaves nothing behind for
            // long.
            self.is_held.store(true, Ordering::Relaxed);
            match self.services.records.commit(tenant, ops, now).await {
                Ok(()) => return Ok(true),
                Err(RecordError::Conflict { .. }) => {}
                // Nothing was done at the service yet.
                Err(error) => return Err(ToolError::from_read(&error)),
            }
            if !self.clear_expired(&resource, held).await? {
                return Ok(false);
            }
        }
        Ok(false)
    }

    /// Removes expired leases of dead attempts. Returns whether there were no others.
    async fn clear_expired(&self, resource: &str, held: TimeRange) -> Result<bool, ToolError> {
        let Self { services: means, request, .. } = self;
        let (tenant, now) = (&request.call.tenant, means.clock.now());
        let holding = means.records.ranges(tenant, SPACE, resource, held.from, held.to).await;
        for (_, _, key) in holding.map_err(|error| ToolError::from_read(&error))? {
            let row = means.records.get(tenant, SPACE, &key).await.map_err(|error| ToolError::from_read(&error))?;
            let until = row.and_then(|row| row.value.get("until").and_then(Value::as_i64));
            if until.is_some_and(|until| until > now.as_ms()) {
                return Ok(false);
            }
            let freed = means.records.commit(tenant, free(&key), now).await;
            freed.map_err(|error| ToolError::from_read(&error))?;
        }
        Ok(true)
    }

    /// Releases the lease. If this fails, the lease expires.
    pub(super) async fn release(&self) {
        let _ = self.services.records.commit(&self.request.call.tenant, free(self.id), self.services.clock.now()).await;
        self.is_held.store(false, Ordering::Relaxed);
    }
}

/// An attempt that is given up is dropped wherever it waits. Its lease then lasts no longer than the request in
/// flight.
impl Drop for SlotLease<'_> {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.is_held.load(Ordering::Relaxed) {
            let call = &self.request.call;
            runtime.spawn(shorten(self.services.clone(), call.tenant.clone(), self.id.to_owned(), call.attempt));
        }
    }
}

/// Shortens the lease, unless the next attempt holds it by now.
async fn shorten(means: CalendarServices, tenant: TenantId, id: String, attempt: u32) {
    let Ok(Some(row)) = means.records.get(&tenant, SPACE, &id).await else { return };
    if row.value.get("attempt").and_then(Value::as_u64) != Some(u64::from(attempt)) {
        return;
    }
    let now = means.clock.now();
    let value = json!({"until": (now + GRACE).as_ms(), "attempt": attempt});
    let op = RecordOp::CompareAndSet { space: SPACE.to_owned(), key: id, version: row.version, value };
    // If this fails, the lease still expires, only later.
    let _ = means.records.commit(&tenant, vec![op], now).await;
}

fn free(id: &str) -> Vec<RecordOp> {
    vec![
        RecordOp::FreeRange { space: SPACE.to_owned(), key: id.to_owned() },
        RecordOp::Delete { space: SPACE.to_owned(), key: id.to_owned() },
    ]
}
