//! A calendar kept by a service outside that has no bookings of its own, only entries: Google Calendar, CalDAV.
//!
//! Such a service promises that an id is there once, and nothing of two entries at the same time. So a time is booked in
//! four steps: it is leased here, so that of all who book through this installation one goes on; the service is asked
//! whether it is free; the entry is put there under an id that the effect's key decides; and the service is asked once
//! more. If something else is there by then, somebody came between by another door, and ours is taken back.
//!
//! What no one can promise: a person who writes into the calendar after the last look, over our booking.

pub(super) mod agenda;
mod lease;
pub(super) mod placed;

use async_trait::async_trait;
use baton_core::bundle::Hash;
use serde_json::{Value, json};

use self::agenda::{Agenda, Draft, Entered, Put};
use self::lease::Lease;
use self::placed::{Placed, undone};
use super::calendars::Means;
use super::config::Config;
use super::keeper::{KEPT, Keeper, booked};
use super::range::Range;
use super::slot::{Slot, clock};
use super::wanted::Wanted;
use crate::code;
use crate::failure::Failure;
use crate::request::Request;

/// What our bookings' ids begin with.
const PREFIX: &str = "bk";

pub(super) struct Outside<A> {
    agenda: A,
    means: Means,
}

impl<A: Agenda> Outside<A> {
    pub(super) fn new(agenda: A, means: Means) -> Self {
        Self { agenda, means }
    }

    /// Ours, if an earlier send of the same call put it there: it is then what makes its own time busy.
    async fn own(&self, booking: &Booking<'_, '_>, resource: &str) -> Result<Option<Entered>, Failure> {
        let found = self.agenda.find(resource, booking.draft.id).await?;
        match &found {
            Some(entered) if entered.asked.as_deref() != Some(booking.draft.asked) => {
                let message =
                    format!("`{}` is there already, and was asked for with other arguments", booking.draft.id);
                Err(Failure::refused(code::KEY_REUSED, message))
            }
            Some(_) | None => Ok(found),
        }
    }

    /// Enters it in a calendar that was free, and looks again. `None` if somebody else has the time.
    async fn take(
        &self,
        booking: &Booking<'_, '_>,
        placed: &mut Placed<'_>,
        resource: &str,
    ) -> Result<Option<Value>, Failure> {
        // First it is written down where it goes, so that whoever cancels it knows where it is.
        placed.enters(self.agenda.name(), resource, &self.agenda.at(resource)).await?;
        match self.agenda.enter(resource, &booking.draft).await? {
            Put::Made(entered) => self.keep(booking, placed, resource, &entered).await,
            Put::There => match self.own(booking, resource).await.map_err(after)? {
                Some(entered) => self.keep(booking, placed, resource, &entered).await,
                None => Ok(None),
            },
        }
    }

    /// The entry is there: it stays if the time is its own. Whatever fails from here on fails after acting.
    async fn keep(
        &self,
        booking: &Booking<'_, '_>,
        placed: &mut Placed<'_>,
        resource: &str,
        entered: &Entered,
    ) -> Result<Option<Value>, Failure> {
        let draft = &booking.draft;
        if entered.cancelled {
            // Taken back for somebody else, it may go elsewhere; taken out by anybody, it was undone.
            return if placed.has_left(resource) { Ok(None) } else { Err(undone(draft.id)) };
        }
        let others = self.agenda.others(resource, draft, &booking.wanted.zone).await.map_err(after)?;
        // Of two, at most one finds that all others were there strictly later.
        let later = |made: Option<i64>| made.zip(entered.made).is_some_and(|(other, own)| other > own);
        if others.iter().all(|other| !other.range.overlaps(draft.held) || later(other.made)) {
            return Ok(Some(booked(
                draft.id,
                booking.wanted,
                booking.slot,
                (resource, self.agenda.name()),
                booking.request,
            )));
        }
        placed.leaves(resource).await.map_err(after)?;
        self.agenda.remove(resource, entered).await.map_err(after)?;
        Ok(None)
    }

