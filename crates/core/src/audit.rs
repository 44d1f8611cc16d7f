//! The audit trail's hash chain: each row's hash covers the previous hash and the row's content.
//!
//! Personal data (the person, the conversation, the details) is not hashed into the chain itself. The chain holds a
//! commitment to it, made with a salt that is stored beside it. Erasing removes both the data and the salt: the rest
//! proves nothing about the person, and the chain still verifies. Rules: `docs/guides/audit.md`.
//!
//! The chain shows whether a writer of the database changed, removed or moved a row. A writer could also recompute the
//! whole chain; to detect that, record the newest hash in another system from time to time.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::actor;
use crate::canonical;
use crate::id::TenantId;
use crate::money::Usd;
use crate::time::Time;
use crate::tool::{AuditRow, AuditStatus};

/// SHA-256.
pub type Sha256Digest = [u8; 32];
/// A random salt that keeps a commitment from revealing the committed data.
pub type CommitmentSalt = [u8; 16];

/// The hash before the first row of a chain.
pub const GENESIS: Sha256Digest = [0; 32];

/// A row with its position in its tenant's chain.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEntry {
    /// Starts at 1, without gaps.
    pub seq: u64,
    /// Without personal data once the row was erased.
    pub row: AuditRow,
    /// The text of `row.details` as it was sealed.
    pub details: String,
    /// `None` once the row was erased.
    pub salt: Option<CommitmentSalt>,
    pub sealed: Sha256Digest,
    pub hash: Sha256Digest,
    pub erased_at: Option<Time>,
}

impl AuditEntry {
    /// Returns the row as JSON for programs, with all known fields.
    pub fn as_json(&self) -> Value {
        let mut shown = json!(self.row);
        if let Value::Object(fields) = &mut shown {
            fields.remove("cost_nanos");
            fields.insert("cost_usd".to_owned(), json!(self.row.cost.as_f64()));
            fields.insert("seq".to_owned(), json!(self.seq));
            fields.insert("at".to_owned(), json!(self.row.at.to_string()));
            fields.insert("hash".to_owned(), json!(hex(&self.hash)));
            fields.insert("erased_at".to_owned(), json!(self.erased_at.map(|at| at.to_string())));
        }
        shown
    }
}

/// The last position and hash of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainTip {
    pub seq: u64,
    pub hash: Sha256Digest,
}

impl ChainTip {
    /// The tip of an empty chain.
    pub const NONE: Self = Self { seq: 0, hash: GENESIS };

    /// Returns the tip after this row is appended.
    #[must_use]
    pub fn with_row(&self, row: &AuditRow, sealed: &Sha256Digest) -> Self {
        let seq = self.seq + 1;
        Self { seq, hash: link(&self.hash, seq, row, sealed) }
    }
}

/// Returns the commitment to the data that an erasure removes. `details` is the text that is stored.
pub fn seal(salt: &CommitmentSalt, row: &AuditRow, details: &str) -> Sha256Digest {
    let personal = json!({ "user_id": row.user_id, "conversation_id": row.conversation_id, "details": details });
    Sha256::new().chain_update(salt).chain_update(canonical::text(&personal)).finalize().into()
}

/// Returns a row's hash.
fn link(before: &Sha256Digest, seq: u64, row: &AuditRow, sealed: &Sha256Digest) -> Sha256Digest {
    let mut said = json!({
        "seq": seq,
        "at": row.at,
        "company_id": row.company_id,
        "run": row.run,
        "call": row.call,
        "changes": row.changes,
        "agent_name": row.agent_name,
        "action_type": row.action_type,
        "action": row.action,
        "status": row.status,
        "sent": row.sent,
        "error_code": row.error_code,
        "cost_nanos": row.cost,
        "duration_ms": row.duration_ms,
        "personal": hex(sealed),
    });
    if !row.erases.is_empty() {
        said["erases"] = json!(row.erases);
    }
    Sha256::new().chain_update(before).chain_update(canonical::text(&said)).finalize().into()
}

/// The audit event of an erasure.
pub const ERASURE: &str = "erasure";

