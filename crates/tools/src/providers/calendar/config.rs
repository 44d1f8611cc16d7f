//! A calendar's settings: hours, holidays, treatments, resources.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroU16;

use jiff::civil::{Date, Weekday};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::caldav::config::CalDavConfig;
use super::calendly::config::CalendlyConfig;
use super::google::config::GoogleCalendarConfig;

const DAY_MINUTES: u16 = 24 * 60;
/// The shortest interval between two offered times.
const STEP_MINUTES_MIN: u16 = 5;

/// The settings, as `baton.toml` writes them. Default hours: Monday to Friday 9 to 18, Saturday 9 to 14.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CalendarConfig {
    /// By day; a day that is not listed is closed.
    pub hours: BTreeMap<OpeningDay, Vec<OpeningHours>>,
    pub holidays: BTreeSet<Date>,
    /// What can be booked: rooms, people. A booking uses one of them.
    pub resources: Vec<String>,
    /// By name, case-insensitive. If empty, anything can be booked, for `duration_minutes`.
    pub treatments: BTreeMap<String, TreatmentConfig>,
    pub duration_minutes: NonZeroU16,
    /// Interval between offered times. Default: the length of the appointment with its buffers.
    pub step_minutes: Option<SlotStep>,
    /// How many days ahead an appointment can be booked.
    pub days_ahead_max: u16,
    /// How many minutes before its start an appointment must be booked.
    pub notice_minutes: u32,
    /// The provider of the calendar.
    pub provider: CalendarProviderKind,
    pub google: Option<GoogleCalendarConfig>,
    pub calendly: Option<CalendlyConfig>,
    pub caldav: Option<CalDavConfig>,
}

/// The provider of a calendar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CalendarProviderKind {
    /// This installation.
    #[default]
    Internal,
    Google,
    Calendly,
    CalDav,
}

/// What an appointment is for.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TreatmentConfig {
    pub duration_minutes: Option<NonZeroU16>,
    /// Kept free around the appointment, also outside the opening hours.
    pub buffer_before_minutes: u16,
    pub buffer_after_minutes: u16,
    /// The suitable resources; empty means all.
    pub resources: Vec<String>,
}

impl Default for CalendarConfig {
    fn default() -> Self {
        let weekday = vec![OpeningHours { from: 9 * 60, to: 18 * 60 }];
        let mut hours: BTreeMap<OpeningDay, Vec<OpeningHours>> =
            [OpeningDay::Monday, OpeningDay::Tuesday, OpeningDay::Wednesday, OpeningDay::Thursday, OpeningDay::Friday]
                .map(|day| (day, weekday.clone()))
                .into();
        hours.insert(OpeningDay::Saturday, vec![OpeningHours { from: 9 * 60, to: 14 * 60 }]);
        Self {
            hours,
            holidays: BTreeSet::new(),
            resources: vec!["main".to_owned()],
            treatments: BTreeMap::new(),
            duration_minutes: NonZeroU16::new(60).unwrap_or(NonZeroU16::MIN),
            step_minutes: None,
            days_ahead_max: 365,
            notice_minutes: 0,
            provider: CalendarProviderKind::Internal,
            google: None,
            calendly: None,
            caldav: None,
        }
    }
}

