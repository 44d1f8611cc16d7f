//! The calendar stored in this installation. A booking reserves its range in the same batch as its key's row, so it
//! exists once and overlaps nothing, whatever the concurrency.

mod book;
mod cancel;

use std::sync::Arc;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_ports::clock::Clock;
use baton_ports::records::RecordStore;
use serde_json::Value;

use super::booking_request::BookingRequest;
use super::config::CalendarConfig;
use super::provider::CalendarProvider;
use super::range::TimeRange;
use super::slot::CalendarSlot;
use crate::code;
use crate::idempotency::IdempotentAct;
use crate::request::PreparedRequest;
use crate::tool_error::ToolError;

/// The record space of bookings by id, and of the ranges they hold, in milliseconds since the epoch.
const SPACE: &str = "calendar";
pub(super) const NAME: &str = "internal";

pub(super) struct InternalCalendar {
    records: Arc<dyn RecordStore>,
    clock: Arc<dyn Clock>,
}

impl InternalCalendar {
    pub(super) fn new(records: Arc<dyn RecordStore>, clock: Arc<dyn Clock>) -> Self {
        Self { records, clock }
    }

    /// Returns whether a booking was made here.
    pub(super) async fn has(&self, tenant: &TenantId, id: &str) -> Result<bool, ToolError> {
        let found = self.records.get(tenant, SPACE, id).await;
        Ok(found.map_err(|error| ToolError::from_read(&error))?.is_some())
    }

    /// Returns the ranges held around the offered times, for each suitable resource.
    async fn busy(
        &self,
        wanted: &BookingRequest<'_>,
        offered: &[CalendarSlot],
        tenant: &TenantId,
    ) -> Result<Vec<Vec<TimeRange>>, ToolError> {
        let (Some(first), Some(last)) = (offered.first(), offered.last()) else { return Ok(Vec::new()) };
        let (from, to) = (wanted.blocked_range(first).from, wanted.blocked_range(last).to);
        let mut busy = Vec::with_capacity(wanted.resources.len());
        for resource in &wanted.resources {
            let ranges = self.records.ranges(tenant, SPACE, resource, from, to).await;
            let ranges = ranges.map_err(|error| ToolError::from_read(&error))?;
            busy.push(ranges.into_iter().map(|(from, to, _)| TimeRange { from, to }).collect());
        }
        Ok(busy)
    }
}

#[async_trait]
impl CalendarProvider for InternalCalendar {
    fn name(&self) -> &'static str {
        NAME
    }

    fn is_remote(&self) -> bool {
        false
    }

    fn account(&self, _calendar: &CalendarConfig) -> Option<String> {
        None
    }

    async fn free(
        &self,
        wanted: &BookingRequest<'_>,
        offered: Vec<CalendarSlot>,
        request: &PreparedRequest,
    ) -> Result<Vec<CalendarSlot>, ToolError> {
        let busy = self.busy(wanted, &offered, &request.call.tenant).await?;
        Ok(wanted.free(offered, &busy))
    }

    async fn book(&self, calendar: &CalendarConfig, request: &PreparedRequest) -> Result<Value, ToolError> {
        book::book(self, calendar, request).await
    }

    async fn cancel(&self, _calendar: &CalendarConfig, request: &PreparedRequest) -> Result<Value, ToolError> {
        cancel::cancel(self, request).await
    }

    async fn look_up(&self, _calendar: &CalendarConfig, request: &PreparedRequest) -> Result<Value, ToolError> {
        let recorded = IdempotentAct::new(&*self.records, request).recorded().await.map_err(ToolError::into_unknown)?;
        recorded.ok_or_else(|| {
            let message = format!("the key `{}` has booked nothing", request.call.key);
            ToolError::transient(code::CALENDAR_UNAVAILABLE, message)
        })
    }
}
