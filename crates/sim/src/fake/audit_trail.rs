//! The audit trail, in memory.

use std::collections::BTreeMap;

use baton_core::audit::{AuditEntry, ChainTip, CommitmentSalt, erasure_row, seal};
use baton_core::id::TenantId;
use baton_core::time::{Time, TimeZone};
use baton_core::tool::{AuditDetails, AuditRow};
use baton_core::usage::{UsageTally, is_tool_use};
use baton_ports::audit::{AuditFilter, AuditMention, AuditOrder, ErasureSubject, UsageFilter, UsageSum};

use super::reads::page;

/// One chain per tenant.
#[derive(Debug, Default)]
pub struct FakeAuditTrail {
    chains: BTreeMap<TenantId, Vec<AuditEntry>>,
}

impl FakeAuditTrail {
    pub fn add(&mut self, row: AuditRow) {
        let before = self.tip(&row.company_id);
        // Only real erasure requires a salt that cannot be guessed.
        let mut salt = CommitmentSalt::default();
        salt[..8].copy_from_slice(&before.seq.to_le_bytes());
        let details = row.details.text().to_owned();
        let sealed = seal(&salt, &row, &details);
        let ChainTip { seq, hash } = before.with_row(&row, &sealed);
        let chain = self.chains.entry(row.company_id.clone()).or_default();
        chain.push(AuditEntry { seq, row, details, salt: Some(salt), sealed, hash, erased_at: None });
    }

    pub fn tip(&self, tenant: &TenantId) -> ChainTip {
        let last = self.chain(tenant).last();
        last.map_or(ChainTip::NONE, |entry| ChainTip { seq: entry.seq, hash: entry.hash })
    }

    pub fn entries(&self, tenant: &TenantId, filter: &AuditFilter) -> Vec<AuditEntry> {
        chosen(self.chain(tenant).iter().cloned(), filter)
    }

    pub fn latest(&self, tenant: &TenantId, filter: &AuditFilter) -> Vec<AuditEntry> {
        let chain = self.chain(tenant);
        let calls = chain.iter().filter(|entry| !entry.row.changes).filter_map(|entry| {
            let call = entry.row.call.as_ref()?;
            let last_attempt = about(chain, call).rfind(|other| !other.row.changes)?;
            let status = about(chain, call).next_back()?.row.status;
            let row = AuditRow { status, ..entry.row.clone() };
            (last_attempt.seq == entry.seq).then(|| AuditEntry { row, ..entry.clone() })
        });
        chosen(calls.collect::<Vec<_>>().into_iter(), filter)
    }

    pub fn erase(&mut self, tenant: &TenantId, person: &ErasureSubject, by: &str, at: Time) -> u64 {
        let (mut erased, whom) = (Vec::new(), person.matcher());
        for entry in self.chains.get_mut(tenant).into_iter().flatten() {
            let is_theirs = entry.row.user_id.as_deref().is_some_and(|of| person.names().any(|name| name == of));
            if is_theirs || person.is_mentioned_in(&whom, &AuditMention::from(&*entry)) {
                let row = &mut entry.row;
                (row.user_id, row.conversation_id, row.details) = (None, None, AuditDetails::default());
                (entry.details, entry.salt, entry.erased_at) = (String::new(), None, Some(at));
                erased.push(entry.seq);
            }
        }
        if !erased.is_empty() {
            self.add(erasure_row(tenant, by, &erased, at));
        }
        erased.len() as u64
    }

    pub fn usage(&self, filter: &UsageFilter) -> Vec<UsageSum> {
        let rows = self.chains.values().flatten().map(|entry| &entry.row).filter(|row| {
            is_tool_use(row)
                && filter.tenant.as_ref().is_none_or(|tenant| *tenant == row.company_id)
                && filter.action.as_ref().is_none_or(|action| *action == row.action)
                && filter.from.is_none_or(|from| row.at >= from)
                && filter.to.is_none_or(|to| row.at < to)
        });
        let zone = filter.zone.clone().unwrap_or(TimeZone::UTC);
        let mut sums = BTreeMap::<Vec<String>, UsageTally>::new();
        for row in rows {
            let parts = filter.by.iter().map(|part| part.of(row, &zone)).collect();
            sums.entry(parts).or_default().add(row);
        }
        sums.into_iter().map(|(parts, tally)| UsageSum { parts, tally }).collect()
    }

    fn chain(&self, tenant: &TenantId) -> &[AuditEntry] {
        self.chains.get(tenant).map_or(&[], Vec::as_slice)
    }
}

/// All rows about one call.
fn about<'a>(chain: &'a [AuditEntry], call: &'a str) -> impl DoubleEndedIterator<Item = &'a AuditEntry> {
    chain.iter().filter(move |entry| entry.row.call.as_deref() == Some(call))
}

fn chosen(entries: impl DoubleEndedIterator<Item = AuditEntry>, filter: &AuditFilter) -> Vec<AuditEntry> {
    let is_of = |wanted: &Option<String>, found: Option<&str>| wanted.as_deref().is_none_or(|one| found == Some(one));
    let is_wanted = |entry: &AuditEntry| {
        let row = &entry.row;
        filter.run.as_ref().is_none_or(|run| row.run.as_ref() == Some(run))
            && is_of(&filter.action, Some(&row.action))
            && is_of(&filter.person, row.user_id.as_deref())
            && filter.status.is_none_or(|status| status == row.status)
            && filter.from.is_none_or(|from| row.at >= from)
            && filter.to.is_none_or(|to| row.at < to)
    };
    let limit = page(filter.limit);
    let cursor = filter.cursor;
    match filter.order {
        AuditOrder::OldestFirst => {
            let behind = entries.filter(|entry| cursor.is_none_or(|seq| entry.seq > seq));
            behind.filter(is_wanted).take(limit).collect()
        }
        AuditOrder::NewestFirst => {
            let behind = entries.rev().filter(|entry| cursor.is_none_or(|seq| entry.seq < seq));
            behind.filter(is_wanted).take(limit).collect()
        }
    }
}
