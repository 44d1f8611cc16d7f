//! Presets: one action of a tool under a name of its own.

use super::entry::ToolEntry;

pub(super) struct ToolPreset {
    pub(super) name: &'static str,
    pub(super) base: &'static str,
    /// The action it always performs; `None` leaves the tool unchanged.
    action: Option<&'static str>,
}

pub(super) const PRESETS: &[ToolPreset] = &[
    ToolPreset { name: "check_availability", base: "google_calendar", action: Some("check_availability") },
    ToolPreset { name: "execute_booking", base: "google_calendar", action: Some("create_booking") },
    ToolPreset { name: "create_booking", base: "google_calendar", action: Some("create_booking") },
    ToolPreset { name: "cancel_booking", base: "google_calendar", action: Some("cancel_booking") },
    ToolPreset { name: "send_notification", base: "send_email", action: None },
];

impl ToolPreset {
    /// Returns whether it does the same as a call of that tool with this action.
    pub(super) fn matches(&self, base: &str, action: Option<&str>) -> bool {
        self.base == base && (self.action.is_none() || self.action == action)
    }

    pub(super) fn of(&self, base: &ToolEntry) -> ToolEntry {
        let entry = base.renamed(self.name);
        match self.action {
            Some(action) => entry.with_fixed_action(action),
            None => entry,
        }
    }
}
