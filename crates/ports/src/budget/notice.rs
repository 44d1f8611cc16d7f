//! Notices about budget lines.

use baton_core::money::Usd;
use baton_core::time::Time;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{BudgetPeriod, BudgetStanding, NOTIFY_AT};
use crate::journal::{TaskItem, TaskItemKind};
use crate::records::{RecordOp, StoredRecord};

/// The record space of notices that wait to be sent to people.
pub const NOTICES: &str = "budget_notice";

/// A notice about a line, for people who are notified by message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BudgetNotice {
    pub title: String,
    /// The same as those of the task inbox item.
    pub details: Value,
    /// When the line's next window begins.
    pub resets_at: Time,
}

impl BudgetNotice {
    /// The record of a line's task inbox item, to be written with it: one for each mark of [`NOTIFY_AT`] of a line in
    /// its window, and another if its limit was changed since.
    pub fn record(item: &TaskItem) -> RecordOp {
        let NoticeDetails { reached_percent, limit_usd } =
            NoticeDetails::deserialize(&item.details).unwrap_or_default();
        let resets_at = item.deadline.unwrap_or(item.opened_at);
        let notice = Self { title: item.title.clone(), details: item.details.clone(), resets_at };
        RecordOp::Put {
            space: NOTICES.to_owned(),
            key: format!("{}/{limit_usd}/{reached_percent}", item.id),
            value: json!(notice),
        }
    }

    /// The content of a record; `None` if it is not a notice.
    pub fn read(record: &StoredRecord) -> Option<Self> {
        Self::deserialize(&record.value).ok()
    }
}

#[derive(Default, Deserialize)]
struct NoticeDetails {
    reached_percent: u8,
    limit_usd: f64,
}

/// The highest mark of [`NOTIFY_AT`] that a line has reached.
pub fn reached(spent: Usd, limit: Usd) -> u8 {
    let is_reached = |at: &u8| {
        let part = i128::from(limit.as_nanos()) * i128::from(*at);
        i128::from(spent.as_nanos()) * 100 >= part && limit > Usd::ZERO
    };
    NOTIFY_AT.into_iter().rev().find(is_reached).unwrap_or(0)
}

/// The task inbox item of a line that has reached this percentage. There is one item per line and window: a later one
/// replaces an earlier one.
pub fn notice_item(standing: &BudgetStanding, limit: Usd, reached: u8, now: Time) -> TaskItem {
    let BudgetStanding { line, spent, held, .. } = standing;
    let resets_at = line.ends();
    // The item stays open for the whole window, while more is spent, so its sums are marked as those of that time.
    let sums = match *held > Usd::ZERO {
        true => format!("{spent} of {limit} was spent, and {held} held for calls under way"),
        false => format!("{spent} of {limit} was spent"),
    };
    let title = if reached >= 100 {
        format!("{line} is used up since {now}: {sums} then; it begins anew at {resets_at}")
    } else {
        format!("{reached} % of {line} was reached at {now}: {sums} then; it begins anew at {resets_at}")
    };
    TaskItem {
        id: notice_id(line),
        tenant: line.tenant.clone(),
        run: None,
        kind: TaskItemKind::Budget,
        title,
        details: json!({
            "key_id": line.key_id, "window": line.window, "reached_percent": reached,
            "spent_usd": spent.as_f64(), "held_usd": held.as_f64(), "limit_usd": limit.as_f64(),
            "resets_at": resets_at.to_string(),
        }),
        opened_at: now,
        deadline: Some(resets_at),
    }
}

/// The id of a line's task inbox item.
pub fn notice_id(line: &BudgetPeriod) -> String {
    let key = line.key_id.as_deref().unwrap_or_default();
    format!("budget/{}/{key}/{}/{}", line.tenant, line.window.word(), line.begins)
}
