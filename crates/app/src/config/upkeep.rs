//! Settings of what `baton serve` does by itself.

use serde::Deserialize;

/// Everything has a default; without addresses nobody is written to.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Upkeep {
    /// Who is sent the report of a week's tool use, once it is over.
    pub report_to: Vec<String>,
    /// How many hours after the week's end, which is on Monday at midnight, UTC.
    pub report_hours: u8,
    /// Who is written to when an account must be connected again; the desk tells of it too.
    pub reconnect_to: Vec<String>,
    /// How often the connected accounts of Composio are looked after, in minutes; 0: never by itself.
    pub connections_minutes: u32,
    pub retention: Retention,
}

/// How many days things are kept; 0: for ever.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Messages of the outbox.
    pub messages_days: u32,
    /// Keys of what was done, from the end of their runs on.
    pub effects_days: u32,
    /// Why each model was chosen, and what it cost.
    pub decisions_days: u32,
}

impl Default for Upkeep {
    fn default() -> Self {
        Self {
            report_to: Vec::new(),
            report_hours: 7,
            reconnect_to: Vec::new(),
            connections_minutes: 15,
            retention: Retention::default(),
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self { messages_days: 90, effects_days: 90, decisions_days: 90 }
    }
}