/// Returns the row that records the erasure of a person from the rows at these positions, in ascending order. The
/// positions themselves are in the chain, so no other row can be emptied in the name of an erasure, even if the
/// personal data of the erasure row is itself erased.
pub fn erasure_row(tenant: &TenantId, by: &str, places: &[u64], at: Time) -> AuditRow {
    AuditRow {
        at,
        company_id: tenant.clone(),
        run: None,
        call: None,
        changes: false,
        user_id: Some(by.to_owned()),
        agent_name: None,
        conversation_id: None,
        action_type: ERASURE.to_owned(),
        action: ERASURE.to_owned(),
        details: json!({ "rows": places.len() }).into(),
        status: AuditStatus::Success,
        sent: false,
        error_code: None,
        cost: Usd::ZERO,
        duration_ms: 0,
        erases: ranges(places),
    }
}

/// The audit event of retention, which cuts off old rows.
pub const RETENTION: &str = "audit_retention";

/// Returns the row that records that a chain's rows up to this tip were cut off.
pub fn retention_row(tenant: &TenantId, tip: &ChainTip, rows: u64, at: Time) -> AuditRow {
    let details = json!({ "rows": rows, "to": tip.seq, "hash": hex(&tip.hash) });
    let row = erasure_row(tenant, actor::RETENTION, &[], at);
    AuditRow { action_type: RETENTION.to_owned(), action: RETENTION.to_owned(), details: details.into(), ..row }
}

/// Returns whether a row records that the rows up to this tip were cut off.
pub fn records_retention(entry: &AuditEntry, tip: &ChainTip) -> bool {
    let details: Value = serde_json::from_str(&entry.details).unwrap_or_default();
    entry.row.action == RETENTION && details["to"] == tip.seq && details["hash"] == hex(&tip.hash)
}

/// The audit event of an operator's action.
pub const ADMINISTRATION: &str = "administration";

/// An operator's action: something was set, created or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminAction {
    /// `keys.create`, `tenants.disable`, …
    pub action: String,
    /// The target, by name or id.
    pub target: Option<String>,
    /// The name and the id of the key that was used.
    pub by: String,
    pub key_id: Option<String>,
    /// The value before and after, as JSON without secrets; `None` if it did not exist before, or no longer exists. The
    /// trail has digests of them.
    pub before: Option<Value>,
    pub after: Option<Value>,
}

impl AdminAction {
    /// Returns the audit row of this action.
    pub fn row(self, tenant: &TenantId, at: Time) -> AuditRow {
        let digest = |seen: Option<Value>| {
            seen.map(|seen| hex(&Sha256::new().chain_update(canonical::text(&seen)).finalize().into()))
        };
        let details = json!({
            "target": self.target, "key_id": self.key_id, "before": digest(self.before), "after": digest(self.after),
        });
        AuditRow {
            at,
            company_id: tenant.clone(),
            run: None,
            call: None,
            changes: false,
            user_id: Some(self.by),
            agent_name: None,
            conversation_id: None,
            action_type: ADMINISTRATION.to_owned(),
            action: self.action,
            details: details.into(),
            status: AuditStatus::Success,
            sent: false,
            error_code: None,
            cost: Usd::ZERO,
            duration_ms: 0,
            erases: Vec::new(),
        }
    }
}

fn ranges(places: &[u64]) -> Vec<(u64, u64)> {
    let mut stretches: Vec<(u64, u64)> = Vec::new();
    for place in places {
        match stretches.last_mut() {
            Some((_, last)) if *last + 1 == *place => *last = *place,
            _ => stretches.push((*place, *place)),
        }
    }
    stretches
}

/// Returns a digest as lower-case hexadecimal text.
pub fn hex(digest: &Sha256Digest) -> String {
    use std::fmt::Write as _;
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Verifies a chain row by row.
#[derive(Clone, Debug)]
pub struct ChainVerifier {
    tip: ChainTip,
    erased: u64,
    /// Empty rows that no erasure names so far.
    unaccounted: BTreeSet<u64>,
}

/// The first row that differs from what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainBreak {
    pub seq: u64,
    pub reason: BreakReason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakReason {
    /// The row is missing.
    Missing,
    /// The row's content was changed, or the row was moved.
    Changed,
    /// The personal data (person, conversation or details) was changed.
    Personal,
    /// The personal data is gone, and no erasure names the row.
    Emptied,
}

impl BreakReason {
    pub fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Changed => "changed",
            Self::Personal => "details changed",
            Self::Emptied => "emptied without an erasure",
        }
    }
}

