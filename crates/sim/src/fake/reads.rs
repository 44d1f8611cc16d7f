//! The read model: lists over the journal.

use std::collections::BTreeMap;
use std::sync::Arc;

use baton_core::id::{RunId, TenantId};
use baton_core::kpi::ConversationCounts;
use baton_core::money::Usd;
use baton_core::run::RunState;
use baton_core::time::Time;
use baton_ports::budget::{CostFilter, CostRow};
use baton_ports::conversations::{ConversationFilter, ConversationHead};
use baton_ports::journal::{AggregateKind, StateSnapshot, TaskItem};
use baton_ports::read::{PAGE_DEFAULT, PAGE_MAX, RunFilter, RunHead, customer_hash};

use super::journal::{FakeAggregate, FakeJournal};

impl FakeJournal {
    pub fn run(&self, tenant: &TenantId, run: &RunId) -> Option<RunHead> {
        self.find(run).filter(|found| found.tenant == *tenant && found.kind == AggregateKind::Run).map(shown)
    }

    pub fn runs(&self, tenant: &TenantId, filter: &RunFilter) -> Vec<RunHead> {
        let before = filter.before.as_ref().map_or(Some(self.aggregates.len()), |run| {
            let is_it = |found: &FakeAggregate| found.name == *run && found.tenant == *tenant;
            self.aggregates.iter().position(is_it)
        });
        let older = self.aggregates.get(..before.unwrap_or(0)).unwrap_or_default();
        let wanted =
            older.iter().rev().filter(|found| found.tenant == *tenant && found.kind == AggregateKind::Run).map(shown);
        wanted.filter(|head| self.lets_through(tenant, filter, head)).take(page(filter.limit)).collect()
    }

    fn lets_through(&self, tenant: &TenantId, filter: &RunFilter, head: &RunHead) -> bool {
        let (customer, bundle) = self.begun.get(&head.run).map_or((None, None), |(whom, on)| (whom.as_ref(), Some(on)));
        let code = || head.fault.as_deref().and_then(|fault| fault.split_once(':')).map(|(code, _)| code);
        let has = |text: &str| {
            let shown = [head.run.as_str(), &head.workflow, head.fault.as_deref().unwrap_or_default()];
            shown.iter().any(|shown| shown.to_ascii_lowercase().contains(&text.to_ascii_lowercase()))
        };
        (filter.states.is_empty() || filter.states.contains(&head.state))
            && filter.workflow.as_ref().is_none_or(|workflow| *workflow == head.workflow)
            && filter.bundles.as_ref().is_none_or(|bundles| bundle.is_some_and(|bundle| bundles.contains(bundle)))
            && filter.customer.as_ref().is_none_or(|whom| customer == Some(&customer_hash(tenant, whom)))
            && filter.error_code.as_deref().is_none_or(|wanted| code() == Some(wanted))
            && filter.from.is_none_or(|from| head.created_at >= from)
            && filter.until.is_none_or(|until| head.created_at < until)
            && filter.text.as_deref().is_none_or(has)
    }

    pub fn conversation(&self, tenant: &TenantId, id: &RunId) -> Option<ConversationHead> {
        self.conversations.iter().find(|head| head.tenant == *tenant && head.conversation == *id).cloned()
    }

    pub fn conversations(&self, tenant: &TenantId, filter: &ConversationFilter) -> Vec<ConversationHead> {
        let before = filter.before.as_ref().map_or(Some(self.conversations.len()), |id| {
            self.conversations.iter().position(|head| head.conversation == *id && head.tenant == *tenant)
        });
        let older = self.conversations.get(..before.unwrap_or(0)).unwrap_or_default();
        let wanted = older.iter().rev().filter(|head| head.tenant == *tenant);
        let wanted = wanted.filter(|head| filter.status.is_none_or(|status| status == head.state.status()));
        let wanted = wanted.filter(|head| filter.state.is_none_or(|state| state == head.state));
        let wanted = wanted.filter(|head| filter.person.is_none() || filter.person == head.person);
        wanted.take(page(filter.limit)).cloned().collect()
    }

