//! A call's request to the calendar.

use baton_core::time::Time;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::config::{CalendarConfig, TreatmentConfig, minutes};
use super::range::TimeRange;
use super::slot::{CalendarSlot, instant};
use crate::code;
use crate::request::PreparedRequest;
use crate::tool_error::ToolError;

const MINUTE_MS: i64 = 60_000;
const STEP_MINUTES_MIN: i64 = 5;

pub(super) struct BookingRequest<'c> {
    calendar: &'c CalendarConfig,
    pub(super) zone: TimeZone,
    pub(super) date: Date,
    /// `HH:MM`, if a time was named.
    pub(super) time: Option<String>,
    duration: i64,
    before: i64,
    after: i64,
    /// The suitable resources, in the order in which they are tried.
    pub(super) resources: Vec<&'c str>,
}

impl<'c> BookingRequest<'c> {
    pub(super) fn read(calendar: &'c CalendarConfig, request: &PreparedRequest) -> Result<Self, ToolError> {
        let invalid = |message: String| ToolError::permanent(code::INVALID_PARAMETERS, message);
        let date = request.text("date").unwrap_or_default();
        let date: Date = date.parse().map_err(|_| invalid(format!("`date` is `{date}`; write YYYY-MM-DD")))?;
        let time = request.text("time").and_then(minutes).map(|time| format!("{:02}:{:02}", time / 60, time % 60));
        let treatment = treatment(calendar, request).map_err(invalid)?;
        let asked = request.argument("duration_minutes").as_i64();
        let usual = treatment.duration_minutes.unwrap_or(calendar.duration_minutes);
        Ok(Self {
            zone: zone(request)?,
            date,
            time,
            duration: asked.unwrap_or(i64::from(usual.get())) * MINUTE_MS,
            before: i64::from(treatment.buffer_before_minutes) * MINUTE_MS,
            after: i64::from(treatment.buffer_after_minutes) * MINUTE_MS,
            resources: resources(calendar, &treatment, request.text("resource")).map_err(invalid)?,
            calendar,
        })
    }

    pub(super) fn duration_minutes(&self) -> i64 {
        self.duration / MINUTE_MS
    }

    /// The range of the appointment with its buffers, which must not overlap other bookings.
    pub(super) fn blocked_range(&self, slot: &CalendarSlot) -> TimeRange {
        TimeRange { from: slot.range.from - self.before, to: slot.range.to + self.after }
    }

    /// Returns the times to offer on the date, in order, whether taken or not.
    pub(super) fn slots(&self, now: Time) -> Vec<CalendarSlot> {
        if self.is_too_far(now) {
            return Vec::new();
        }
        let step = self.calendar.step_minutes.map(|step| i64::from(step.0) * MINUTE_MS);
        let step = step.unwrap_or(self.before + self.duration + self.after).max(STEP_MINUTES_MIN * MINUTE_MS);
        let mut offered = Vec::new();
        for open in self.open() {
            let mut from = open.from;
            while from + self.duration <= open.to {
                let slot = self.slot(from);
                // When clocks go back, one hour occurs twice. Its second occurrence cannot be named, so it is not
                // offered.
                if from >= self.earliest(now) && self.named(&slot.start) == Some(from) {
                    offered.push(slot);
                }
                from += step;
            }
        }
        offered
    }

    /// Returns the offered times at which at least one resource is free, given what is busy for each.
    pub(super) fn free(&self, offered: Vec<CalendarSlot>, busy: &[Vec<TimeRange>]) -> Vec<CalendarSlot> {
        let has = |slot: &CalendarSlot, taken: &[TimeRange]| {
            taken.iter().all(|range| !self.blocked_range(slot).overlaps(*range))
        };
        offered.into_iter().filter(|slot| busy.iter().any(|taken| has(slot, taken))).collect()
    }