impl Default for ChainVerifier {
    fn default() -> Self {
        Self { tip: ChainTip::NONE, erased: 0, unaccounted: BTreeSet::new() }
    }
}

impl From<ChainTip> for ChainVerifier {
    /// Starts after the rows that were cut off: the next row follows this tip.
    fn from(tip: ChainTip) -> Self {
        Self { tip, ..Self::default() }
    }
}

impl ChainVerifier {
    /// Verifies the next row.
    pub fn verify_next(&mut self, entry: &AuditEntry) -> Result<(), ChainBreak> {
        let expected = self.tip.seq + 1;
        let broken = |why| Err(ChainBreak { seq: expected, reason: why });
        if entry.seq != expected {
            return broken(BreakReason::Missing);
        }
        let next = self.tip.with_row(&entry.row, &entry.sealed);
        if next.hash != entry.hash {
            return broken(BreakReason::Changed);
        }
        match (&entry.salt, entry.erased_at) {
            (Some(salt), None) if seal(salt, &entry.row, &entry.details) == entry.sealed => {}
            (None, Some(_)) => {
                self.erased += 1;
                self.unaccounted.insert(entry.seq);
            }
            _ => return broken(BreakReason::Personal),
        }
        self.mark_erased(&entry.row.erases);
        self.tip = next;
        Ok(())
    }

    fn mark_erased(&mut self, erased: &[(u64, u64)]) {
        for (first, last) in erased.iter().filter(|(first, last)| first <= last) {
            let mut named = self.unaccounted.split_off(first);
            if let Some(behind) = last.checked_add(1) {
                self.unaccounted.append(&mut named.split_off(&behind));
            }
        }
    }

    /// Ends the verification: returns the first row that is empty without an erasure.
    pub fn end(&self) -> Result<(), ChainBreak> {
        self.unaccounted.first().map_or(Ok(()), |seq| Err(ChainBreak { seq: *seq, reason: BreakReason::Emptied }))
    }

    /// Returns the last verified position.
    pub fn tip(&self) -> ChainTip {
        self.tip
    }

