//! The calendar kept in this installation. A booking holds its range in the same batch as its key's row, so it exists
//! once and overlaps nothing, however many ask at the same instant.

mod book;
mod cancel;
mod slot;
mod wanted;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::clock::Clock;
use baton_ports::records::Records;
use serde_json::{Value, json};

use self::slot::Slot;
use self::wanted::Wanted;
use super::Config;
use crate::code;
use crate::failure::Failure;
use crate::request::Request;
use crate::tool::Tool;

/// Bookings by id, and the ranges they hold, in milliseconds since the epoch.
const SPACE: &str = "calendar";

pub(super) struct Internal {
    shared: Config,
    tenants: BTreeMap<TenantId, Config>,
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
}

impl Internal {
    pub(super) fn new(
        shared: Config,
        tenants: BTreeMap<TenantId, Config>,
        records: Arc<dyn Records>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { shared, tenants, records, clock }
    }

    fn calendar(&self, tenant: &TenantId) -> Result<&Config, Failure> {
        let calendar = self.tenants.get(tenant).unwrap_or(&self.shared);
        if calendar.is_set_up() {
            return Ok(calendar);
        }
        let message = format!("the calendar of `{tenant}` has no opening hours or no resources");
        Err(Failure::refused(code::CALENDAR_NOT_CONFIGURED, message))
    }

    async fn act(&self, request: &Request) -> Result<Value, Failure> {
        let calendar = self.calendar(&request.call.tenant)?;
        match request.text("action") {
            Some("create_booking") => book::book(self, calendar, request).await,
            Some("cancel_booking") => cancel::cancel(self, request).await,
            _ => self.check_availability(calendar, request).await,
        }
    }

    async fn check_availability(&self, calendar: &Config, request: &Request) -> Result<Value, Failure> {
        let wanted = Wanted::read(calendar, request)?;
        let offered = wanted.offered(self.clock.now());
        let mut free = Vec::with_capacity(offered.len());
        let busy = self.busy(&wanted, &offered, &request.call.tenant).await?;
        for slot in &offered {
            if busy.iter().any(|ranges| ranges.iter().all(|range| !wanted.held(slot).overlaps(*range))) {
                free.push(slot);
            }
        }
        let why = if offered.is_empty() { Some(wanted.why_closed(self.clock.now())) } else { None };
        let why = why.or_else(|| free.is_empty().then_some("full"));
        let available = match &wanted.time {
            Some(time) => free.iter().any(|slot| slot.start == *time),
            None => !free.is_empty(),
        };
        Ok(json!({
            "date": wanted.date.to_string(),
            "zone": request.zone(),
            "treatment": request.argument("treatment"),
            "duration_minutes": wanted.duration_minutes(),
            "available": available,
            "slots": free.iter().map(|slot| slot.label()).collect::<Vec<_>>(),
            "available_slots": free.iter().map(|slot| slot.start.as_str()).collect::<Vec<_>>(),
            "reason": why,
            "provider": "internal",
        }))
    }

    /// What is held around the offered times, for each resource that will do.
    async fn busy(&self, wanted: &Wanted<'_>, offered: &[Slot], tenant: &TenantId) -> Result<Vec<Vec<Range>>, Failure> {
        let (Some(first), Some(last)) = (offered.first(), offered.last()) else { return Ok(Vec::new()) };
        let (from, to) = (wanted.held(first).from, wanted.held(last).to);
        let mut busy = Vec::with_capacity(wanted.resources.len());
        for resource in &wanted.resources {
            let ranges = self.records.ranges(tenant, SPACE, resource, from, to).await;
            let ranges = ranges.map_err(|error| Failure::unreadable(&error))?;
            busy.push(ranges.into_iter().map(|(from, to, _)| Range { from, to }).collect());
        }
        Ok(busy)
    }
}

#[async_trait]
impl Tool for Internal {
    async fn attempt(&self, request: &Request) -> Result<Value, Failure> {
        let unavailable = |failure: Failure| {
            failure.map_fault(|mut fault| {
                if fault.code == code::STORAGE_UNAVAILABLE {
                    fault.code = code::CALENDAR_UNAVAILABLE.into();
                }
                fault
            })
        };
        self.act(request).await.map_err(unavailable)
    }
}

/// Milliseconds since the epoch, the end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    from: i64,
    to: i64,
}

impl Range {
    fn overlaps(self, other: Self) -> bool {
        self.from < other.to && other.from < self.to
    }
}

/// An instant in RFC 3339 with the offset of its zone.
fn rfc3339(at: i64, zone: &jiff::tz::TimeZone) -> String {
    let zoned = Time::from_ms(at).to_timestamp().to_zoned(zone.clone());
    zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

#[cfg(test)]
mod tests;
