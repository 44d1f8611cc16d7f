//! The audit trail: what was done and by whom, as one hash chain per tenant that reveals changed or removed rows.
//!
//! Rows are written with the append that records the action. This port reads them, verifies the chain, and erases a
//! person.

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

/// Selects rows and their order.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    pub run: Option<RunId>,
    /// The tool's name.
    pub action: Option<String>,
    /// The `user_id` of the customer, or of the person who approved or resolved something.
    pub person: Option<String>,
    pub status: Option<AuditStatus>,
    pub from: Option<Time>,
    /// Before this instant.
    pub to: Option<Time>,
    pub order: AuditOrder,
    /// Rows after this one in the requested order; the cursor of the next page.
    pub cursor: Option<u64>,
    pub limit: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuditOrder {
    #[default]
    OldestFirst,
    NewestFirst,
}

/// The result of verifying a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainVerdict {
    /// How far the chain was verified.
    pub tip: ChainTip,
    /// Number of rows up to there whose personal data was erased.
    pub erased: u64,
    /// The first invalid row.
    pub broken: Option<ChainBreak>,
}

impl ChainVerdict {
    /// The verdict as JSON; `is_missing` means that a row that was searched for is not in the chain.
    pub fn as_json(&self, is_missing: bool) -> Value {
        let broken = self.broken.map(|ChainBreak { seq, reason: why }| json!({ "seq": seq, "why": why.word() }));
        json!({
            "holds": self.broken.is_none() && !is_missing, "rows": self.tip.seq, "erased": self.erased,
            "tip": hex(&self.tip.hash), "broken": broken, "expected_is_missing": is_missing,
        })
    }
}

/// A person who is to be erased.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErasureSubject {
    /// The id by which rows name their person.
    pub id: String,
    /// Other identifiers by which people and tools know the person: an email address, a phone number. Rows whose person
    /// is one of these are included, and so are rows whose details contain one of these or the id
    /// ([`PersonMatcher::is_named_in_json`]).
    pub other_names: Vec<String>,
    /// The person's runs and conversations: every row about one of these is erased, regardless of who acted.
    pub runs: ErasedIds,
    /// Names of what belonged to the person: administrative rows about one of these are erased.
    pub targets: BTreeSet<String>,
}

impl ErasureSubject {
    /// A subject with no other identifiers.
    pub fn of(id: &str) -> Self {
        Self { id: id.to_owned(), ..Self::default() }
    }

    /// All names by which rows may refer to the person.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.id).chain(&self.other_names).map(String::as_str)
    }

    /// The matcher for values and texts.
    pub fn matcher(&self) -> PersonMatcher {
        PersonMatcher::of(&self.id, self.other_names.iter().map(String::as_str))
    }

    /// Whether a row is erased with the person, apart from what identifies the run it is about; `whom` is
    /// [`Self::matcher`].
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

/// What an audit row says about people.
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

/// The name of the object of an administrative action.
pub fn target_of(action_type: &str, details: &str) -> Option<String> {
    let details: Value = (action_type == ADMINISTRATION).then(|| serde_json::from_str(details).ok())??;
    details["target"].as_str().map(str::to_owned)
}

/// Selects tool uses, and the dimensions by which they are summed.
#[derive(Clone, Debug, Default)]
pub struct UsageFilter {
    /// The tenant; `None` means all tenants.
    pub tenant: Option<TenantId>,
    pub from: Option<Time>,
    /// Before this instant.
    pub to: Option<Time>,
    /// The tool's name.
    pub action: Option<String>,
    pub by: Vec<UsageDimension>,
    /// The time zone of days and months; `None` means UTC.
    pub zone: Option<TimeZone>,
}

/// The sum of the uses that have all requested dimensions in common.
#[derive(Clone, Debug, PartialEq)]
pub struct UsageSum {
    /// In the order of [`UsageFilter::by`].
    pub parts: Vec<String>,
    pub tally: UsageTally,
}

/// Where a chain begins after older rows were removed: the position and the hash of the last removed row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainAnchor {
    pub tip: ChainTip,
    pub cut_at: Time,
}

#[async_trait]
pub trait AuditTrail: Send + Sync {
    /// What the first remaining row follows; `None` if no row was ever removed.
    async fn anchor(&self, _tenant: &TenantId) -> Result<Option<ChainAnchor>, JournalError> {
        Ok(None)
    }

    async fn trail(&self, tenant: &TenantId, filter: AuditFilter) -> Result<Vec<AuditEntry>, JournalError>;

    /// The current state of each call: its last attempt, with the status of the newest row about it. Otherwise as
    /// [`Self::trail`]; rows that are about no call are left out.
    async fn latest(&self, tenant: &TenantId, filter: AuditFilter) -> Result<Vec<AuditEntry>, JournalError>;

    /// The end of the tenant's chain as it was last written, regardless of which rows exist.
    async fn tip(&self, tenant: &TenantId) -> Result<ChainTip, JournalError>;

    /// Erases the user, the conversation and the details permanently from every row of a person, and from every other
    /// row whose details name the person by one of their identifiers. Adds rows that record the erasure and who
    /// requested it. Returns the number of erased rows.
    async fn erase(&self, tenant: &TenantId, person: &ErasureSubject, by: &str, at: Time) -> Result<u64, JournalError>;

    /// Adds a row that belongs to no append: durable when it returns.
    async fn append_row(&self, row: AuditRow) -> Result<(), JournalError>;

    /// Sums up the uses of tools, ordered by their dimensions.
    async fn usage(&self, filter: UsageFilter) -> Result<Vec<UsageSum>, JournalError>;

    /// Whether a row of the chain has this hash, in hexadecimal; rows after a break are not checked.
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

    /// Verifies the chain from its first row to its end, at least up to the end at the time of the call.
    async fn verify(&self, tenant: &TenantId) -> Result<ChainVerdict, JournalError> {
        let end = self.tip(tenant).await?;
        let anchor = self.anchor(tenant).await?.map(|anchor| anchor.tip);
        let mut walk = ChainVerifier::from(anchor.unwrap_or(ChainTip::NONE));
        // If rows were removed, the chain itself must contain a row that says so.
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
