//! A calendar at an external service that has no bookings of its own, only entries: Google Calendar, CalDAV.
//!
//! Such a service guarantees that an id exists once, but nothing about two entries at the same time. A time is
//! therefore booked in four steps. First, it is leased here, so that one of the concurrent bookings through this
//! installation proceeds. Second, the service is asked whether the time is free. Third, the entry is created under an
//! id derived from the effect's key. Fourth, the service is asked again: if there is another entry by then, another
//! client was faster, and this entry is removed.
//!
//! One case cannot be prevented: a person who writes into the calendar after the last check, over the booking.

pub(super) mod booking_record;
mod lease;
pub(super) mod remote_calendar;

use async_trait::async_trait;
use baton_core::bundle::ContentHash;
use serde_json::{Value, json};

use self::booking_record::{BookingRecord, already_undone};
use self::lease::SlotLease;
use self::remote_calendar::{EntryDraft, EntryPutResult, RemoteCalendar, RemoteEntry};
use super::booking_request::BookingRequest;
use super::calendars::CalendarServices;
use super::config::CalendarConfig;
use super::provider::{CalendarProvider, RECORDED_FIELDS, booking_output};
use super::range::TimeRange;
use super::slot::{CalendarSlot, clock};
use crate::code;
use crate::request::PreparedRequest;
use crate::tool_error::ToolError;

/// The prefix of the ids of Baton's bookings.
const PREFIX: &str = "bk";

pub(super) struct RemoteCalendarProvider<A> {
    calendar: A,
    services: CalendarServices,
}

impl<A: RemoteCalendar> RemoteCalendarProvider<A> {
    pub(super) fn new(agenda: A, means: CalendarServices) -> Self {
        Self { calendar: agenda, services: means }
    }

    /// Returns Baton's own entry, if an earlier attempt of the same call created it. The time is then busy because of
    /// that entry.
    async fn existing_entry(
        &self,
        booking: &BookingAttempt<'_, '_>,
        resource: &str,
    ) -> Result<Option<RemoteEntry>, ToolError> {
        let found = self.calendar.find(resource, booking.draft.id).await?;
        match &found {
            Some(entered) if entered.request_hash.as_deref() != Some(booking.draft.request_hash) => {
                let message =
                    format!("`{}` is there already, and was asked for with other arguments", booking.draft.id);
                Err(ToolError::permanent(code::KEY_REUSED, message))
            }
            Some(_) | None => Ok(found),
        }
    }

    /// Creates the entry in a calendar that was free, and checks again. `None` if another party has the time.
    async fn place_entry(
        &self,
        booking: &BookingAttempt<'_, '_>,
        placed: &mut BookingRecord<'_>,
        resource: &str,
    ) -> Result<Option<Value>, ToolError> {
        // The destination is recorded first, so that a later cancellation knows where the entry is.
        placed.record_placement(self.calendar.name(), resource, &self.calendar.location_hash(resource)).await?;
        match self.calendar.insert(resource, &booking.draft).await? {
            EntryPutResult::Created(entered) => self.confirm_entry(booking, placed, resource, &entered).await,
            EntryPutResult::Exists => match self.existing_entry(booking, resource).await.map_err(after_acting)? {
                Some(entered) => self.confirm_entry(booking, placed, resource, &entered).await,
                None => Ok(None),
            },
        }
    }

    /// Confirms an entry that exists: it stays if no other entry has the time. Every failure from here on happens
    /// after acting.
    async fn confirm_entry(
        &self,
        booking: &BookingAttempt<'_, '_>,
        placed: &mut BookingRecord<'_>,
        resource: &str,
        entered: &RemoteEntry,
    ) -> Result<Option<Value>, ToolError> {
        let draft = &booking.draft;
        if entered.cancelled {
            // An entry that gave way to another party may move elsewhere; an entry that was removed by anybody else
            // was undone.
            return if placed.has_left(resource) { Ok(None) } else { Err(already_undone(draft.id)) };
        }
        let others =
            self.calendar.foreign_entries(resource, draft, &booking.wanted.zone).await.map_err(after_acting)?;
        // Of two bookings, at most one finds that all others were created strictly later.
        let later = |made: Option<i64>| made.zip(entered.created_at).is_some_and(|(other, own)| other > own);
        if others.iter().all(|other| !other.range.overlaps(draft.blocked) || later(other.created_at)) {
            return Ok(Some(booking_output(
                draft.id,
                booking.wanted,
                booking.slot,
                (resource, self.calendar.name()),
                booking.request,
            )));
        }
        placed.record_removal(resource).await.map_err(after_acting)?;
        self.calendar.remove(resource, entered).await.map_err(after_acting)?;
        Ok(None)
    }

