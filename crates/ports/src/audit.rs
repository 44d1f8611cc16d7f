//! The audit trail: what was done, by whom, in a chain a tenant that shows whether a row was changed or removed.
//!
//! Rows are written with the append that records what they tell of; this port reads them, follows the chain, and erases
//! a person.

use std::collections::BTreeSet;

use async_trait::async_trait;
use baton_core::audit::{ADMINISTRATION, Break, Entry, Tip, Walk, Why, announces, hex};
use baton_core::id::{RunId, TenantId};
use baton_core::identifier::Whom;
use baton_core::time::{Time, TimeZone};
use baton_core::tool::{AuditRow, AuditStatus};
use baton_core::usage::{Part, Tally};
use serde_json::{Value, json};

use crate::erasure::Names;
use crate::journal::Error;
use crate::read::PAGE_MAX;

/// Which rows, in which order.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub run: Option<RunId>,
    /// The tool's name.
    pub action: Option<String>,
    /// By `user_id`: the customer's, or that of who approved or resolved something.
    pub person: Option<String>,
    pub status: Option<AuditStatus>,
    pub from: Option<Time>,
    /// Before this instant.
    pub to: Option<Time>,
    pub order: Order,
    /// Rows behind this one, in the order asked for; the cursor of the next page.
    pub cursor: Option<u64>,
    pub limit: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    #[default]
    OldestFirst,
    NewestFirst,
}

/// What following a chain came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How far the chain was followed.
    pub tip: Tip,
    /// Rows up to there whose personal part was erased.
    pub erased: u64,
    /// The first row that does not hold.
    pub broken: Option<Break>,
}

impl Verdict {
    /// For programs; `is_missing` where a row that was looked for is not in the chain.
    pub fn as_json(&self, is_missing: bool) -> Value {
        let broken = self.broken.map(|Break { seq, why }| json!({ "seq": seq, "why": why.word() }));
        json!({
            "holds": self.broken.is_none() && !is_missing, "rows": self.tip.seq, "erased": self.erased,
            "tip": hex(&self.tip.hash), "broken": broken, "expected_is_missing": is_missing,
        })
    }
}

/// Somebody who is to be erased.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// As rows name whom they are of.
    pub id: String,
    /// What else people and tools call them: a mail address, a phone number. Rows that are of one of these are theirs,
    /// and rows whose details name them by one, or by their id ([`Whom::is_named_in`]), are emptied too.
    pub also: Vec<String>,
    /// Their runs and conversations: every row about one of these is emptied, whoever acted.
    pub runs: Names,
    /// Names of what was theirs: rows of administration that were about one of these are emptied.
    pub targets: BTreeSet<String>,
}

impl Person {
    /// One of whom nothing else is known.
    pub fn of(id: &str) -> Self {
        Self { id: id.to_owned(), ..Self::default() }
    }

    /// All that rows may be of.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.id).chain(&self.also).map(String::as_str)
    }

    /// What values and texts are held against.
    pub fn whom(&self) -> Whom {
        Whom::of(&self.id, self.also.iter().map(String::as_str))
    }

    /// Whether a row is emptied with them, by all but what says whose run it is about; `whom` is [`Self::whom`].
    pub fn is_told_of(&self, whom: &Whom, row: &Told<'_>) -> bool {
        row.user_id.is_some_and(|user| whom.is_called(user))
            || row.conversation_id.is_some_and(|id| self.runs.contains(&RunId::new(id)))
            || whom.is_named_in_text(row.details)
            || self.is_target_of(row)
    }

    fn is_target_of(&self, row: &Told<'_>) -> bool {
        !self.targets.is_empty()
            && target_of(row.action_type, row.details).is_some_and(|target| self.targets.contains(&target))
    }
}

/// What a row of the trail says of people.
#[derive(Clone, Copy, Debug)]
pub struct Told<'r> {
    pub action_type: &'r str,
    pub user_id: Option<&'r str>,
    pub conversation_id: Option<&'r str>,
    pub details: &'r str,
}

impl<'r> From<&'r Entry> for Told<'r> {
    fn from(entry: &'r Entry) -> Self {
        let Entry { row, details, .. } = entry;
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
    pub by: Vec<Part>,
    /// Whose days and months they are; nothing means UTC.
    pub zone: Option<TimeZone>,
}

