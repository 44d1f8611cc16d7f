//! Who keeps a calendar: this installation, or a service outside. What can be offered is the settings' matter, whoever
//! it is; what of it is free is the keeper's.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::booking_request::BookingRequest;
use super::config::CalendarConfig;
use super::range::rfc3339;
use super::slot::CalendarSlot;
use crate::request::PreparedRequest;
use crate::tool_error::ToolError;

/// Kept with a booking, for the people who work with it.
pub(super) const RECORDED_FIELDS: &[&str] = &["treatment", "user_id", "customer", "email", "phone", "notes"];

#[async_trait]
pub(super) trait CalendarProvider: Send + Sync {
    /// As results name it.
    fn name(&self) -> &'static str;

    /// Whether it is a service outside, whose failures are counted.
    fn is_remote(&self) -> bool {
        true
    }

    /// As which account it is asked, and for which calendars, as people see it who are asked to allow a call; nothing
    /// where nobody outside is asked.
    fn account(&self, calendar: &CalendarConfig) -> Option<String>;

    /// Those of the offered times that one of the wanted resources still has.
    async fn free(
        &self,
        wanted: &BookingRequest<'_>,
        offered: Vec<CalendarSlot>,
        request: &PreparedRequest,
    ) -> Result<Vec<CalendarSlot>, ToolError>;

    async fn book(&self, calendar: &CalendarConfig, request: &PreparedRequest) -> Result<Value, ToolError>;

    /// Cancelling what is cancelled is done.
    async fn cancel(&self, calendar: &CalendarConfig, request: &PreparedRequest) -> Result<Value, ToolError>;

    /// What a booking that went out came to: its result, or `NotDone` if there certainly is none.
    async fn look_up(&self, calendar: &CalendarConfig, request: &PreparedRequest) -> Result<Value, ToolError>;
}

/// What a booking answers, whoever keeps it.
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
