//! Settings of the periodic jobs of `baton serve`.

use std::collections::BTreeMap;

use baton_core::usage::BUDGET_HOOK;
use baton_tools::{NotificationHook, ToolDefinition};
use serde::Deserialize;

/// Settings of the maintenance jobs. Every field has a default. Without addresses no e-mail is sent.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MaintenanceSettings {
    /// Recipients of the weekly tool usage report, sent after the week ends.
    pub report_to: Vec<String>,
    /// Delay of the report after the end of the week, in hours. A week ends on Monday at midnight in each tenant's time
    /// zone.
    pub report_hours: u8,
    /// Recipients of the notice that an account must be reconnected. The task inbox shows it too.
    pub reconnect_to: Vec<String>,
    /// Recipients of the notices that 80 % of a budget is spent, and that it is used up. The task inbox shows them too.
    pub budgets_to: Vec<String>,
    /// Hooks that receive the same notices, by name.
    pub budget_hooks: BTreeMap<String, NotificationHook>,
    /// Interval between checks of the connected Composio accounts, in minutes. 0 disables the checks.
    pub connections_minutes: u32,
    pub retention: RetentionSettings,
}

/// Retention periods, in days. 0 keeps data forever.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionSettings {
    /// Messages in the outbox.
    pub messages_days: u32,
    /// Idempotency keys of completed effects, counted from the end of their runs.
    pub effects_days: u32,
    /// Model decisions: why each model was chosen, and what it cost.
    pub decisions_days: u32,
    /// Conversations with their transcripts, counted from when they closed.
    pub conversations_days: u32,
    /// Runs with their journals, counted from when they ended.
    pub runs_days: u32,
    /// Memory of closed conversations and of the work of agents.
    pub memory_days: u32,
    /// Rows of the audit trail. After a deletion the chain starts at the last deleted row.
    pub audit_days: u32,
}

impl MaintenanceSettings {
    /// The name of the tool that posts to a hook.
    pub fn hook_tool(name: &str) -> String {
        format!("{BUDGET_HOOK}{name}")
    }

    /// Whether the tool is a notification hook. Hooks serve only budget notices. Workflows and agents cannot call them.
    pub fn is_hook(tool: &str) -> bool {
        tool.starts_with(BUDGET_HOOK)
    }

    /// The definitions of the tools that post to the hooks.
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