    /// Returns the booking of an earlier attempt, or the calendars that are free. All calendars are read, because the
    /// booking may be in one that another call has leased now.
    async fn candidates(
        &self,
        booking: &BookingAttempt<'_, '_>,
        placed: &mut BookingRecord<'_>,
    ) -> Result<BookingCandidates, ToolError> {
        let wanted = booking.wanted;
        let busy = self.calendar.busy(&wanted.resources, booking.draft.blocked, &wanted.zone).await?;
        let mut free = Vec::new();
        for (resource, ranges) in wanted.resources.iter().zip(busy) {
            if !ranges.iter().any(|range| range.overlaps(booking.draft.blocked)) {
                free.push((*resource).to_owned());
            } else if let Some(entered) = self.existing_entry(booking, resource).await? {
                // If this entry gives way, now or earlier, the booking may be in the next calendar.
                if let Some(output) = self.confirm_entry(booking, placed, resource, &entered).await? {
                    return Ok(BookingCandidates::Own(output));
                }
            }
        }
        Ok(BookingCandidates::Free(free))
    }

    /// Books under a lease: of concurrent calls for the same time, the one with the lease asks the service; the
    /// others are told to retry.
    async fn book_leased(&self, booking: &BookingAttempt<'_, '_>) -> Result<Value, ToolError> {
        let (draft, wanted) = (&booking.draft, booking.wanted);
        let lease = SlotLease::new(&self.services, self.calendar.name(), booking.request, draft.id);
        let mut leased = Vec::with_capacity(wanted.resources.len());
        for resource in &wanted.resources {
            if lease.take(draft, resource).await? {
                leased.push(*resource);
            }
        }
        if leased.is_empty() {
            return Err(in_progress(booking));
        }
        let made = self.book_in_first_free(booking, &leased).await;
        lease.release().await;
        made
    }

    /// Books in the first of the leased calendars that is free.
    async fn book_in_first_free(&self, booking: &BookingAttempt<'_, '_>, leased: &[&str]) -> Result<Value, ToolError> {
        let wanted = booking.wanted;
        let taken = || {
            let tried = wanted.resources.join("`, `");
            let message = format!("{} {} is taken in `{tried}`", wanted.date, booking.slot.label());
            ToolError::permanent(code::SLOT_TAKEN, message)
        };
        let mut placed = BookingRecord::find(&self.services, &booking.request.call.tenant, booking.draft.id).await?;
        if placed.is_cancelling() {
            return Err(already_undone(booking.draft.id));
        }
        let free = match self.candidates(booking, &mut placed).await? {
            BookingCandidates::Own(output) => return Ok(output),
            BookingCandidates::Free(free) => free,
        };
        // Nothing exists yet, so whether the time can still be booked is decided now.
        wanted.requested_slot(self.services.clock.now())?;
        for resource in free.iter().filter(|resource| leased.contains(&resource.as_str())) {
            if let Some(output) = self.place_entry(booking, &mut placed, resource).await? {
                return Ok(output);
            }
        }
        if leased.len() < wanted.resources.len() { Err(in_progress(booking)) } else { Err(taken()) }
    }

    /// The entry is in none of the calendars, and nothing indicates that it ever was.
    fn not_found(&self, placed: &BookingRecord<'_>, id: &str) -> ToolError {
        let name = self.calendar.name();
        let message = match placed.provider() {
            Some(_) => format!(
                "the booking `{id}` is not at {name}, and was made in a calendar or with an account there that the \
                 settings name no longer; cancel it where it is"
            ),
            None => format!("no calendar of {name} has the booking `{id}`, and it is not known where it was made"),
        };
        ToolError::permanent(code::BOOKING_NOT_FOUND, message)
    }

    /// Calls a function with the booking that a request describes, whenever it is sent.
    fn booking<'b, 'c>(
        wanted: &'b BookingRequest<'c>,
        slot: &'b CalendarSlot,
        request: &'b PreparedRequest,
        texts: &'b EntryTexts,
    ) -> BookingAttempt<'b, 'c> {
        let draft = EntryDraft {
            id: &texts.id,
            range: slot.range,
            blocked: wanted.blocked_range(slot),
            zone: &wanted.zone,
            summary: &texts.summary,
            description: &texts.description,
            request_hash: &texts.asked,
            at: request.call.at.as_ms(),
        };
        BookingAttempt { wanted, slot, request, draft }
    }
}

/// Where a booking may go.
enum BookingCandidates {
    /// It exists already.
    Own(Value),
    Free(Vec<String>),
}

struct BookingAttempt<'b, 'c> {
    wanted: &'b BookingRequest<'c>,
    slot: &'b CalendarSlot,
    request: &'b PreparedRequest,
    draft: EntryDraft<'b>,
}

/// The texts of an entry.
struct EntryTexts {
    id: String,
    asked: String,
    summary: String,
    description: String,
}

impl EntryTexts {
    fn of(request: &PreparedRequest) -> Self {
        let id = request.id(PREFIX);
        let mut description = String::new();
        for name in RECORDED_FIELDS {
            match request.argument(name) {
                Value::Null => {}
                Value::String(text) => description.push_str(&format!("{name}: {text}\n")),
                value => description.push_str(&format!("{name}: {value}\n")),
            }
        }
        description.push_str(&format!("booking: {id}"));
        let summary = request.text("treatment").unwrap_or("Appointment").to_owned();
        Self { id, asked: request.fingerprint().as_str().to_owned(), summary, description }
    }
}