impl CalendarConfig {
    /// Checks the settings across fields: treatments must not require unknown resources.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (name, treatment) in &self.treatments {
            if let Some(missing) = treatment.resources.iter().find(|resource| !self.resources.contains(resource)) {
                return Err(format!("the treatment `{name}` needs `{missing}`, which is not among `resources`"));
            }
        }
        Ok(())
    }

    /// Returns each resource's calendar, from the setting `name`. `alone` is the default for a single resource. The
    /// error states what is missing.
    pub(super) fn places(
        &self,
        name: &str,
        places: &BTreeMap<String, String>,
        alone: Option<&str>,
    ) -> Result<BTreeMap<String, String>, String> {
        if let Some(unknown) = places.keys().find(|resource| !self.resources.contains(resource)) {
            return Err(format!("`{name}` names `{unknown}`, which is not among `resources`"));
        }
        if let (true, [only], Some(alone)) = (places.is_empty(), self.resources.as_slice(), alone) {
            return Ok([(only.clone(), alone.to_owned())].into());
        }
        match self.resources.iter().find(|resource| !places.contains_key(*resource)) {
            Some(missing) => Err(format!("`{name}` does not say which calendar is that of `{missing}`")),
            None => Ok(places.clone()),
        }
    }

    /// The longest buffer of any treatment, in milliseconds.
    pub(super) fn buffer_max(&self) -> i64 {
        let buffers = self.treatments.values().map(|kind| kind.buffer_before_minutes.max(kind.buffer_after_minutes));
        i64::from(buffers.max().unwrap_or(0)) * 60_000
    }

    pub(super) fn treatment(&self, name: &str) -> Option<&TreatmentConfig> {
        let same = |known: &str| known.trim().to_lowercase() == name.trim().to_lowercase();
        self.treatments.iter().find(|(known, _)| same(known)).map(|(_, treatment)| treatment)
    }

    /// Returns whether a calendar is configured: it needs at least one opening and one resource.
    pub(super) fn is_set_up(&self) -> bool {
        self.hours.values().any(|openings| !openings.is_empty()) && !self.resources.is_empty()
    }

    /// The opening hours on a date; none on a holiday.
    pub(super) fn openings(&self, date: Date) -> &[OpeningHours] {
        if self.holidays.contains(&date) {
            return &[];
        }
        self.hours.get(&OpeningDay::from(date.weekday())).map(Vec::as_slice).unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OpeningDay {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl From<Weekday> for OpeningDay {
    fn from(day: Weekday) -> Self {
        match day {
            Weekday::Monday => Self::Monday,
            Weekday::Tuesday => Self::Tuesday,
            Weekday::Wednesday => Self::Wednesday,
            Weekday::Thursday => Self::Thursday,
            Weekday::Friday => Self::Friday,
            Weekday::Saturday => Self::Saturday,
            Weekday::Sunday => Self::Sunday,
        }
    }
}

/// `"09:00-18:00"`: minutes of the day; the end may be `24:00`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct OpeningHours {
    pub(super) from: u16,
    pub(super) to: u16,
}

impl fmt::Debug for OpeningHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}-{:02}:{:02}", self.from / 60, self.from % 60, self.to / 60, self.to % 60)
    }
}

impl<'de> Deserialize<'de> for OpeningHours {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let opening = text.split_once('-').and_then(|(from, to)| Some((minutes(from)?, minutes(to)?)));
        match opening {
            Some((from, to)) if from < to => Ok(Self { from, to }),
            _ => Err(D::Error::custom(format!(
                "`{text}` is no opening time; write `09:00-18:00`, at most to `24:00`, and one past midnight as two"
            ))),
        }
    }
}

/// Parses `HH:MM`, up to `24:00`, to minutes of the day.
pub(super) fn minutes(time: &str) -> Option<u16> {
    let (hours, minutes) = time.trim().split_once(':')?;
    let digits = |text: &str| !text.is_empty() && text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(hours) || !digits(minutes) {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    let total = hours * 60 + minutes;
    (minutes < 60 && total <= DAY_MINUTES).then_some(total)
}

/// Minutes between offered times, at least [`STEP_MINUTES_MIN`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotStep(pub(super) u16);

impl<'de> Deserialize<'de> for SlotStep {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let minutes = u16::deserialize(from)?;
        if (STEP_MINUTES_MIN..=DAY_MINUTES).contains(&minutes) {
            return Ok(Self(minutes));
        }
        Err(D::Error::custom(format!("`step_minutes` is {minutes}; it may be {STEP_MINUTES_MIN} to {DAY_MINUTES}")))
    }
}
