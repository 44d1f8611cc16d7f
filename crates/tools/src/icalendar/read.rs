//! Reads events and busy periods.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::event::CalendarEvent;
use super::line::{ContentLine, lines};
use super::time::{DateValue, duration, offset};
use super::zone::{DescribedZone, ZoneTable};
use super::{BYTES_MAX, DEPTH_MAX, ENTRIES_MAX, ICalendarError};

/// The content of a text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ParsedCalendar {
    pub events: Vec<CalendarEvent>,
    /// Busy periods of a free-busy response: milliseconds since the epoch, the end exclusive.
    pub periods: Vec<(i64, i64)>,
}

/// Reads a text of one or several `VCALENDAR`s. Times without a zone are in `zone`.
///
/// # Errors
/// The text is not iCalendar, or has a time that cannot be determined. Nothing can then be said about free times.
pub fn read(text: &str, zone: &TimeZone) -> Result<ParsedCalendar, ICalendarError> {
    if text.len() > BYTES_MAX {
        return Err(ICalendarError { line: 1, reason: format!("{} bytes, over the limit of {BYTES_MAX}", text.len()) });
    }
    let components = components(lines(text)?)?;
    let mut zones = ZoneTable::default();
    for component in components.iter().filter(|component| component.name == "VTIMEZONE") {
        component.describe(&components, &mut zones);
    }
    let mut calendar = ParsedCalendar::default();
    for component in &components {
        match component.name.as_str() {
            "VEVENT" => calendar.events.push(component.event(&zones, zone)?),
            "VFREEBUSY" => component.periods(&mut calendar.periods)?,
            _ => {}
        }
        if calendar.events.len() + calendar.periods.len() > ENTRIES_MAX {
            return Err(component.error(format!("more than {ENTRIES_MAX} events")));
        }
    }
    Ok(calendar)
}

/// The lines between a `BEGIN` and its `END`, without those of nested components.
#[derive(Debug)]
struct CalendarComponent {
    name: String,
    line: usize,
    /// The index of the enclosing component.
    within: Option<usize>,
    lines: Vec<ContentLine>,
}

fn components(lines: Vec<ContentLine>) -> Result<Vec<CalendarComponent>, ICalendarError> {
    let mut components: Vec<CalendarComponent> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    for line in lines {
        match line.name.as_str() {
            "BEGIN" => {
                if open.len() >= DEPTH_MAX {
                    return Err(line.error(format!("components are nested deeper than {DEPTH_MAX}")));
                }
                let name = line.value.trim().to_ascii_uppercase();
                components.push(CalendarComponent {
                    name,
                    line: line.number,
                    within: open.last().copied(),
                    lines: Vec::new(),
                });
                open.push(components.len() - 1);
            }
            "END" => {
                let name = line.value.trim().to_ascii_uppercase();
                match open.pop().and_then(|at| components.get(at)) {
                    Some(component) if component.name == name => {}
                    Some(component) => {
                        let reason = format!("`END:{name}` ends `{}` of line {}", component.name, component.line);
                        return Err(line.error(reason));
                    }
                    None => return Err(line.error(format!("`END:{name}` ends nothing"))),
                }
            }
            _ => match open.last().and_then(|at| components.get_mut(*at)) {
                Some(component) => component.lines.push(line),
                None => return Err(line.error("stands outside of any component")),
            },
        }
    }
    match open.pop().and_then(|at| components.get(at)) {
        Some(component) => Err(component.error(format!("`{}` does not end", component.name))),
        None => Ok(components),
    }
}

impl CalendarComponent {
    fn error(&self, reason: impl Into<String>) -> ICalendarError {
        ICalendarError { line: self.line, reason: reason.into() }
    }

    fn find(&self, name: &str) -> Option<&ContentLine> {
        self.lines.iter().find(|line| line.name == name)
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.find(name).is_some_and(|line| line.value.trim().eq_ignore_ascii_case(value))
    }

    /// Records a `VTIMEZONE`, whose offsets are in the nested components.
    fn describe(&self, all: &[Self], zones: &mut ZoneTable) {
        let Some(name) = self.find("TZID") else { return };
        let inside = all.iter().filter(|inner| {
            let parent = inner.within.and_then(|at| all.get(at));
            parent.is_some_and(|parent| parent.line == self.line)
        });
        let changes = inside.flat_map(|inner| [inner.find("TZOFFSETFROM"), inner.find("TZOFFSETTO")]);
        let offsets = changes.flatten().filter_map(|line| offset(&line.value)).collect();
        let known_as = self.find("X-LIC-LOCATION").map(|line| line.value.trim().to_owned());
        zones.insert(name.value.trim().to_owned(), DescribedZone { iana_name: known_as, offsets });
    }