    /// The booking of an earlier send, or the calendars that are free. All are asked, for it may be in one that somebody
    /// else has the lease of now.
    async fn free_or_kept(&self, booking: &Booking<'_, '_>, placed: &mut Placed<'_>) -> Result<Candidates, Failure> {
        let wanted = booking.wanted;
        let busy = self.agenda.busy(&wanted.resources, booking.draft.held, &wanted.zone).await?;
        let mut free = Vec::new();
        for (resource, ranges) in wanted.resources.iter().zip(busy) {
            if !ranges.iter().any(|range| range.overlaps(booking.draft.held)) {
                free.push((*resource).to_owned());
            } else if let Some(entered) = self.own(booking, resource).await? {
                // One that goes for somebody else, now or before, may be in the next calendar.
                if let Some(output) = self.keep(booking, placed, resource, &entered).await? {
                    return Ok(Candidates::Own(output));
                }
            }
        }
        Ok(Candidates::Free(free))
    }

    /// Of all who want a time at once, the one with the lease asks the service; the others are told to come again.
    async fn make(&self, booking: &Booking<'_, '_>) -> Result<Value, Failure> {
        let (draft, wanted) = (&booking.draft, booking.wanted);
        let lease = Lease::new(&self.means, self.agenda.name(), booking.request, draft.id);
        let mut leased = Vec::with_capacity(wanted.resources.len());
        for resource in &wanted.resources {
            if lease.take(draft, resource).await? {
                leased.push(*resource);
            }
        }
        if leased.is_empty() {
            return Err(under_way(booking));
        }
        let made = self.make_in(booking, &leased).await;
        lease.give_back().await;
        made
    }

    /// Books in the first of the leased calendars that is free.
    async fn make_in(&self, booking: &Booking<'_, '_>, leased: &[&str]) -> Result<Value, Failure> {
        let wanted = booking.wanted;
        let taken = || {
            let tried = wanted.resources.join("`, `");
            let message = format!("{} {} is taken in `{tried}`", wanted.date, booking.slot.label());
            Failure::refused(code::SLOT_TAKEN, message)
        };
        let mut placed = Placed::find(&self.means, &booking.request.call.tenant, booking.draft.id).await?;
        if placed.is_cancelling() {
            return Err(undone(booking.draft.id));
        }
        let free = match self.free_or_kept(booking, &mut placed).await? {
            Candidates::Own(output) => return Ok(output),
            Candidates::Free(free) => free,
        };
        // Nothing is there yet, so it counts from here whether it can still be booked.
        wanted.chosen(self.means.clock.now())?;
        for resource in free.iter().filter(|resource| leased.contains(&resource.as_str())) {
            if let Some(output) = self.take(booking, &mut placed, resource).await? {
                return Ok(output);
            }
        }
        if leased.len() < wanted.resources.len() { Err(under_way(booking)) } else { Err(taken()) }
    }

    /// It is in none of the calendars, and nothing says that it ever was.
    fn elsewhere(&self, placed: &Placed<'_>, id: &str) -> Failure {
        let name = self.agenda.name();
        let message = match placed.provider() {
            Some(_) => format!(
                "the booking `{id}` is not at {name}, and was made in a calendar or with an account there that the \
                 settings name no longer; cancel it where it is"
            ),
            None => format!("no calendar of {name} has the booking `{id}`, and it is not known where it was made"),
        };
        Failure::refused(code::BOOKING_NOT_FOUND, message)
    }

    /// With the booking that a request stands for, whenever it is sent.
    fn booking<'b, 'c>(
        wanted: &'b Wanted<'c>,
        slot: &'b Slot,
        request: &'b Request,
        texts: &'b Texts,
    ) -> Booking<'b, 'c> {
        let draft = Draft {
            id: &texts.id,
            range: slot.range,
            held: wanted.held(slot),
            zone: &wanted.zone,
            summary: &texts.summary,
            description: &texts.description,
            asked: &texts.asked,
            at: request.call.at.as_ms(),
        };
        Booking { wanted, slot, request, draft }
    }
}

/// Where a booking may go.
enum Candidates {
    /// It is there already.
    Own(Value),
    Free(Vec<String>),
}

struct Booking<'b, 'c> {
    wanted: &'b Wanted<'c>,
    slot: &'b Slot,
    request: &'b Request,
    draft: Draft<'b>,
}

/// What an entry says.
struct Texts {
    id: String,
    asked: String,
    summary: String,
    description: String,
}

