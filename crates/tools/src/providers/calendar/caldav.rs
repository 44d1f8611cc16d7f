//! Any server that supports CalDAV (RFC 4791): Nextcloud, Radicale, Fastmail, iCloud, and many more.
//!
//! A booking is an object whose name and UID derive from the effect's key. It is written with `If-None-Match: *`, so
//! a duplicate is refused and the first object is looked up: one booking.

pub(super) mod config;
mod multistatus;

use std::collections::BTreeMap;

use async_trait::async_trait;
use baton_core::bundle::ContentHash;
use baton_core::tool::EffectClass;
use jiff::tz::TimeZone;
use reqwest::Method;
use reqwest::header::{self, HeaderName};

use self::config::CalDavConfig;
use super::calendars::CalendarServices;
use super::config::CalendarConfig;
use super::range::TimeRange;
use super::remote::remote_calendar::{EntryDraft, EntryPutResult, ForeignEntry, RemoteCalendar, RemoteEntry};
use crate::code;
use crate::config::SecretString;
use crate::icalendar::{self, Appointment, CalendarEvent};
use crate::outbound::OutboundResponse;
use crate::tool_error::ToolError;
use crate::vendor::{BaseUrl, VendorApi, VendorAuth, VendorError, VendorErrorMeaning, VendorRequest};

pub(super) const NAME: &str = "caldav";
const DEPTH: HeaderName = HeaderName::from_static("depth");
/// Property of this installation's own entries: a hash of the request, and the time with its buffers.
const ASKED: &str = "X-BATON-ASKED";
const HELD: &str = "X-BATON-HELD";

pub(super) struct CalDavCalendar {
    vendor: VendorApi,
    server: BaseUrl,
    username: String,
    password: SecretString,
    /// By resource, the path of its calendar, which ends in `/`.
    calendars: BTreeMap<String, String>,
    /// The longest buffer of any treatment, in milliseconds.
    buffer: i64,
}

impl CalDavCalendar {
    /// Creates the provider. The error states what is wrong with the settings.
    pub(super) fn new(
        settings: &CalDavConfig,
        calendar: &CalendarConfig,
        means: &CalendarServices,
    ) -> Result<Self, String> {
        let mut calendars = calendar.places("caldav.calendars", &settings.calendars, None)?;
        for (resource, path) in &mut calendars {
            if !path.starts_with('/') {
                return Err(format!("the calendar of `{resource}` is `{path}`; write its path: `/clinic/room-1/`"));
            }
            if !path.ends_with('/') {
                path.push('/');
            }
        }
        Ok(Self {
            server: settings.url.clone(),
            vendor: VendorApi::new(NAME, settings.url.clone(), means.outbound.clone(), complaint),
            username: settings.username.clone(),
            password: settings.password.clone(),
            calendars,
            buffer: calendar.buffer_max(),
        })
    }

    fn calendar(&self, resource: &str) -> &str {
        self.calendars.get(resource).map_or("/", String::as_str)
    }

    fn ask(&self, method: Method, path: &str) -> VendorRequest<'_> {
        let auth = VendorAuth::Basic { username: &self.username, password: &self.password };
        self.vendor.request_at(method, path).auth(auth)
    }

    fn object(&self, method: Method, resource: &str, id: &str) -> VendorRequest<'_> {
        self.ask(method, &format!("{}{id}.ics", self.calendar(resource)))
    }

    async fn report(&self, resource: &str, body: String) -> Result<String, ToolError> {
        let method = Method::from_bytes(b"REPORT").unwrap_or(Method::GET);
        let ask = self.ask(method, self.calendar(resource)).header(DEPTH, "1");
        text(ask.body("application/xml; charset=utf-8", body.into_bytes()).send(EffectClass::Read).await?)
    }

    /// Returns the events around a range. Recurring events are expanded if the server can do it.
    async fn events(
        &self,
        resource: &str,
        within: TimeRange,
        zone: &TimeZone,
    ) -> Result<Vec<CalendarEvent>, ToolError> {
        let answer = self.report(resource, query(within)).await?;
        let unread = |reason: String| unread(resource, &reason);
        let mut events = Vec::new();
        for object in multistatus::calendars(&answer).map_err(unread)? {
            let calendar = icalendar::read(&object, zone);
            events.extend(calendar.map_err(|error| unread(error.to_string()))?.events);
        }
        Ok(events)
    }

    /// Queries the server's free-busy report: the server knows its own recurrences.
    async fn free_busy(&self, resource: &str, within: TimeRange, zone: &TimeZone) -> Result<Vec<TimeRange>, ToolError> {
        let answer = self.report(resource, free_busy_query(within)).await?;
        let calendar = icalendar::read(&answer, zone).map_err(|error| unread(resource, &error.to_string()))?;
        Ok(calendar.periods.into_iter().map(|(from, to)| TimeRange { from, to }).collect())
    }
}

