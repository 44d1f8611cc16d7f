//! Usage statistics of tools: counts, success, latency, errors and cost, aggregated from the audit trail.

mod week;

use std::collections::BTreeMap;

use serde::Serialize;

pub use week::IsoWeek;

use crate::money::Usd;
use crate::time::TimeZone;
use crate::tool::{AuditRow, AuditStatus};

/// A tool with fewer uses in [`UNDER_USED_DAYS`] is under-used.
pub const UNDER_USED_CALLS: u64 = 10;
/// The period for under-used tools, in days.
pub const UNDER_USED_DAYS: u32 = 30;

/// The name prefix of the tools that post to budget hooks, before the hook's name. They belong to no app.
pub const BUDGET_HOOK: &str = "budget_hook.";

/// The dimension of an aggregation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageDimension {
    Tool,
    /// The origin of a tool, if its name contains one: the Composio app, the MCP server or the document.
    App,
    Tenant,
    Agent,
    /// The person on whose behalf the call was made.
    User,
    /// `2026-11-22`.
    Day,
    /// `2026-11`.
    Month,
}

impl UsageDimension {
    pub fn word(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::App => "app",
            Self::Tenant => "tenant",
            Self::Agent => "agent",
            Self::User => "user",
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// Returns the value of this dimension for a row; empty if it has none. Days and months are in a time zone.
    pub fn of(self, row: &AuditRow, zone: &TimeZone) -> String {
        let day = || row.at.to_timestamp().to_zoned(zone.clone()).date().to_string();
        match self {
            Self::Tool => row.action.clone(),
            Self::App if row.action.starts_with(BUDGET_HOOK) => String::new(),
            Self::App => row.action.split_once('.').map(|(app, _)| app.to_owned()).unwrap_or_default(),
            Self::Tenant => row.company_id.to_string(),
            Self::Agent => row.agent_name.clone().unwrap_or_default(),
            Self::User => row.user_id.clone().unwrap_or_default(),
            Self::Day => day(),
            Self::Month => day().chars().take("2026-11".len()).collect(),
        }
    }
}

/// Returns whether a row records an attempt of a tool call, not an approval, an erasure, or a later decision about a
/// call.
pub fn is_tool_use(row: &AuditRow) -> bool {
    row.call.is_some() && (row.sent || !row.changes)
}

/// Aggregated uses.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UsageTally {
    pub executions: u64,
    pub successes: u64,
    /// Successes that were answered from the cache.
    pub cached: u64,
    /// By code.
    pub errors: BTreeMap<String, u64>,
    pub cost: Usd,
    /// Number of attempts by duration in milliseconds; calls that were never sent have none.
    durations: BTreeMap<u64, u64>,
}

impl UsageTally {
    /// Adds one use.
    pub fn add(&mut self, row: &AuditRow) {
        self.executions += 1;
        match row.status {
            AuditStatus::Success | AuditStatus::Compensated => {
                self.successes += 1;
                self.cached += u64::from(!row.sent);
            }
            AuditStatus::Error => {
                let code = row.error_code.clone().unwrap_or_default();
                *self.errors.entry(code).or_default() += 1;
            }
        }
        self.cost += row.cost;
        if row.sent {
            *self.durations.entry(row.duration_ms).or_default() += 1;
        }
    }

    /// Adds another tally.
    pub fn merge(&mut self, other: &Self) {
        self.executions += other.executions;
        self.successes += other.successes;
        self.cached += other.cached;
        self.cost += other.cost;
        other.errors.iter().for_each(|(code, count)| *self.errors.entry(code.clone()).or_default() += count);
        other.durations.iter().for_each(|(ms, count)| *self.durations.entry(*ms).or_default() += count);
    }

    /// Returns a share from 0 to 1; 1 if there were no attempts.
    #[expect(clippy::cast_precision_loss, reason = "counts that are shown, far below 2^53")]
    pub fn success_rate(&self) -> f64 {
        if self.executions == 0 { 1.0 } else { self.successes as f64 / self.executions as f64 }
    }

    /// Returns the percentile of attempt durations, in milliseconds; `None` if none was sent. Exact: by nearest rank.
    pub fn percentile_ms(&self, of_hundred: u64) -> Option<u64> {
        let all: u64 = self.durations.values().sum();
        let rank = (all * of_hundred).div_ceil(100).max(1);
        let mut seen = 0;
        self.durations.iter().find_map(|(ms, count)| {
            seen += count;
            (seen >= rank).then_some(*ms)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::erasure_row;
    use crate::time::Time;

    fn row(ms: u64) -> AuditRow {
        let call = Some("r/n/0".to_owned());
        AuditRow { call, sent: true, duration_ms: ms, ..erasure_row(&"clinic".into(), "ana", &[], Time::from_ms(0)) }
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let mut tally = UsageTally::default();
        assert_eq!(tally.percentile_ms(50), None);
        (1..=100).rev().for_each(|ms| tally.add(&row(ms)));
        assert_eq!([50, 95, 99, 100].map(|part| tally.percentile_ms(part)), [Some(50), Some(95), Some(99), Some(100)]);
        let mut one = UsageTally::default();
        one.add(&row(7));
        assert_eq!([50, 99].map(|part| one.percentile_ms(part)), [Some(7), Some(7)]);
    }

    #[test]
    fn what_never_went_out_is_counted_and_took_no_time() {
        let mut tally = UsageTally::default();
        tally.add(&row(40));
        tally.add(&AuditRow { sent: false, ..row(0) });
        let code = Some("INVALID_PARAMETERS".to_owned());
        tally.add(&AuditRow { sent: false, status: AuditStatus::Error, error_code: code, ..row(0) });
        assert_eq!((tally.executions, tally.successes, tally.cached), (3, 2, 1));
        assert_eq!((tally.percentile_ms(50), tally.errors["INVALID_PARAMETERS"]), (Some(40), 1));
    }

    #[test]
    fn tallies_put_together_are_the_tally_of_all() {
        let (mut whole, mut one, mut other) = (UsageTally::default(), UsageTally::default(), UsageTally::default());
        for ms in 0..50 {
            whole.add(&row(ms));
            if ms % 3 == 0 { one.add(&row(ms)) } else { other.add(&row(ms)) }
        }
        one.merge(&other);
        assert_eq!(one, whole);
    }

    #[test]
    fn a_hook_of_a_budget_is_of_no_app() {
        let app =
            |action: &str| UsageDimension::App.of(&AuditRow { action: action.to_owned(), ..row(1) }, &TimeZone::UTC);
        assert_eq!(["shopify.get_order", "calculator", "budget_hook.ops"].map(app), ["shopify", "", ""]);
    }

    #[test]
    fn people_who_decide_use_no_tool() {
        assert!(is_tool_use(&row(1)));
        assert!(is_tool_use(&AuditRow { changes: true, ..row(1) }), "undoing is a use of the tool that undoes");
        assert!(!is_tool_use(&AuditRow { changes: true, sent: false, ..row(1) }), "a person said what became of it");
        assert!(!is_tool_use(&AuditRow { call: None, sent: false, ..row(1) }), "an approval, an erasure");
    }
}