    fn event(&self, zones: &ZoneTable, zone: &TimeZone) -> Result<CalendarEvent, ICalendarError> {
        let start = self.find("DTSTART").ok_or_else(|| self.error("the event has no DTSTART"))?;
        let (starts, latest) = instants(start, zones, zone)?;
        let ends = match (self.find("DTEND"), self.find("DURATION")) {
            (Some(end), _) => instants(end, zones, zone)?.1,
            (None, Some(length)) => {
                let length = duration(&length.value).ok_or_else(|| length.error("is no duration"))?;
                latest.saturating_add(length.max(0))
            }
            (None, None) => instants(start, zones, zone).map(|(_, latest)| match DateValue::parse(&start.value) {
                Some(DateValue::Day(date)) => date
                    .tomorrow()
                    .ok()
                    .and_then(|next| zones.instants(next.at(0, 0, 0, 0), None, zone))
                    .map_or(latest, |(_, at)| at),
                _ => latest,
            })?,
        };
        let own = self.lines.iter().filter(|line| line.name.starts_with("X-"));
        let cancelled = self.is("STATUS", "CANCELLED");
        Ok(CalendarEvent {
            uid: self.find("UID").map(ContentLine::text).unwrap_or_default(),
            starts,
            ends: ends.max(starts),
            busy: !cancelled && !self.is("TRANSP", "TRANSPARENT"),
            cancelled,
            is_recurring: self.find("RRULE").is_some() || self.find("RDATE").is_some(),
            extensions: own.map(|line| (line.name.clone(), line.text())).collect::<BTreeMap<_, _>>(),
        })
    }

    /// Reads the periods of a free-busy response. Some versions of Radicale write each period as a component of its
    /// own.
    fn periods(&self, periods: &mut Vec<(i64, i64)>) -> Result<(), ICalendarError> {
        let before = periods.len();
        let is_free =
            |line: &ContentLine| line.parameter("FBTYPE").is_some_and(|kind| kind.eq_ignore_ascii_case("FREE"));
        let mut told = false;
        for line in self.lines.iter().filter(|line| line.name == "FREEBUSY") {
            told = true;
            for period in line.value.split(',').filter(|_| !is_free(line)) {
                periods.push(read_period(period).ok_or_else(|| line.error(format!("`{period}` is no period")))?);
            }
        }
        let alone = self.find("FBTYPE").filter(|line| !line.value.trim().eq_ignore_ascii_case("FREE"));
        if let (false, Some(line)) = (told, alone) {
            let instant = |name: &str| match self.find(name).and_then(|line| DateValue::parse(&line.value)) {
                Some(DateValue::Instant(at)) => Some(at),
                Some(DateValue::Day(_) | DateValue::Local(_)) | None => None,
            };
            let period = instant("DTSTART").zip(instant("DTEND"));
            periods.push(period.ok_or_else(|| line.error("the busy period has no DTSTART and DTEND in UTC"))?);
        }
        periods[before..].sort_unstable();
        Ok(())
    }
}

/// `start/end` or `start/duration`, in UTC.
fn read_period(text: &str) -> Option<(i64, i64)> {
    let (start, end) = text.trim().split_once('/')?;
    let DateValue::Instant(from) = DateValue::parse(start)? else { return None };
    let to = match DateValue::parse(end) {
        Some(DateValue::Instant(to)) => to,
        Some(DateValue::Day(_) | DateValue::Local(_)) => return None,
        None => from.checked_add(duration(end)?)?,
    };
    (from <= to).then_some((from, to))
}

/// Returns the earliest and the latest instant that a time can mean.
fn instants(line: &ContentLine, zones: &ZoneTable, zone: &TimeZone) -> Result<(i64, i64), ICalendarError> {
    let moment = DateValue::parse(&line.value).ok_or_else(|| line.error(format!("`{}` is no time", line.value)))?;
    let name = line.parameter("TZID");
    let (local, name) = match moment {
        DateValue::Instant(at) => return Ok((at, at)),
        // A whole day is a day in the calendar's own zone.
        DateValue::Day(date) => (date.at(0, 0, 0, 0), None),
        DateValue::Local(local) => (local, name),
    };
    zones.instants(local, name, zone).ok_or_else(|| {
        line.error(format!("the zone `{}` is not known and not described", name.unwrap_or("of the calendar")))
    })
}