#[async_trait]
impl RemoteCalendar for CalDavCalendar {
    fn name(&self) -> &'static str {
        NAME
    }

    fn account(&self) -> String {
        format!("{NAME} at {} as {}", self.server, self.username)
    }

    fn location_hash(&self, resource: &str) -> ContentHash {
        ContentHash::of(format!("{NAME}\n{}\n{}\n{}", self.server, self.username, self.calendar(resource)).as_bytes())
    }

    async fn busy(
        &self,
        resources: &[&str],
        within: TimeRange,
        zone: &TimeZone,
    ) -> Result<Vec<Vec<TimeRange>>, ToolError> {
        let mut all = Vec::with_capacity(resources.len());
        for resource in resources {
            let events = self.events(resource, within.widened(self.buffer), zone).await?;
            let mut busy: Vec<TimeRange> = events.iter().filter(|event| event.busy).map(blocked_range).collect();
            if events.iter().any(|event| event.is_recurring && event.busy) {
                busy.extend(self.free_busy(resource, within, zone).await?);
            }
            all.push(busy);
        }
        Ok(all)
    }

    async fn find(&self, resource: &str, id: &str) -> Result<Option<RemoteEntry>, ToolError> {
        let answer = self.object(Method::GET, resource, id).accepting(&[404, 410]).send(EffectClass::Read).await?;
        if matches!(answer.status, 404 | 410) {
            return Ok(None);
        }
        let tag = tag(&answer);
        let calendar = icalendar::read(&text(answer)?, &TimeZone::UTC);
        let events = calendar.map_err(|error| unread(resource, &error.to_string()))?.events;
        let event = events.into_iter().next().ok_or_else(|| unread(resource, &format!("`{id}` holds no event")))?;
        Ok(Some(RemoteEntry {
            id: id.to_owned(),
            range: Some(TimeRange { from: event.starts, to: event.ends }),
            cancelled: event.cancelled,
            request_hash: event.extensions.get(ASKED).cloned(),
            created_at: None,
            etag: tag,
        }))
    }

    async fn insert(&self, resource: &str, draft: &EntryDraft<'_>) -> Result<EntryPutResult, ToolError> {
        let appointment = Appointment {
            uid: draft.id,
            stamp: draft.at,
            starts: draft.range.from,
            ends: draft.range.to,
            zone: draft.zone,
            summary: draft.summary,
            description: draft.description,
            extensions: &[
                (ASKED, draft.request_hash.to_owned()),
                (HELD, format!("{}/{}", draft.blocked.from, draft.blocked.to)),
            ],
        };
        let ask = self.object(Method::PUT, resource, draft.id).header(header::IF_NONE_MATCH, "*");
        let ask = ask.body("text/calendar; charset=utf-8", appointment.text().into_bytes());
        let answer = ask.accepting(&[412]).send(EffectClass::Keyed).await?;
        if answer.status == 412 {
            return Ok(EntryPutResult::Exists);
        }
        Ok(EntryPutResult::Created(RemoteEntry {
            id: draft.id.to_owned(),
            range: Some(draft.range),
            cancelled: false,
            request_hash: Some(draft.request_hash.to_owned()),
            created_at: None,
            etag: tag(&answer),
        }))
    }

    async fn foreign_entries(
        &self,
        resource: &str,
        draft: &EntryDraft<'_>,
        zone: &TimeZone,
    ) -> Result<Vec<ForeignEntry>, ToolError> {
        // A rule that the server does not expand was covered by the earlier free-busy query; a rule added since then
        // is missed.
        let events = self.events(resource, draft.blocked.widened(self.buffer), zone).await?;
        let others = events.iter().filter(|event| event.busy && !event.is_recurring && event.uid != draft.id);
        Ok(others.map(|event| ForeignEntry { range: blocked_range(event), created_at: None }).collect())
    }

    async fn remove(&self, resource: &str, entered: &RemoteEntry) -> Result<(), ToolError> {
        let mut ask = self.object(Method::DELETE, resource, &entered.id);
        if let Some(tag) = &entered.etag {
            ask = ask.header(header::IF_MATCH, tag);
        }
        // 404 and 410: already gone.
        let answer = ask.accepting(&[404, 410, 412]).send(EffectClass::Keyed).await?;
        match answer.status {
            412 => Err(ToolError::transient(code::CALENDAR_UNAVAILABLE, format!("`{}` was just changed", entered.id))),
            _ => Ok(()),
        }
    }
}

