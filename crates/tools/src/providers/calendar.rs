//! `google_calendar`: availability, booking and cancelling. The name is historical; other providers are possible.

mod booking_request;
mod caldav;
mod calendars;
mod calendly;
mod config;
mod google;
mod internal;
mod provider;
mod range;
mod remote;
mod slot;

use std::sync::Arc;
use std::time::Duration;

use baton_core::money::Usd;
use baton_core::tool::{EffectClass, RetryPolicy, ToolCompensation, ToolContract};
use serde_json::{Value, json};

use crate::by_tenant::ByTenant;
use crate::catalogue::{ActionSpec, ProviderOption, ToolEntry, ToolPerformer, ToolRisk};
use crate::rate::CallRate;

pub use caldav::config::CalDavConfig;
pub use calendly::config::{CalendlyConfig, CalendlyEventType, EventLocation};
pub use config::{CalendarConfig, CalendarProviderKind, OpeningDay, OpeningHours, SlotStep, TreatmentConfig};
pub use google::config::GoogleCalendarConfig;

pub(crate) use self::calendars::CalendarServices;
use self::calendars::CalendarTool;

/// Time-out of one attempt.
const TIMEOUT: Duration = Duration::from_secs(10);
const TEXT_BYTES_MAX: usize = 2_000;
/// Google's price of a call, in US dollars.
const GOOGLE_USD: f64 = 0.01;
const OFFERED: &[ProviderOption] = &[
    ProviderOption::free(internal::NAME, &[]),
    ProviderOption::free(google::NAME, &["calendar.google"]).at(GOOGLE_USD),
    ProviderOption::free(calendly::NAME, &["calendar.calendly"]),
    ProviderOption::free(caldav::NAME, &["calendar.caldav"]),
];

/// Creates the catalogue entry. The error states what is wrong with the settings.
pub(crate) fn entry(settings: &ByTenant<CalendarConfig>, means: &CalendarServices) -> Result<ToolEntry, String> {
    let tool = Arc::new(CalendarTool::new(settings, means)?);
    let performers = settings.map_values(|calendar| {
        let (name, class, price) = by(calendar.provider);
        ToolPerformer::new(name, class, tool.clone()).with_cost(Usd::from_f64(price))
    });
    // The weakest class of a booking in any of the calendars, because the facts of a tool hold for every tenant.
    let booking_class = performers.values().map(|performer| performer.class).max().unwrap_or(EffectClass::Keyed);
    let whole = ToolContract {
        description: "Checks free times, books and cancels appointments. Only for one certain date; general opening \
                      hours are answered from what is known"
            .to_owned(),
        parameters: parameters(&["action"]),
        ..ToolContract::new(booking_class, TIMEOUT)
    };
    let actions = [
        ("check_availability", ActionSpec::new(check_availability(), "api_call", ToolRisk::Low)),
        ("create_booking", ActionSpec::new(create_booking(booking_class), "booking", ToolRisk::Medium)),
        ("cancel_booking", ActionSpec::new(cancel_booking(), "booking", ToolRisk::Medium)),
    ];
    let whole = ActionSpec::new(whole, "tool_execution", ToolRisk::Medium);
    Ok(ToolEntry::with_performers("google_calendar", "calendar", performers, whole)
        .with_offers(OFFERED)
        .with_actions(actions)
        .with_rate(CallRate::per_minute(100)))
}

/// Facts of a calendar provider: its name, the class of a booking, and the price of a call in US dollars.
fn by(provider: CalendarProviderKind) -> (&'static str, EffectClass, f64) {
    match provider {
        CalendarProviderKind::Internal => (internal::NAME, EffectClass::Keyed, 0.0),
        CalendarProviderKind::Google => (google::NAME, EffectClass::Keyed, GOOGLE_USD),
        CalendarProviderKind::Calendly => (calendly::NAME, EffectClass::Verify, 0.0),
        CalendarProviderKind::CalDav => (caldav::NAME, EffectClass::Keyed, 0.0),
    }
}

fn check_availability() -> ToolContract {
    ToolContract {
        retry: RetryPolicy::default(),
        description: "Lists the free times of a date".to_owned(),
        parameters: parameters(&["action", "date"]),
        output_fields: fields(&["date", "zone", "available", "slots", "available_slots", "duration_minutes"]),
        ..ToolContract::new(EffectClass::Read, TIMEOUT)
    }
}

fn create_booking(class: EffectClass) -> ToolContract {
    ToolContract {
        retry: RetryPolicy::default(),
        description: "Books an appointment at a date and time".to_owned(),
        compensation: Some(ToolCompensation {
            tool_name: "google_calendar".to_owned(),
            parameters: json!({"action": "cancel_booking", "booking_id": "{{ output.booking_id }}"}),
        }),
        parameters: parameters(&["action", "date", "time"]),
        output_fields: fields(&[
            "booking_id",
            "id",
            "status",
            "date",
            "time",
            "end_time",
            "slot",
            "starts_at",
            "ends_at",
            "zone",
            "resource",
            "duration_minutes",
            "provider",
        ]),
        ..ToolContract::new(class, TIMEOUT)
    }
}

fn cancel_booking() -> ToolContract {
    ToolContract {
        retry: RetryPolicy::default(),
        description: "Cancels an appointment and frees its time; cancelling twice is cancelling once".to_owned(),
        irreversible: Some("the freed time may be somebody else's by now; book again instead".to_owned()),
        parameters: parameters(&["action", "booking_id"]),
        output_fields: fields(&["booking_id", "id", "status", "date", "time", "cancelled_at", "provider"]),
        ..ToolContract::new(EffectClass::Keyed, TIMEOUT)
    }
}

fn fields(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The same arguments for every action, so that a call with more arguments than required is not refused.
fn parameters(required: &[&str]) -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": required,
        "properties": {
            "action": {"enum": ["check_availability", "create_booking", "cancel_booking"]},
            "date": {
                "type": "string", "format": "date",
                "description": "YYYY-MM-DD, or a word such as `tomorrow` or `el lunes`",
            },
            "time": {
                "type": "string", "pattern": "^([01]?[0-9]|2[0-3]):[0-5][0-9]$",
                "description": "HH:MM in the calendar's zone, 24 hours",
            },
            "treatment": {"type": "string", "maxLength": 200, "description": "What the appointment is for"},
            "resource": {"type": "string", "maxLength": 200, "description": "The room or person to book"},
            "duration_minutes": {"type": "integer", "minimum": 1, "maximum": 1_440},
            "booking_id": {"type": "string", "maxLength": 200},
            "reason": {"type": "string", "maxLength": TEXT_BYTES_MAX},
            "user_id": {"type": ["string", "null"], "maxLength": 200},
            "customer": {"type": ["string", "object", "null"], "description": "Who comes"},
            "email": {"type": ["string", "null"], "maxLength": 320},
            "phone": {"type": ["string", "null"], "maxLength": 50},
            "notes": {"type": ["string", "null"], "maxLength": TEXT_BYTES_MAX},
        },
    })
}

#[cfg(test)]
mod tests;
