//! One action of a tool under a name of its own.

use super::entry::Entry;

pub(super) struct Preset {
    pub(super) name: &'static str,
    pub(super) base: &'static str,
    /// The action it always performs; `None` is the tool as it is.
    action: Option<&'static str>,
}

pub(super) const PRESETS: &[Preset] = &[
    Preset { name: "check_availability", base: "google_calendar", action: Some("check_availability") },
    Preset { name: "execute_booking", base: "google_calendar", action: Some("create_booking") },
    Preset { name: "create_booking", base: "google_calendar", action: Some("create_booking") },
    Preset { name: "cancel_booking", base: "google_calendar", action: Some("cancel_booking") },
    Preset { name: "send_notification", base: "send_email", action: None },
];

impl Preset {
    /// Whether it does what a call of that tool for this action does.
    pub(super) fn does(&self, base: &str, action: Option<&str>) -> bool {
        self.base == base && (self.action.is_none() || self.action == action)
    }

    pub(super) fn of(&self, base: &Entry) -> Entry {
        let entry = base.renamed(self.name);
        match self.action {
            Some(action) => entry.always(action),
            None => entry,
        }
    }
}
