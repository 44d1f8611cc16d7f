//! Settings of what `baton serve` does by itself.

use std::collections::BTreeMap;

use baton_core::usage::BUDGET_HOOK;
use baton_tools::{NotificationHook, ToolDefinition};
use serde::Deserialize;

/// Everything has a default; without addresses nobody is written to.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MaintenanceSettings {
    /// Who is sent the report of a week's tool use, once it is over.
    pub report_to: Vec<String>,
    /// How many hours after the week's end, which is on Monday at midnight by the clocks of each tenant's zone.
    pub report_hours: u8,
    /// Who is written to when an account must be connected again; the desk tells of it too.
    pub reconnect_to: Vec<String>,
    /// Who is written to when 80 % of a budget is spent, and when it is used up; the desk tells of it too.
    pub budgets_to: Vec<String>,
    /// Addresses that are told the same, by name.
    pub budget_hooks: BTreeMap<String, NotificationHook>,
    /// How often the connected accounts of Composio are looked after, in minutes; 0: never by itself.
    pub connections_minutes: u32,
    pub retention: RetentionSettings,
}

/// How many days things are kept; 0: for ever.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionSettings {
    /// Messages of the outbox.
    pub messages_days: u32,
    /// Keys of what was done, from the end of their runs on.
    pub effects_days: u32,
    /// Why each model was chosen, and what it cost.
    pub decisions_days: u32,
    /// Conversations with all that was said, from when they closed on.
    pub conversations_days: u32,
    /// Runs with their journals, from when they ended on.
    pub runs_days: u32,
    /// What memory keeps of conversations that are over and of what agents did.
    pub memory_days: u32,
    /// Rows of the audit trail. The chain then begins at the last row that is gone.
    pub audit_days: u32,
}

impl MaintenanceSettings {
    /// The tool that posts to a hook.
    pub fn hook_tool(name: &str) -> String {
        format!("{BUDGET_HOOK}{name}")
    }

    /// Whether the tool is one of these: for who tells of budgets, and for no workflow and no agent.
    pub fn is_hook(tool: &str) -> bool {
        tool.starts_with(BUDGET_HOOK)
    }

    /// The tools that post to the hooks.
    pub fn hooks(&self) -> Result<Vec<ToolDefinition>, baton_tools::ToolSetupError> {
        self.budget_hooks.iter().map(|(name, hook)| hook.tool(&Self::hook_tool(name))).collect()
    }
}

impl Default for MaintenanceSettings {
    fn default() -> Self {
        Self {
            report_to: Vec::new(),
            report_hours: 7,
            reconnect_to: Vec::new(),
            budgets_to: Vec::new(),
            budget_hooks: BTreeMap::new(),
            connections_minutes: 15,
            retention: RetentionSettings::default(),
        }
    }
}

impl Default for RetentionSettings {
    fn default() -> Self {
        Self {
            messages_days: 90,
            effects_days: 90,
            decisions_days: 90,
            conversations_days: 90,
            runs_days: 90,
            memory_days: 0,
            audit_days: 3_650,
        }
    }
}