impl Texts {
    fn of(request: &Request) -> Self {
        let id = request.id(PREFIX);
        let mut description = String::new();
        for name in KEPT {
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

/// Whoever has the lease may fail, so this is worth another try.
fn under_way(booking: &Booking<'_, '_>) -> Failure {
    let message = format!("{} {} is being booked by somebody else", booking.wanted.date, booking.slot.label());
    Failure::later(code::SLOT_TAKEN, message)
}

/// The entry is there, so a failure does not mean that nothing was done; unless it is another's entry.
fn after(failure: Failure) -> Failure {
    match failure.fault().code.as_ref() {
        code::KEY_REUSED => failure,
        _ => Failure::Unknown { fault: failure.fault().clone() },
    }
}

#[async_trait]
impl<A: Agenda> Keeper for Outside<A> {
    fn name(&self) -> &'static str {
        self.agenda.name()
    }

    fn account(&self, calendar: &Config) -> Option<String> {
        let places = calendar.resources.iter().map(|resource| self.agenda.at(resource).to_string());
        let places = Hash::of(places.collect::<Vec<_>>().join("\n").as_bytes());
        Some(format!("{}, calendars {}", self.agenda.account(), places.short()))
    }

    async fn free(&self, wanted: &Wanted<'_>, offered: Vec<Slot>, _request: &Request) -> Result<Vec<Slot>, Failure> {
        let (Some(first), Some(last)) = (offered.first(), offered.last()) else { return Ok(Vec::new()) };
        let whole = Range { from: wanted.held(first).from, to: wanted.held(last).to };
        let busy = self.agenda.busy(&wanted.resources, whole, &wanted.zone).await?;
        Ok(wanted.free(offered, &busy))
    }

    async fn book(&self, calendar: &Config, request: &Request) -> Result<Value, Failure> {
        let wanted = Wanted::read(calendar, request)?;
        // As of when it was scheduled: a call that is sent again is about the same appointment.
        let slot = wanted.chosen(request.call.at)?;
        let texts = Texts::of(request);
        self.make(&Self::booking(&wanted, &slot, request, &texts)).await
    }

    async fn cancel(&self, calendar: &Config, request: &Request) -> Result<Value, Failure> {
        let id = request.text("booking_id").unwrap_or_default();
        if !is_ours(id) {
            return Err(Failure::refused(code::BOOKING_NOT_FOUND, format!("there is no booking `{id}`")));
        }
        let zone = super::wanted::zone(request)?;
        let mut placed = Placed::find(&self.means, &request.call.tenant, id).await?;
        placed.cancelling().await?;
        let mut found = None;
        for resource in &calendar.resources {
            // One that it left for somebody else may say that it is cancelled there; it may be in the next.
            match self.agenda.find(resource, id).await? {
                Some(entered) if entered.cancelled => found = found.or(Some(entered)),
                Some(entered) => {
                    self.agenda.remove(resource, &entered).await?;
                    found = Some(entered);
                    break;
                }
                None => {}
            }
        }
        // What is gone from where it was booked is cancelled, whoever did it.
        let is_here = || calendar.resources.iter().any(|resource| placed.is_at(&self.agenda.at(resource)));
        if found.is_none() && !placed.is_cancelled() && !is_here() {
            return Err(self.elsewhere(&placed, id));
        }
        placed.cancelled().await.map_err(after)?;
        let range = found.and_then(|entered| entered.range);
        Ok(json!({
            "booking_id": id,
            "id": id,
            "status": "cancelled",
            "date": range.map(|range| zone.to_datetime(timestamp(range.from)).date().to_string()),
            "time": range.map(|range| clock(range.from, &zone)),
            "cancelled_at": self.means.clock.now().to_string(),
            "provider": self.agenda.name(),
        }))
    }

    async fn look_up(&self, calendar: &Config, request: &Request) -> Result<Value, Failure> {
        let wanted = Wanted::read(calendar, request).map_err(Failure::undecided)?;
        let slot = wanted.chosen(request.call.at).map_err(Failure::undecided)?;
        let texts = Texts::of(request);
        let booking = Self::booking(&wanted, &slot, request, &texts);
        for resource in &wanted.resources {
            let found = self.own(&booking, resource).await.map_err(Failure::undecided)?;
            if found.is_some_and(|entered| !entered.cancelled) {
                return Ok(booked(&texts.id, &wanted, &slot, (resource, self.agenda.name()), request));
            }
        }
        Err(Failure::later(code::CALENDAR_UNAVAILABLE, format!("`{}` is in no calendar", texts.id)))
    }
}

fn timestamp(at: i64) -> jiff::Timestamp {
    baton_core::time::Time::from_ms(at).to_timestamp()
}

/// Whether an id is of the form that bookings made here have: no other entry of a calendar is taken out of it.
fn is_ours(id: &str) -> bool {
    let digits = id.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('_'));
    digits.is_some_and(|digits| digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
