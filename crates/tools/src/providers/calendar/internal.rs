//! The calendar kept in this installation. A booking holds its range in the same batch as its key's row, so it exists
//! once and overlaps nothing, however many ask at the same instant.

mod book;
mod cancel;

use std::sync::Arc;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_ports::clock::Clock;
use baton_ports::records::Records;
use serde_json::Value;

use super::config::Config;
use super::keeper::Keeper;
use super::range::Range;
use super::slot::Slot;
use super::wanted::Wanted;
use crate::code;
use crate::failure::Failure;
use crate::keyed::Act;
use crate::request::Request;

/// Bookings by id, and the ranges they hold, in milliseconds since the epoch.
const SPACE: &str = "calendar";
pub(super) const NAME: &str = "internal";

pub(super) struct Internal {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
}

impl Internal {
    pub(super) fn new(records: Arc<dyn Records>, clock: Arc<dyn Clock>) -> Self {
        Self { records, clock }
    }

    /// Whether a booking was made here.
    pub(super) async fn has(&self, tenant: &TenantId, id: &str) -> Result<bool, Failure> {
        let found = self.records.get(tenant, SPACE, id).await;
        Ok(found.map_err(|error| Failure::unreadable(&error))?.is_some())
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
impl Keeper for Internal {
    fn name(&self) -> &'static str {
        NAME
    }

    fn is_outside(&self) -> bool {
        false
    }

    fn account(&self, _calendar: &Config) -> Option<String> {
        None
    }

    async fn free(&self, wanted: &Wanted<'_>, offered: Vec<Slot>, request: &Request) -> Result<Vec<Slot>, Failure> {
        let busy = self.busy(wanted, &offered, &request.call.tenant).await?;
        Ok(wanted.free(offered, &busy))
    }

    async fn book(&self, calendar: &Config, request: &Request) -> Result<Value, Failure> {
        book::book(self, calendar, request).await
    }

    async fn cancel(&self, _calendar: &Config, request: &Request) -> Result<Value, Failure> {
        cancel::cancel(self, request).await
    }

    async fn look_up(&self, _calendar: &Config, request: &Request) -> Result<Value, Failure> {
        let recorded = Act::new(&*self.records, request).recorded().await.map_err(Failure::undecided)?;
        recorded.ok_or_else(|| {
            let message = format!("the key `{}` has booked nothing", request.call.key);
            Failure::later(code::CALENDAR_UNAVAILABLE, message)
        })
    }
}