    pub fn conversations_ended(&self, tenant: &TenantId, since: Time) -> ConversationCounts {
        let mut tally = ConversationCounts::default();
        for head in self.conversations.iter().filter(|head| head.tenant == *tenant) {
            let Some(ended_at) = head.ended_at.filter(|at| *at >= since) else { continue };
            tally.ended += 1;
            tally.total_duration += ended_at.since(head.created_at);
            tally.cost += head.cost;
            tally.reopened += u64::from(head.reopened > 0);
            if head.handovers > 0 {
                *tally.handed_over.entry(head.handed_over_for.clone().unwrap_or_default()).or_default() += 1;
            }
            if let Some(stars) = head.rating {
                (tally.ratings, tally.rating_sum) = (tally.ratings + 1, tally.rating_sum + u64::from(stars));
            }
            if let Some((from, until)) = head.waiting_since.zip(head.first_response_at) {
                tally.answered += 1;
                tally.total_answer_time += until.since(from);
            }
        }
        tally
    }

    pub fn begun_by(&self, tenant: &TenantId, prefix: &str, limit: usize) -> Vec<RunHead> {
        let is_it = |found: &&FakeAggregate| found.tenant == *tenant && found.kind == AggregateKind::Run;
        let heads = self.aggregates.iter().filter(is_it).map(shown);
        let mut begun: Vec<RunHead> =
            heads.filter(|head| head.parent.is_none() && head.run.as_str().starts_with(prefix)).collect();
        begun.sort_by(|a, b| a.run.cmp(&b.run));
        begun.truncate(page(limit));
        begun
    }

    pub fn entries(&self, tenant: &TenantId, run: &RunId, after: u64, limit: usize) -> Vec<Arc<[u8]>> {
        let Some(found) = self.find(run).filter(|found| found.tenant == *tenant) else { return Vec::new() };
        let behind = usize::try_from(after).unwrap_or(usize::MAX);
        found.journal.iter().skip(behind).take(limit).cloned().collect()
    }

    pub fn snapshot(&self, tenant: &TenantId, id: &RunId, fold_version: u32, after: u64) -> Option<StateSnapshot> {
        let kept = self.find(id).filter(|found| found.tenant == *tenant)?.snapshot.as_ref()?;
        (kept.fold_version == fold_version && kept.seq > after).then(|| kept.clone())
    }

    /// Open items, oldest first.
    pub fn open_desk(&self, tenant: &TenantId, run: Option<&RunId>) -> Vec<TaskItem> {
        let is_wanted =
            |item: &TaskItem| item.tenant == *tenant && run.is_none_or(|run| item.run.as_ref() == Some(run));
        let mut open: Vec<_> = self.tasks.values().filter(|filed| filed.open && is_wanted(&filed.item)).collect();
        open.sort_by_key(|filed| (filed.item.opened_at, filed.place));
        open.into_iter().map(|filed| filed.item.clone()).collect()
    }

    pub fn costs(&self, filter: &CostFilter) -> Vec<CostRow> {
        self.budget.costs(filter)
    }

    pub fn counts(&self) -> Vec<(RunState, u64)> {
        let mut counts = BTreeMap::new();
        for found in self.aggregates.iter().filter(|found| found.kind == AggregateKind::Run) {
            *counts.entry(state_of(found)).or_default() += 1;
        }
        counts.into_iter().collect()
    }
}

pub(super) fn page(limit: usize) -> usize {
    if limit == 0 { PAGE_DEFAULT } else { limit.min(PAGE_MAX) }
}

fn state_of(found: &FakeAggregate) -> RunState {
    found.head.as_ref().map_or(RunState::Pending, |head| head.state)
}

fn shown(found: &FakeAggregate) -> RunHead {
    let head = found.head.as_ref();
    RunHead {
        run: found.name.clone(),
        tenant: found.tenant.clone(),
        workflow: found.workflow.clone(),
        state: state_of(found),
        parent: found.parent.clone(),
        created_at: found.created_at,
        started_at: head.and_then(|head| head.started_at),
        ended_at: head.and_then(|head| head.ended_at),
        cost: head.map_or(Usd::ZERO, |head| Usd::from_nanos(head.cost_nanos)),
        fault: head.and_then(|head| head.fault.clone()),
        wake_at: found.wake_at,
        seq: found.seq(),
        erased_at: None,
        erased_version: None,
    }
}