    /// Returns the number of rows so far whose personal data was erased.
    pub fn erased(&self) -> u64 {
        self.erased
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: CommitmentSalt = [7; 16];

    fn row(action: &str) -> AuditRow {
        AuditRow {
            at: Time::from_ms(1),
            company_id: "clinic".into(),
            run: Some("r".into()),
            call: Some("r/book/0".into()),
            changes: false,
            user_id: Some("ana".into()),
            agent_name: None,
            conversation_id: None,
            action_type: "booking".into(),
            action: action.into(),
            details: json!({ "slot": "10:00" }).into(),
            status: AuditStatus::Success,
            sent: true,
            error_code: None,
            cost: Usd::ZERO,
            duration_ms: 12,
            erases: Vec::new(),
        }
    }

    fn chain(actions: &[&str]) -> Vec<AuditEntry> {
        let mut tip = ChainTip::NONE;
        let entries = actions.iter().map(|action| {
            let row = row(action);
            let details = row.details.text().to_owned();
            let sealed = seal(&SALT, &row, &details);
            tip = tip.with_row(&row, &sealed);
            AuditEntry { seq: tip.seq, row, details, salt: Some(SALT), sealed, hash: tip.hash, erased_at: None }
        });
        entries.collect()
    }

    fn walk(entries: &[AuditEntry]) -> Result<ChainVerifier, ChainBreak> {
        let mut walk = ChainVerifier::default();
        entries.iter().try_for_each(|entry| walk.verify_next(entry))?;
        Ok(walk)
    }

    #[track_caller]
    fn broken(entries: &[AuditEntry], seq: u64, why: BreakReason) {
        assert_eq!(walk(entries).map(|walk| walk.tip().seq), Err(ChainBreak { seq, reason: why }));
    }

    #[test]
    fn a_whole_chain_is_followed_to_its_end() {
        let entries = chain(&["a", "b", "c"]);
        let walk = walk(&entries).unwrap();
        assert_eq!((walk.tip().seq, walk.tip().hash, walk.erased()), (3, entries[2].hash, 0));
    }

    #[test]
    fn every_field_of_a_row_is_held() {
        type Change = fn(&mut AuditRow);
        let changes: [(Change, BreakReason); 15] = [
            (|row| row.at = Time::from_ms(2), BreakReason::Changed),
            (|row| row.company_id = "other".into(), BreakReason::Changed),
            (|row| row.run = None, BreakReason::Changed),
            (|row| row.call = None, BreakReason::Changed),
            (|row| row.changes = true, BreakReason::Changed),
            (|row| row.agent_name = Some("eve".into()), BreakReason::Changed),
            (|row| row.action_type = "other".into(), BreakReason::Changed),
            (|row| row.action = "other".into(), BreakReason::Changed),
            (|row| row.status = AuditStatus::Error, BreakReason::Changed),
            (|row| row.sent = false, BreakReason::Changed),
            (|row| row.error_code = Some("TIMEOUT".into()), BreakReason::Changed),
            (|row| row.cost = Usd::from_nanos(1), BreakReason::Changed),
            (|row| row.duration_ms = 13, BreakReason::Changed),
            (|row| row.erases = vec![(1, 1)], BreakReason::Changed),
            (|row| row.user_id = Some("eve".into()), BreakReason::Personal),
        ];
        for (change, why) in changes {
            let mut entries = chain(&["a", "b", "c"]);
            change(&mut entries[1].row);
            broken(&entries, 2, why);
        }
        let mut entries = chain(&["a", "b"]);
        entries[1].details = "{}".to_owned();
        broken(&entries, 2, BreakReason::Personal);
    }

    #[test]
    fn a_removed_a_moved_and_an_added_row_are_found() {
        let mut entries = chain(&["a", "b", "c"]);
        entries.remove(1);
        broken(&entries, 2, BreakReason::Missing);

        let mut entries = chain(&["a", "b", "c"]);
        entries.swap(1, 2);
        (entries[1].seq, entries[2].seq) = (2, 3);
        broken(&entries, 2, BreakReason::Changed);

        let mut entries = chain(&["a", "b"]);
        entries.push(AuditEntry { seq: 3, ..entries[1].clone() });
        broken(&entries, 3, BreakReason::Changed);
    }

    #[test]
    fn an_erased_row_holds_and_one_that_was_only_emptied_does_not() {
        let mut entries = chain(&["a", "b", "c"]);
        let erased = &mut entries[1];
        (erased.row.user_id, erased.details, erased.salt) = (None, String::new(), None);
        broken(&entries, 2, BreakReason::Personal);
        entries[1].erased_at = Some(Time::from_ms(9));
        let walked = walk(&entries).unwrap();
        assert_eq!((walked.erased(), walked.end()), (1, Err(ChainBreak { seq: 2, reason: BreakReason::Emptied })));
    }

    #[test]
    fn an_erasure_names_its_rows_even_where_its_own_words_are_erased() {
        let mut entries = chain(&["a", "b", "c", "d"]);
        for place in [0, 2, 3] {
            let erased = &mut entries[place];
            (erased.row.user_id, erased.details, erased.salt) = (None, String::new(), None);
            erased.erased_at = Some(Time::from_ms(9));
        }
        let add = |entries: &mut Vec<AuditEntry>, places: &[u64]| {
            let row = erasure_row(&"clinic".into(), "olga", places, Time::from_ms(9));
            let sealed = [3; 32];
            let before = entries.last().unwrap();
            let tip = ChainTip { seq: before.seq, hash: before.hash }.with_row(&row, &sealed);
            let (seq, hash, details) = (tip.seq, tip.hash, String::new());
            entries.push(AuditEntry { seq, row, details, salt: None, sealed, hash, erased_at: Some(Time::from_ms(9)) });
        };
        add(&mut entries, &[1, 3]);
        assert_eq!(entries[4].row.erases, [(1, 1), (3, 3)]);
        let ends = |entries: &[AuditEntry]| walk(entries).unwrap().end().map_err(|ChainBreak { seq, .. }| seq);
        assert_eq!(ends(&entries), Err(4));
        add(&mut entries, &[4, 5]);
        assert_eq!(entries[5].row.erases, [(4, 5)]);
        assert_eq!(ends(&entries), Err(6), "whoever erased was never erased");
        add(&mut entries, &[6]);
        entries[6].erased_at = None;
        assert_eq!(walk(&entries).map(|_| ()), Err(ChainBreak { seq: 7, reason: BreakReason::Personal }));
        entries.pop();
        add(&mut entries, &[2, 6, 7]);
        assert_eq!(ends(&entries), Ok(()));
    }
}