/// Returns the time with its buffers, if this installation made the event and it was not moved.
fn blocked_range(event: &CalendarEvent) -> TimeRange {
    let at = TimeRange { from: event.starts, to: event.ends };
    let own = event.extensions.get(HELD).and_then(|held| held.split_once('/'));
    let own = own.and_then(|(from, to)| Some(TimeRange { from: from.parse().ok()?, to: to.parse().ok()? }));
    own.filter(|own| own.from <= at.from && at.to <= own.to).unwrap_or(at)
}

fn tag(answer: &OutboundResponse) -> Option<String> {
    answer.headers.get(header::ETAG)?.to_str().ok().map(str::to_owned)
}

fn text(answer: OutboundResponse) -> Result<String, ToolError> {
    if answer.truncated {
        let message = format!("{} answered with more than {} bytes", answer.from, answer.body.len());
        return Err(ToolError::permanent(code::RESPONSE_TOO_LARGE, message));
    }
    String::from_utf8(answer.body).map_err(|_| {
        ToolError::transient(code::CALENDAR_UNAVAILABLE, format!("{} answered with what is not UTF-8", answer.from))
    })
}

fn unread(resource: &str, reason: &str) -> ToolError {
    ToolError::transient(code::CALENDAR_UNAVAILABLE, format!("the calendar of `{resource}` cannot be read: {reason}"))
}

/// A calendar query (7.8), with recurring events as their instances (9.6.5).
fn query(within: TimeRange) -> String {
    let range = attributes(within);
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\
         <C:calendar-query xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\">\
         <D:prop><C:calendar-data><C:expand {range}/></C:calendar-data></D:prop>\
         <C:filter><C:comp-filter name=\"VCALENDAR\"><C:comp-filter name=\"VEVENT\"><C:time-range {range}/>\
         </C:comp-filter></C:comp-filter></C:filter></C:calendar-query>"
    )
}

/// A free-busy query (7.10).
fn free_busy_query(within: TimeRange) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\
         <C:free-busy-query xmlns:C=\"urn:ietf:params:xml:ns:caldav\"><C:time-range {}/></C:free-busy-query>",
        attributes(within)
    )
}

fn attributes(within: TimeRange) -> String {
    let at = |at: i64| baton_core::time::Time::from_ms(at).to_timestamp().strftime("%Y%m%dT%H%M%SZ").to_string();
    // Whole seconds, so the range is at least the requested one.
    format!("start=\"{}\" end=\"{}\"", at(within.from), at(within.to.saturating_add(999)))
}

/// Servers give few details; the status tells whose fault it is.
fn complaint(answer: &OutboundResponse) -> Option<VendorError> {
    let message = match answer.status {
        401 | 403 | 404 => "the account, or the path of the calendar, is not right",
        // The response of a plain web server to the methods of CalDAV.
        405 | 501 => "there is no CalDAV at this path, or the path is not that of a calendar",
        _ => return None,
    };
    Some(VendorError {
        message: message.to_owned(),
        meaning: VendorErrorMeaning::Refused(code::CALENDAR_NOT_CONFIGURED),
    })
}

#[cfg(test)]
mod radicale;
#[cfg(test)]
mod tests;
