//! Who keeps a calendar: this installation, or a service outside. What can be offered is the settings' matter, whoever
//! it is; what of it is free is the keeper's.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::config::Config;
use super::range::rfc3339;
use super::slot::Slot;
use super::wanted::Wanted;
use crate::failure::Failure;
use crate::request::Request;

/// Kept with a booking, for the people who work with it.
pub(super) const KEPT: &[&str] = &["treatment", "user_id", "customer", "email", "phone", "notes"];

#[async_trait]
pub(super) trait Keeper: Send + Sync {
    /// As results name it.
    fn name(&self) -> &'static str;

    /// Whether it is a service outside, whose failures are counted.
    fn is_outside(&self) -> bool {
        true
    }

    /// As which account it is asked, and for which calendars, as people see it who are asked to allow a call; nothing
    /// where nobody outside is asked.
    fn account(&self, calendar: &Config) -> Option<String>;

    /// Those of the offered times that one of the wanted resources still has.
    async fn free(&self, wanted: &Wanted<'_>, offered: Vec<Slot>, request: &Request) -> Result<Vec<Slot>, Failure>;

    async fn book(&self, calendar: &Config, request: &Request) -> Result<Value, Failure>;

    /// Cancelling what is cancelled is done.
    async fn cancel(&self, calendar: &Config, request: &Request) -> Result<Value, Failure>;

    /// What a booking that went out came to: its result, or `NotDone` if there certainly is none.
    async fn look_up(&self, calendar: &Config, request: &Request) -> Result<Value, Failure>;
}

/// What a booking answers, whoever keeps it.
pub(super) fn booked(id: &str, wanted: &Wanted<'_>, slot: &Slot, kept: (&str, &str), request: &Request) -> Value {
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
