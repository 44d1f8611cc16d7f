//! Providers of a calendar: this installation, or an external service. The settings decide which times can be
//! offered; the provider decides which of them are free.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::booking_request::BookingRequest;
use super::config::CalendarConfig;
use super::range::rfc3339;
use super::slot::CalendarSlot;
use crate::request::PreparedRequest;
use crate::tool_error::ToolError;

/// Fields stored with a booking, for the people who work with it.
pub(super) const RECORDED_FIELDS: &[&str] = &["treatment", "user_id", "customer", "email", "phone", "notes"];

#[async_trait]
pub(super) trait CalendarProvider: Send + Sync {
    /// The name in results.
    fn name(&self) -> &'static str;

    /// Whether it is an external service, whose failures are counted.
    fn is_remote(&self) -> bool {
        true
    }

    /// The account and the calendars, as shown to people who approve a call. `None` if no external service is called.
    fn account(&self, calendar: &CalendarConfig) -> Option<String>;

    /// Returns the offered times at which at least one wanted resource is free.
    async fn free(
        &self,
        wanted: &BookingRequest<'_>,
        offered: Vec<CalendarSlot>,
        request: &PreparedRequest,
    ) -> Result<Vec<CalendarSlot>, ToolError>;

    async fn book(&self, calendar: &CalendarConfig, request: &PreparedRequest) -> Result<Value, ToolError>;

    /// Cancels a booking. Cancelling a cancelled booking succeeds.
    async fn cancel(&self, calendar: &CalendarConfig, request: &PreparedRequest) -> Result<Value, ToolError>;

    /// Looks up the outcome of a booking that was sent: its result, or `NotDone` if there certainly is none.
    async fn look_up(&self, calendar: &CalendarConfig, request: &PreparedRequest) -> Result<Value, ToolError>;
}

/// The output of a booking, whatever the provider.
pub(super) fn booking_output(
    id: &str,
    wanted: &BookingRequest<'_>,
    slot: &CalendarSlot,
    kept: (&str, &str),
    request: &PreparedRequest,
) -> Value {
    let (resource, provider) = kept;
    json!({
        "booking_id": id,
        "id": id,
        "status": "confirmed",
        "date": wanted.date.to_string(),
        "time": slot.start,
        "end_time": slot.end,
        "slot": slot.label(),
        "starts_at": rfc3339(slot.range.from, &wanted.zone),
        "ends_at": rfc3339(slot.range.to, &wanted.zone),
        "zone": request.zone(),
        "resource": resource,
        "treatment": request.argument("treatment"),
        "duration_minutes": wanted.duration_minutes(),
        "provider": provider,
    })
}