    /// Returns the named time, if it can be booked at all.
    pub(super) fn requested_slot(&self, now: Time) -> Result<CalendarSlot, ToolError> {
        let time = self.time.as_deref().unwrap_or_default();
        let at = self.named(time).map(|from| self.slot(from)).filter(|slot| slot.start == time);
        let (date, zone) = (self.date, self.zone.iana_name().unwrap_or("UTC"));
        let Some(slot) = at else {
            let message = format!("{date} has no {time} in {zone}: clocks go forward over it");
            return Err(ToolError::permanent(code::OUTSIDE_HOURS, message));
        };
        if slot.range.from < self.earliest(now) {
            let message = format!("{date} {time} in {zone} is past, or sooner than the notice the calendar asks for");
            return Err(ToolError::permanent(code::DATE_NOT_BOOKABLE, message));
        }
        if self.is_too_far(now) {
            let message = format!("{date} is more than {} days ahead", self.calendar.days_ahead_max);
            return Err(ToolError::permanent(code::DATE_NOT_BOOKABLE, message));
        }
        if !self.open().any(|open| open.from <= slot.range.from && slot.range.to <= open.to) {
            let hours = self.calendar.openings(date);
            let message = match hours {
                [] => format!("{date} is closed all day: {}", self.no_slots_reason(now)),
                hours => format!("{date} {} is outside the opening hours {hours:?}", slot.label()),
            };
            return Err(ToolError::permanent(code::OUTSIDE_HOURS, message));
        }
        Ok(slot)
    }

    /// Returns why no time is offered on the date.
    pub(super) fn no_slots_reason(&self, now: Time) -> &'static str {
        match () {
            () if self.date < self.today(now) => "past",
            () if self.is_too_far(now) => "too_far_ahead",
            () if self.calendar.holidays.contains(&self.date) => "holiday",
            () if self.calendar.openings(self.date).is_empty() => "closed",
            () => "too_late",
        }
    }

    fn open(&self) -> impl Iterator<Item = TimeRange> {
        self.calendar.openings(self.date).iter().filter_map(|opening| {
            let at = |minutes| instant(self.date, minutes, &self.zone);
            Some(TimeRange { from: at(opening.from)?, to: at(opening.to)? })
        })
    }

    fn slot(&self, from: i64) -> CalendarSlot {
        CalendarSlot::new(TimeRange { from, to: from + self.duration }, &self.zone)
    }

    fn named(&self, time: &str) -> Option<i64> {
        instant(self.date, minutes(time)?, &self.zone)
    }

    fn earliest(&self, now: Time) -> i64 {
        now.as_ms() + i64::from(self.calendar.notice_minutes) * MINUTE_MS
    }

    fn today(&self, now: Time) -> Date {
        self.zone.to_datetime(now.to_timestamp()).date()
    }

    fn is_too_far(&self, now: Time) -> bool {
        let days = jiff::Span::new().days(i64::from(self.calendar.days_ahead_max));
        self.today(now).checked_add(days).is_ok_and(|last| self.date > last)
    }
}

/// Returns the zone of a request's dates and times.
pub(super) fn zone(request: &PreparedRequest) -> Result<TimeZone, ToolError> {
    let name = request.zone();
    TimeZone::get(name)
        .map_err(|_| ToolError::permanent(code::INVALID_PARAMETERS, format!("unknown time zone `{name}`")))
}

fn treatment(calendar: &CalendarConfig, request: &PreparedRequest) -> Result<TreatmentConfig, String> {
    let Some(name) = request.text("treatment").filter(|_| !calendar.treatments.is_empty()) else {
        return Ok(TreatmentConfig::default());
    };
    calendar.treatment(name).cloned().ok_or_else(|| {
        let known: Vec<&str> = calendar.treatments.keys().map(String::as_str).collect();
        format!("there is no treatment `{name}`; there are `{}`", known.join("`, `"))
    })
}

fn resources<'c>(
    calendar: &'c CalendarConfig,
    treatment: &TreatmentConfig,
    asked: Option<&str>,
) -> Result<Vec<&'c str>, String> {
    let fits =
        |resource: &&str| treatment.resources.is_empty() || treatment.resources.iter().any(|fit| fit == resource);
    let mut fitting: Vec<&str> =
        calendar.resources.iter().map(String::as_str).filter(|resource| fits(resource)).collect();
    if let Some(asked) = asked {
        let known = fitting.join("`, `");
        fitting.retain(|resource| *resource == asked);
        if fitting.is_empty() {
            return Err(format!("the resource `{asked}` will not do; there are `{known}`"));
        }
    }
    Ok(fitting)
}
