//! The audit trail: what was done, by whom, in a chain a tenant that shows whether a row was changed or removed.
//!
//! Rows are written with the append that records what they tell of; this port reads them, follows the chain, and erases
//! a person.

use std::collections::BTreeSet;

use async_trait::async_trait;
use baton_core::audit::{
    ADMINISTRATION, AuditEntry, BreakReason, ChainBreak, ChainTip, ChainVerifier, hex, records_retention,
};
use baton_core::id::{RunId, TenantId};
use baton_core::identifier::PersonMatcher;
use baton_core::time::{Time, TimeZone};
use baton_core::tool::{AuditRow, AuditStatus};
use baton_core::usage::{UsageDimension, UsageTally};
use serde_json::{Value, json};

use crate::erasure::ErasedIds;
use crate::journal::JournalError;
use crate::read::PAGE_MAX;

/// Which rows, in which order.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    pub run: Option<RunId>,
    /// The tool's name.
    pub action: Option<String>,
    /// By `user_id`: the customer's, or that of who approved or resolved something.
    pub person: Option<String>,
    pub status: Option<AuditStatus>,
    pub from: Option<Time>,
    /// Before this instant.
    pub to: Option<Time>,
    pub order: AuditOrder,
    /// Rows behind this one, in the order asked for; the cursor of the next page.
    pub cursor: Option<u64>,
    pub limit: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuditOrder {
    #[default]
    OldestFirst,
    NewestFirst,
}

/// What following a chain came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainVerdict {
    /// How far the chain was followed.
    pub tip: ChainTip,
    /// Rows up to there whose personal part was erased.
    pub erased: u64,
    /// The first row that does not hold.
    pub broken: Option<ChainBreak>,
}

impl ChainVerdict {
    /// For programs; `is_missing` where a row that was looked for is not in the chain.
    pub fn as_json(&self, is_missing: bool) -> Value {
        let broken = self.broken.map(|ChainBreak { seq, reason: why }| json!({ "seq": seq, "why": why.word() }));
        json!({
            "holds": self.broken.is_none() && !is_missing, "rows": self.tip.seq, "erased": self.erased,
            "tip": hex(&self.tip.hash), "broken": broken, "expected_is_missing": is_missing,
        })
    }
}

/// Somebody who is to be erased.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErasureSubject {
    /// As rows name whom they are of.
    pub id: String,
    /// What else people and tools call them: a mail address, a phone number. Rows that are of one of these are theirs,
    /// and rows whose details name them by one, or by their id ([`PersonMatcher::is_named_in_json`]), are emptied too.
    pub other_names: Vec<String>,
    /// Their runs and conversations: every row about one of these is emptied, whoever acted.
    pub runs: ErasedIds,
    /// Names of what was theirs: rows of administration that were about one of these are emptied.
    pub targets: BTreeSet<String>,
}

impl ErasureSubject {
    /// One of whom nothing else is known.
    pub fn of(id: &str) -> Self {
        Self { id: id.to_owned(), ..Self::default() }
    }

    /// All that rows may be of.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.id).chain(&self.other_names).map(String::as_str)
    }

    /// What values and texts are held against.
    pub fn matcher(&self) -> PersonMatcher {
        PersonMatcher::of(&self.id, self.other_names.iter().map(String::as_str))
    }

    /// Whether a row is emptied with them, by all but what says whose run it is about; `whom` is [`Self::matcher`].
    pub fn is_mentioned_in(&self, whom: &PersonMatcher, row: &AuditMention<'_>) -> bool {
        row.user_id.is_some_and(|user| whom.matches_name(user))
            || row.conversation_id.is_some_and(|id| self.runs.contains(&RunId::new(id)))
            || whom.is_named_in_json_text(row.details)
            || self.is_target_of(row)
    }

    fn is_target_of(&self, row: &AuditMention<'_>) -> bool {
        !self.targets.is_empty()
            && target_of(row.action_type, row.details).is_some_and(|target| self.targets.contains(&target))
    }
}

/// What a row of the trail says of people.
#[derive(Clone, Copy, Debug)]
pub struct AuditMention<'r> {
    pub action_type: &'r str,
    pub user_id: Option<&'r str>,
    pub conversation_id: Option<&'r str>,
    pub details: &'r str,
}

impl<'r> From<&'r AuditEntry> for AuditMention<'r> {
    fn from(entry: &'r AuditEntry) -> Self {
        let AuditEntry { row, details, .. } = entry;
        let (user_id, conversation_id) = (row.user_id.as_deref(), row.conversation_id.as_deref());
        Self { action_type: &row.action_type, user_id, conversation_id, details }
    }
}

/// What an act of administration was done to, by its name.
pub fn target_of(action_type: &str, details: &str) -> Option<String> {
    let details: Value = (action_type == ADMINISTRATION).then(|| serde_json::from_str(details).ok())??;
    details["target"].as_str().map(str::to_owned)
}

