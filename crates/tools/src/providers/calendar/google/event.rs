//! Events in the format of the API.

use baton_core::time::Time;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::providers::calendar::range::{TimeRange, rfc3339};
use crate::providers::calendar::remote::remote_calendar::{EntryDraft, ForeignEntry, RemoteEntry};

/// Marks events that Baton booked, for queries.
pub(super) const MARK: &str = "baton=1";

/// The id of an event. It must be lower-case base32hex (RFC 4648), which hexadecimal digits satisfy, without `_`.
pub(super) fn id(booking: &str) -> String {
    booking.replace('_', "")
}

pub(super) fn body(draft: &EntryDraft<'_>) -> Value {
    let zone = draft.zone.iana_name().unwrap_or("UTC");
    json!({
        "id": id(draft.id),
        "summary": draft.summary,
        "description": draft.description,
        "start": {"dateTime": rfc3339(draft.range.from, draft.zone), "timeZone": zone},
        "end": {"dateTime": rfc3339(draft.range.to, draft.zone), "timeZone": zone},
        "status": "confirmed",
        "transparency": "opaque",
        "extendedProperties": {"private": {
            "baton": "1",
            "batonAsked": draft.request_hash,
            "batonHeld": format!("{}/{}", draft.blocked.from, draft.blocked.to),
        }},
    })
}

pub(super) fn entered(booking: &str, event: &Value) -> RemoteEntry {
    RemoteEntry {
        id: booking.to_owned(),
        range: range(event, &TimeZone::UTC),
        cancelled: event["status"] == "cancelled",
        request_hash: private(event, "batonAsked").map(str::to_owned),
        created_at: event["created"].as_str().and_then(instant),
        etag: event["etag"].as_str().map(str::to_owned),
    }
}

/// Returns the time with its buffers, if Baton booked the event.
pub(super) fn blocked_range(event: &Value, zone: &TimeZone) -> Option<TimeRange> {
    let own = private(event, "batonHeld").and_then(|held| held.split_once('/'));
    let own = own.and_then(|(from, to)| Some(TimeRange { from: from.parse().ok()?, to: to.parse().ok()? }));
    // A person may have moved the event since. Its buffers then describe the old time, and only its own time is
    // certain.
    own.filter(|own| range(event, zone).is_none_or(|at| own.from <= at.from && at.to <= own.to))
        .or_else(|| range(event, zone))
}

/// Reads a foreign event; `None` if it blocks no time.
pub(super) fn other(event: &Value, zone: &TimeZone) -> Option<ForeignEntry> {
    let takes_none = event["status"] == "cancelled"
        || event["transparency"] == "transparent"
        || matches!(event["eventType"].as_str(), Some("workingLocation" | "birthday"))
        || event["attendees"].as_array().is_some_and(|people| {
            people.iter().any(|person| person["self"] == true && person["responseStatus"] == "declined")
        });
    if takes_none {
        return None;
    }
    Some(ForeignEntry { range: blocked_range(event, zone)?, created_at: event["created"].as_str().and_then(instant) })
}

/// Reads a busy time of a free-busy response.
pub(super) fn busy(busy: &Value) -> Option<TimeRange> {
    Some(TimeRange { from: instant(busy["start"].as_str()?)?, to: instant(busy["end"].as_str()?)? })
}

pub(super) fn utc(at: i64) -> String {
    Time::from_ms(at).to_string()
}

fn private<'e>(event: &'e Value, name: &str) -> Option<&'e str> {
    event["extendedProperties"]["private"][name].as_str()
}

fn range(event: &Value, zone: &TimeZone) -> Option<TimeRange> {
    let at = |end: &Value| match (end["dateTime"].as_str(), end["date"].as_str()) {
        (Some(text), _) => instant(text),
        (None, Some(date)) => {
            let date: jiff::civil::Date = date.parse().ok()?;
            Some(date.to_zoned(zone.clone()).ok()?.timestamp().as_millisecond())
        }
        (None, None) => None,
    };
    Some(TimeRange { from: at(&event["start"])?, to: at(&event["end"])? })
}

fn instant(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}
