//! The time zones that a text uses.

use std::collections::BTreeMap;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The zones that a text describes itself, by `TZID`.
#[derive(Debug, Default)]
pub(super) struct ZoneTable(BTreeMap<String, DescribedZone>);

/// The parts in use of a zone that a text describes.
#[derive(Debug, Default)]
pub(super) struct DescribedZone {
    /// The zone that `X-LIC-LOCATION` names.
    pub(super) iana_name: Option<String>,
    /// Every offset that the zone ever has, in seconds east of Greenwich.
    pub(super) offsets: Vec<i32>,
}

impl ZoneTable {
    pub(super) fn insert(&mut self, name: String, own: DescribedZone) {
        self.0.insert(name, own);
    }

    /// Returns the earliest and the latest instant that a wall-clock time in a zone can mean. They are equal if the
    /// zone is known by its name. If only its offsets are known, the result covers all of them, so that no busy time
    /// is reported as free.
    pub(super) fn instants(&self, local: DateTime, name: Option<&str>, own: &TimeZone) -> Option<(i64, i64)> {
        let once = |zone: &TimeZone| {
            let at = zone.to_ambiguous_timestamp(local).compatible().ok()?.as_millisecond();
            Some((at, at))
        };
        let Some(name) = name else { return once(own) };
        if let Some(zone) = iana_zone(name) {
            return once(&zone);
        }
        let described = self.0.get(name)?;
        if let Some(zone) = described.iana_name.as_deref().and_then(iana_zone) {
            return once(&zone);
        }
        let (least, most) = (described.offsets.iter().min()?, described.offsets.iter().max()?);
        let utc = TimeZone::UTC.to_timestamp(local).ok()?.as_millisecond();
        Some((utc.checked_sub(i64::from(*most) * 1_000)?, utc.checked_sub(i64::from(*least) * 1_000)?))
    }
}

/// Finds a zone by its IANA name, also behind a vendor's prefix: `/freeassociation.sourceforge.net/Europe/Madrid`.
fn iana_zone(name: &str) -> Option<TimeZone> {
    let mut rest = name.trim().trim_start_matches('/');
    for _ in 0..4 {
        if let Ok(zone) = TimeZone::get(rest) {
            return Some(zone);
        }
        (_, rest) = rest.split_once('/')?;
    }
    None
}