/// The call that holds the lease may fail, so a retry is worthwhile.
fn in_progress(booking: &BookingAttempt<'_, '_>) -> ToolError {
    let message = format!("{} {} is being booked by somebody else", booking.wanted.date, booking.slot.label());
    ToolError::transient(code::SLOT_TAKEN, message)
}

/// Marks a failure after the entry exists: it does not mean that nothing was done. Exception: the entry belongs to
/// another call.
fn after_acting(failure: ToolError) -> ToolError {
    match failure.fault().code.as_ref() {
        code::KEY_REUSED => failure,
        _ => ToolError::Unknown { fault: failure.fault().clone() },
    }
}

#[async_trait]
impl<A: RemoteCalendar> CalendarProvider for RemoteCalendarProvider<A> {
    fn name(&self) -> &'static str {
        self.calendar.name()
    }

    fn account(&self, calendar: &CalendarConfig) -> Option<String> {
        let places = calendar.resources.iter().map(|resource| self.calendar.location_hash(resource).to_string());
        let places = ContentHash::of(places.collect::<Vec<_>>().join("\n").as_bytes());
        Some(format!("{}, calendars {}", self.calendar.account(), places.short()))
    }

    async fn free(
        &self,
        wanted: &BookingRequest<'_>,
        offered: Vec<CalendarSlot>,
        _request: &PreparedRequest,
    ) -> Result<Vec<CalendarSlot>, ToolError> {
        let (Some(first), Some(last)) = (offered.first(), offered.last()) else { return Ok(Vec::new()) };
        let whole = TimeRange { from: wanted.blocked_range(first).from, to: wanted.blocked_range(last).to };
        let busy = self.calendar.busy(&wanted.resources, whole, &wanted.zone).await?;
        Ok(wanted.free(offered, &busy))
    }

    async fn book(&self, calendar: &CalendarConfig, request: &PreparedRequest) -> Result<Value, ToolError> {
        let wanted = BookingRequest::read(calendar, request)?;
        // As of the time it was scheduled, so that a retry refers to the same appointment.
        let slot = wanted.requested_slot(request.call.at)?;
        let texts = EntryTexts::of(request);
        self.book_leased(&Self::booking(&wanted, &slot, request, &texts)).await
    }

    async fn cancel(&self, calendar: &CalendarConfig, request: &PreparedRequest) -> Result<Value, ToolError> {
        let id = request.text("booking_id").unwrap_or_default();
        if !is_ours(id) {
            return Err(ToolError::permanent(code::BOOKING_NOT_FOUND, format!("there is no booking `{id}`")));
        }
        let zone = super::booking_request::zone(request)?;
        let mut placed = BookingRecord::find(&self.services, &request.call.tenant, id).await?;
        placed.record_cancelling().await?;
        let mut found = None;
        for resource in &calendar.resources {
            // An entry that gave way may be reported as cancelled in this calendar; the booking may be in the next
            // one.
            match self.calendar.find(resource, id).await? {
                Some(entered) if entered.cancelled => found = found.or(Some(entered)),
                Some(entered) => {
                    self.calendar.remove(resource, &entered).await?;
                    found = Some(entered);
                    break;
                }
                None => {}
            }
        }
        // A booking that no longer exists where it was made is cancelled, whoever removed it.
        let is_here = || calendar.resources.iter().any(|resource| placed.is_at(&self.calendar.location_hash(resource)));
        if found.is_none() && !placed.is_cancelled() && !is_here() {
            return Err(self.not_found(&placed, id));
        }
        placed.record_cancelled().await.map_err(after_acting)?;
        let range = found.and_then(|entered| entered.range);
        Ok(json!({
            "booking_id": id,
            "id": id,
            "status": "cancelled",
            "date": range.map(|range| zone.to_datetime(timestamp(range.from)).date().to_string()),
            "time": range.map(|range| clock(range.from, &zone)),
            "cancelled_at": self.services.clock.now().to_string(),
            "provider": self.calendar.name(),
        }))
    }

    async fn look_up(&self, calendar: &CalendarConfig, request: &PreparedRequest) -> Result<Value, ToolError> {
        let wanted = BookingRequest::read(calendar, request).map_err(ToolError::into_unknown)?;
        let slot = wanted.requested_slot(request.call.at).map_err(ToolError::into_unknown)?;
        let texts = EntryTexts::of(request);
        let booking = Self::booking(&wanted, &slot, request, &texts);
        for resource in &wanted.resources {
            let found = self.existing_entry(&booking, resource).await.map_err(ToolError::into_unknown)?;
            if found.is_some_and(|entered| !entered.cancelled) {
                return Ok(booking_output(&texts.id, &wanted, &slot, (resource, self.calendar.name()), request));
            }
        }
        Err(ToolError::transient(code::CALENDAR_UNAVAILABLE, format!("`{}` is in no calendar", texts.id)))
    }
}

fn timestamp(at: i64) -> jiff::Timestamp {
    baton_core::time::Time::from_ms(at).to_timestamp()
}

/// Returns whether an id has the form of bookings made here. No other entry of a calendar is ever removed.
fn is_ours(id: &str) -> bool {
    let digits = id.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('_'));
    digits.is_some_and(|digits| digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
