//! What must hold once everything has ended.

use std::collections::{BTreeMap, BTreeSet};

use baton_core::id::{RunId, TenantId};
use baton_core::money::Usd;
use baton_core::run::{CallOutput, CallRole, RunEvent, RunState, UndoAction};
use baton_core::tool::EffectClass;
use baton_ports::budget::CostFilter;
use baton_ports::journal::TaskItemKind;

use super::{PromiseViolation, RunHistory, SimOracle, agent_trace, flow, programs, saga, signals, violation};
use crate::fake::FakeJournal;
use crate::services::SimServices;

impl SimOracle {
    pub fn verdict(
        &self,
        services: &SimServices,
        books: &FakeJournal,
        tenant: &TenantId,
    ) -> Result<(), PromiseViolation> {
        for (run, history) in &self.histories {
            if books.inbox_len(run) > 0 || history.inbox.consumed() as i64 != books.items_received(run) {
                return violation("inbox", format!("`{run}` left items in its inbox"));
            }
            let Some(workflow) = &history.workflow else { continue };
            flow::check(history, workflow)?;
            saga::check(history)?;
            signals::check(history)?;
            programs::check(history)?;
            agent_trace::check(history)?;
            acts(history, services)?;
            desk(history, books, tenant)?;
            children(history, self)?;
        }
        self.conversations.verdict(books, &self.histories)?;
        money(self, books)
    }
}

/// The costs contain what runs paid for models: a reply and its price are recorded together or not at all. Replies that
/// no run consumed are included too.
fn money(witness: &SimOracle, books: &FakeJournal) -> Result<(), PromiseViolation> {
    let of_event = |event: &RunEvent| match event {
        RunEvent::Done(done) if matches!(done.output, CallOutput::Model(_)) => done.cost,
        RunEvent::HoldLost { cost, .. } => *cost,
        _ => Usd::ZERO,
    };
    let recorded: Usd = witness.histories.values().flat_map(RunHistory::events).map(of_event).sum();
    let costs: Usd = books.costs(&CostFilter::default()).iter().map(|row| row.cost).sum();
    if costs < recorded {
        return violation("money", format!("runs paid {recorded:?}, and {costs:?} is among the costs"));
    }
    Ok(())
}

/// Every act is recorded as done, or a person decided otherwise.
fn acts(history: &RunHistory, services: &SimServices) -> Result<(), PromiseViolation> {
    let mut acted: BTreeMap<&str, u32> = BTreeMap::new();
    for asked in services.ledger.iter().filter(|asked| asked.run == history.run && asked.acted) {
        let count = acted.entry(&asked.key).or_default();
        *count += 1;
        if *count > 1 {
            return violation("acted once", format!("`{}` acted {count} times", asked.key));
        }
        let calls = &history.calls;
        let is_known = calls.done.contains(&asked.effect)
            || calls.late.contains(&asked.effect)
            || calls.given_up.contains(&asked.effect);
        // A request that a stopped process had in flight can arrive after its successor was told the outcome; only a
        // call whose marker has a deadline rules that out.
        if !is_known && (asked.was_owner || asked.class != EffectClass::Keyed) {
            return violation("acts are recorded", format!("`{}` acted, and its journal does not say so", asked.key));
        }
    }
    Ok(())
}

/// A failed compensation is in the task inbox unless it is retried, and nothing else is.
fn desk(history: &RunHistory, books: &FakeJournal, tenant: &TenantId) -> Result<(), PromiseViolation> {
    let open = books.open_desk(tenant, Some(&history.run));
    let mut left = BTreeSet::new();
    for event in history.events() {
        match event {
            RunEvent::NotUndone { effect, .. } => {
                left.insert(effect.call.clone());
            }
            RunEvent::UndoAgain { effect, .. } => {
                left.remove(&effect.call);
            }
            _ => {}
        }
    }
    let not_undone = left.len();
    let shown = open.iter().filter(|item| item.kind == TaskItemKind::NotUndone).count();
    if let Some(item) = open.iter().find(|item| item.kind != TaskItemKind::NotUndone) {
        return violation("desk", format!("`{}` has ended, and `{}` is open", history.run, item.id));
    }
    let state = history.finished.as_ref().map(|finished| finished.state);
    // An effect that lost a race and could not be undone is in the task inbox, and fails only a run that was to undo
    // everything.
    let takes_all_back = history.events().fold(false, |takes, event| match event {
        RunEvent::Winding { compensate, .. } => *compensate,
        RunEvent::Compensating => true,
        // A person who has it retried requires it to complete.
        RunEvent::Reopened(_) => false,
        _ => takes,
    });
    let may = not_undone == 0 || !takes_all_back || state == Some(RunState::Failed);
    if shown == not_undone && may {
        return Ok(());
    }
    violation("desk", format!("`{}` is {state:?}: {not_undone} were not undone, {shown} are shown", history.run))
}

/// A child whose parent was compensated is itself undone.
fn children(history: &RunHistory, witness: &SimOracle) -> Result<(), PromiseViolation> {
    let undone = history.events().filter_map(|event| match event {
        RunEvent::ChildUndone { effect, fault: None } => Some(effect),
        _ => None,
    });
    for effect in undone {
        let entries = history.events().filter_map(|event| match event {
            RunEvent::Done(done) | RunEvent::ArrivedLate(done) if done.effect.call.role == CallRole::Act => {
                done.undo.as_deref()
            }
            _ => None,
        });
        let child = match entries.into_iter().nth(effect.call.call as usize) {
            Some(UndoAction::Child { run }) => Some(run),
            _ => None,
        };
        let state = child.and_then(|run: &RunId| witness.histories.get(run)?.finished.as_ref());
        if let Some(finished) = state
            && finished.state != RunState::Compensated
        {
            return violation("children", format!("{child:?} is {}, and its parent says it is undone", finished.state));
        }
    }
    Ok(())
}
