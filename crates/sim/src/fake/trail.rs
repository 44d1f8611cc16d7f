//! The audit trail, in memory.

use std::collections::BTreeMap;

use baton_core::audit::{Entry, Salt, Tip, erasure, seal};
use baton_core::id::TenantId;
use baton_core::time::{Time, TimeZone};
use baton_core::tool::{AuditRow, Details};
use baton_core::usage::{Tally, is_use};
use baton_ports::audit::{Filter, Order, Person, Told, Usage, UsageFilter};

use super::reads::page;

/// A chain a tenant.
#[derive(Debug, Default)]
pub struct Trail {
    chains: BTreeMap<TenantId, Vec<Entry>>,
}

impl Trail {
    pub fn add(&mut self, row: AuditRow) {
        let before = self.tip(&row.company_id);
        // Only what is erased in earnest needs a salt that nobody can guess.
        let mut salt = Salt::default();
        salt[..8].copy_from_slice(&before.seq.to_le_bytes());
        let details = row.details.text().to_owned();
        let sealed = seal(&salt, &row, &details);
        let Tip { seq, hash } = before.then(&row, &sealed);
        let chain = self.chains.entry(row.company_id.clone()).or_default();
        chain.push(Entry { seq, row, details, salt: Some(salt), sealed, hash, erased_at: None });
    }

    pub fn tip(&self, tenant: &TenantId) -> Tip {
        let last = self.chain(tenant).last();
        last.map_or(Tip::NONE, |entry| Tip { seq: entry.seq, hash: entry.hash })
    }

    pub fn entries(&self, tenant: &TenantId, filter: &Filter) -> Vec<Entry> {
        chosen(self.chain(tenant).iter().cloned(), filter)
    }

    pub fn latest(&self, tenant: &TenantId, filter: &Filter) -> Vec<Entry> {
        let chain = self.chain(tenant);
        let calls = chain.iter().filter(|entry| !entry.row.changes).filter_map(|entry| {
            let call = entry.row.call.as_ref()?;
            let last_attempt = about(chain, call).rfind(|other| !other.row.changes)?;
            let status = about(chain, call).next_back()?.row.status;
            let row = AuditRow { status, ..entry.row.clone() };
            (last_attempt.seq == entry.seq).then(|| Entry { row, ..entry.clone() })
        });
        chosen(calls.collect::<Vec<_>>().into_iter(), filter)
    }

    pub fn erase(&mut self, tenant: &TenantId, person: &Person, by: &str, at: Time) -> u64 {
        let (mut erased, whom) = (Vec::new(), person.whom());
        for entry in self.chains.get_mut(tenant).into_iter().flatten() {
            let is_theirs = entry.row.user_id.as_deref().is_some_and(|of| person.names().any(|name| name == of));
            if is_theirs || person.is_told_of(&whom, &Told::from(&*entry)) {
                let row = &mut entry.row;
                (row.user_id, row.conversation_id, row.details) = (None, None, Details::default());
                (entry.details, entry.salt, entry.erased_at) = (String::new(), None, Some(at));
                erased.push(entry.seq);
            }
        }
        if !erased.is_empty() {
            self.add(erasure(tenant, by, &erased, at));
        }
        erased.len() as u64
    }

    pub fn usage(&self, filter: &UsageFilter) -> Vec<Usage> {
        let rows = self.chains.values().flatten().map(|entry| &entry.row).filter(|row| {
            is_use(row)
                && filter.tenant.as_ref().is_none_or(|tenant| *tenant == row.company_id)
                && filter.action.as_ref().is_none_or(|action| *action == row.action)
                && filter.from.is_none_or(|from| row.at >= from)
                && filter.to.is_none_or(|to| row.at < to)
        });
        let zone = filter.zone.clone().unwrap_or(TimeZone::UTC);
        let mut sums = BTreeMap::<Vec<String>, Tally>::new();
        for row in rows {
            let parts = filter.by.iter().map(|part| part.of(row, &zone)).collect();
            sums.entry(parts).or_default().add(row);
        }
        sums.into_iter().map(|(parts, tally)| Usage { parts, tally }).collect()
    }

    fn chain(&self, tenant: &TenantId) -> &[Entry] {
        self.chains.get(tenant).map_or(&[], Vec::as_slice)
    }
}

/// All rows about one call.
fn about<'a>(chain: &'a [Entry], call: &'a str) -> impl DoubleEndedIterator<Item = &'a Entry> {
    chain.iter().filter(move |entry| entry.row.call.as_deref() == Some(call))
}

fn chosen(entries: impl DoubleEndedIterator<Item = Entry>, filter: &Filter) -> Vec<Entry> {
    let is_of = |wanted: &Option<String>, found: Option<&str>| wanted.as_deref().is_none_or(|one| found == Some(one));
    let is_wanted = |entry: &Entry| {
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
        Order::OldestFirst => {
            let behind = entries.filter(|entry| cursor.is_none_or(|seq| entry.seq > seq));
            behind.filter(is_wanted).take(limit).collect()
        }
        Order::NewestFirst => {
            let behind = entries.rev().filter(|entry| cursor.is_none_or(|seq| entry.seq < seq));
            behind.filter(is_wanted).take(limit).collect()
        }
    }
}