/// Which uses of tools are summed up, and by what.
#[derive(Clone, Debug, Default)]
pub struct UsageFilter {
    /// One tenant's; nothing means all of them.
    pub tenant: Option<TenantId>,
    pub from: Option<Time>,
    /// Before this instant.
    pub to: Option<Time>,
    /// The tool's name.
    pub action: Option<String>,
    pub by: Vec<UsageDimension>,
    /// Whose days and months they are; nothing means UTC.
    pub zone: Option<TimeZone>,
}

/// Uses that have all parts that were asked for in common.
#[derive(Clone, Debug, PartialEq)]
pub struct UsageSum {
    /// As [`UsageFilter::by`] has them.
    pub parts: Vec<String>,
    pub tally: UsageTally,
}

/// Where a chain begins that older rows were cut off from: the place and the hash of the last row that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainAnchor {
    pub tip: ChainTip,
    pub cut_at: Time,
}

#[async_trait]
pub trait AuditTrail: Send + Sync {
    /// What the first row that is left follows; nothing where no row was ever cut off.
    async fn anchor(&self, _tenant: &TenantId) -> Result<Option<ChainAnchor>, JournalError> {
        Ok(None)
    }

    async fn trail(&self, tenant: &TenantId, filter: AuditFilter) -> Result<Vec<AuditEntry>, JournalError>;

    /// How each call stands: its last attempt, with the status that the newest row about it gives. Otherwise as
    /// [`Self::trail`]; rows that are about no call are left out.
    async fn latest(&self, tenant: &TenantId, filter: AuditFilter) -> Result<Vec<AuditEntry>, JournalError>;

    /// The end of the tenant's chain as it was last written, whatever rows there are.
    async fn tip(&self, tenant: &TenantId) -> Result<ChainTip, JournalError>;

    /// Removes who it was, which conversation and the details from every row of a person, and from every row of others
    /// whose details name that person by what else is known of them, for ever, and adds rows that say that it was done and
    /// by whom. Answers how many rows were erased.
    async fn erase(&self, tenant: &TenantId, person: &ErasureSubject, by: &str, at: Time) -> Result<u64, JournalError>;

    /// Adds a row that no append brings: durable when it returns.
    async fn append_row(&self, row: AuditRow) -> Result<(), JournalError>;

    /// Sums up the uses of tools, in the order of their parts.
    async fn usage(&self, filter: UsageFilter) -> Result<Vec<UsageSum>, JournalError>;

    /// Whether a row of the chain has this hash, in hexadecimal; rows behind a break are not looked at.
    async fn has_row(&self, tenant: &TenantId, hash: &str) -> Result<bool, JournalError> {
        let mut walk = ChainVerifier::from(self.anchor(tenant).await?.map_or(ChainTip::NONE, |anchor| anchor.tip));
        loop {
            let filter = AuditFilter { cursor: Some(walk.tip().seq), limit: PAGE_MAX, ..AuditFilter::default() };
            let page = self.trail(tenant, filter).await?;
            for entry in &page {
                if hex(&entry.hash) == hash {
                    return Ok(true);
                }
                if walk.verify_next(entry).is_err() {
                    return Ok(false);
                }
            }
            if page.len() < PAGE_MAX {
                return Ok(false);
            }
        }
    }

    /// Follows the chain from its first row to its end, and at least to what was its end when this began.
    async fn verify(&self, tenant: &TenantId) -> Result<ChainVerdict, JournalError> {
        let end = self.tip(tenant).await?;
        let anchor = self.anchor(tenant).await?.map(|anchor| anchor.tip);
        let mut walk = ChainVerifier::from(anchor.unwrap_or(ChainTip::NONE));
        // Where rows were cut off, the chain itself says so.
        let mut is_announced = anchor.is_none();
        let verdict = |walk: &ChainVerifier, broken| ChainVerdict { tip: walk.tip(), erased: walk.erased(), broken };
        loop {
            let cursor = Some(walk.tip().seq);
            let page = self.trail(tenant, AuditFilter { cursor, limit: PAGE_MAX, ..AuditFilter::default() }).await?;
            for entry in &page {
                if let Err(broken) = walk.verify_next(entry) {
                    return Ok(verdict(&walk, Some(broken)));
                }
                is_announced |= anchor.is_some_and(|anchor| records_retention(entry, &anchor));
                if entry.seq == end.seq && entry.hash != end.hash {
                    return Ok(verdict(&walk, Some(ChainBreak { seq: end.seq, reason: BreakReason::Changed })));
                }
            }
            if page.len() < PAGE_MAX {
                break;
            }
        }
        if walk.tip().seq < end.seq {
            return Ok(verdict(&walk, Some(ChainBreak { seq: walk.tip().seq + 1, reason: BreakReason::Missing })));
        }
        if let (Some(anchor), false) = (anchor, is_announced) {
            return Ok(verdict(&walk, Some(ChainBreak { seq: anchor.seq, reason: BreakReason::Missing })));
        }
        Ok(verdict(&walk, walk.end().err()))
    }
}