/// Uses that have all parts that were asked for in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Usage {
    /// As [`UsageFilter::by`] has them.
    pub parts: Vec<String>,
    pub tally: Tally,
}

/// Where a chain begins that older rows were cut off from: the place and the hash of the last row that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    pub tip: Tip,
    pub cut_at: Time,
}

#[async_trait]
pub trait Audit: Send + Sync {
    /// What the first row that is left follows; nothing where no row was ever cut off.
    async fn anchor(&self, _tenant: &TenantId) -> Result<Option<Anchor>, Error> {
        Ok(None)
    }

    async fn trail(&self, tenant: &TenantId, filter: Filter) -> Result<Vec<Entry>, Error>;

    /// How each call stands: its last attempt, with the status that the newest row about it gives. Otherwise as
    /// [`Self::trail`]; rows that are about no call are left out.
    async fn latest(&self, tenant: &TenantId, filter: Filter) -> Result<Vec<Entry>, Error>;

    /// The end of the tenant's chain as it was last written, whatever rows there are.
    async fn tip(&self, tenant: &TenantId) -> Result<Tip, Error>;

    /// Removes who it was, which conversation and the details from every row of a person, and from every row of others
    /// whose details name that person by what else is known of them, for ever, and adds rows that say that it was done and
    /// by whom. Answers how many rows were erased.
    async fn erase(&self, tenant: &TenantId, person: &Person, by: &str, at: Time) -> Result<u64, Error>;

    /// Adds a row that no append brings: durable when it returns.
    async fn note(&self, row: AuditRow) -> Result<(), Error>;

    /// Sums up the uses of tools, in the order of their parts.
    async fn usage(&self, filter: UsageFilter) -> Result<Vec<Usage>, Error>;

    /// Whether a row of the chain has this hash, in hexadecimal; rows behind a break are not looked at.
    async fn has(&self, tenant: &TenantId, hash: &str) -> Result<bool, Error> {
        let mut walk = Walk::from(self.anchor(tenant).await?.map_or(Tip::NONE, |anchor| anchor.tip));
        loop {
            let filter = Filter { cursor: Some(walk.tip().seq), limit: PAGE_MAX, ..Filter::default() };
            let page = self.trail(tenant, filter).await?;
            for entry in &page {
                if hex(&entry.hash) == hash {
                    return Ok(true);
                }
                if walk.follow(entry).is_err() {
                    return Ok(false);
                }
            }
            if page.len() < PAGE_MAX {
                return Ok(false);
            }
        }
    }

    /// Follows the chain from its first row to its end, and at least to what was its end when this began.
    async fn verify(&self, tenant: &TenantId) -> Result<Verdict, Error> {
        let end = self.tip(tenant).await?;
        let anchor = self.anchor(tenant).await?.map(|anchor| anchor.tip);
        let mut walk = Walk::from(anchor.unwrap_or(Tip::NONE));
        // Where rows were cut off, the chain itself says so.
        let mut is_announced = anchor.is_none();
        let verdict = |walk: &Walk, broken| Verdict { tip: walk.tip(), erased: walk.erased(), broken };
        loop {
            let cursor = Some(walk.tip().seq);
            let page = self.trail(tenant, Filter { cursor, limit: PAGE_MAX, ..Filter::default() }).await?;
            for entry in &page {
                if let Err(broken) = walk.follow(entry) {
                    return Ok(verdict(&walk, Some(broken)));
                }
                is_announced |= anchor.is_some_and(|anchor| announces(entry, &anchor));
                if entry.seq == end.seq && entry.hash != end.hash {
                    return Ok(verdict(&walk, Some(Break { seq: end.seq, why: Why::Changed })));
                }
            }
            if page.len() < PAGE_MAX {
                break;
            }
        }
        if walk.tip().seq < end.seq {
            return Ok(verdict(&walk, Some(Break { seq: walk.tip().seq + 1, why: Why::Missing })));
        }
        if let (Some(anchor), false) = (anchor, is_announced) {
            return Ok(verdict(&walk, Some(Break { seq: anchor.seq, why: Why::Missing })));
        }
        Ok(verdict(&walk, walk.end().err()))
    }
}
