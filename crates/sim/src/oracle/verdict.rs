//! What must hold once everything has ended.

use std::collections::{BTreeMap, BTreeSet};

use baton_core::id::{RunId, TenantId};
use baton_core::money::Usd;
use baton_core::run::{Answer, Event, Role, State, Undo};
use baton_core::tool::Class;
use baton_ports::budget::CostFilter;
use baton_ports::journal::DeskKind;

use super::{Chronicle, Violation, Witness, broken, flow, programs, saga, signals, thoughts};
use crate::fake::Books;
use crate::services::Services;

impl Witness {
    pub fn verdict(&self, services: &Services, books: &Books, tenant: &TenantId) -> Result<(), Violation> {
        for (run, chronicle) in &self.chronicles {
            if books.left_in_inbox(run) > 0 || chronicle.inbox.consumed() as i64 != books.filed(run) {
                return broken("inbox", format!("`{run}` left items in its inbox"));
            }
            let Some(workflow) = &chronicle.workflow else { continue };
            flow::check(chronicle, workflow)?;
            saga::check(chronicle)?;
            signals::check(chronicle)?;
            programs::check(chronicle)?;
            thoughts::check(chronicle)?;
            acts(chronicle, services)?;
            desk(chronicle, books, tenant)?;
            children(chronicle, self)?;
        }
        self.talks.verdict(books, &self.chronicles)?;
        money(self, books)
    }
}

/// What runs paid models is among the costs: an answer and its price are recorded together or not at all. An answer that
/// no run took is among them too.
fn money(witness: &Witness, books: &Books) -> Result<(), Violation> {
    let of_event = |event: &Event| match event {
        Event::Done(done) if matches!(done.output, Answer::Model(_)) => done.cost,
        Event::HoldLost { cost, .. } => *cost,
        _ => Usd::ZERO,
    };
    let recorded: Usd = witness.chronicles.values().flat_map(Chronicle::events).map(of_event).sum();
    let costs: Usd = books.costs(&CostFilter::default()).iter().map(|row| row.cost).sum();
    if costs < recorded {
        return broken("money", format!("runs paid {recorded:?}, and {costs:?} is among the costs"));
    }
    Ok(())
}

/// Whatever acted is recorded as done, or a person decided in spite of it.
fn acts(chronicle: &Chronicle, services: &Services) -> Result<(), Violation> {
    let mut acted: BTreeMap<&str, u32> = BTreeMap::new();
    for asked in services.ledger.iter().filter(|asked| asked.run == chronicle.run && asked.acted) {
        let count = acted.entry(&asked.key).or_default();
        *count += 1;
        if *count > 1 {
            return broken("acted once", format!("`{}` acted {count} times", asked.key));
        }
        let calls = &chronicle.calls;
        let is_known = calls.done.contains(&asked.effect)
            || calls.late.contains(&asked.effect)
            || calls.given_up.contains(&asked.effect);
        // A request that a stopped process had on its way can overtake what its successor was told; only a call whose
        // marker carries a deadline rules that out.
        if !is_known && (asked.was_owner || asked.class != Class::Keyed) {
            return broken("acts are recorded", format!("`{}` acted, and its journal does not say so", asked.key));
        }
    }
    Ok(())
}

/// A compensation that failed is on the desk unless it is tried again, and nothing else is.
fn desk(chronicle: &Chronicle, books: &Books, tenant: &TenantId) -> Result<(), Violation> {
    let open = books.open_desk(tenant, Some(&chronicle.run));
    let mut left = BTreeSet::new();
    for event in chronicle.events() {
        match event {
            Event::NotUndone { effect, .. } => {
                left.insert(effect.call.clone());
            }
            Event::UndoAgain { effect, .. } => {
                left.remove(&effect.call);
            }
            _ => {}
        }
    }
    let not_undone = left.len();
    let shown = open.iter().filter(|item| item.kind == DeskKind::NotUndone).count();
    if let Some(item) = open.iter().find(|item| item.kind != DeskKind::NotUndone) {
        return broken("desk", format!("`{}` has ended, and `{}` is open", chronicle.run, item.id));
    }
    let state = chronicle.finished.as_ref().map(|finished| finished.state);
    // What a race lost and could not take back is on the desk, and fails only a run that was to take everything back.
    let takes_all_back = chronicle.events().fold(false, |takes, event| match event {
        Event::Winding { compensate, .. } => *compensate,
        Event::Compensating => true,
        // Whoever has it tried again wants it to come to its end.
        Event::Reopened(_) => false,
        _ => takes,
    });
    let may = not_undone == 0 || !takes_all_back || state == Some(State::Failed);
    if shown == not_undone && may {
        return Ok(());
    }
    broken("desk", format!("`{}` is {state:?}: {not_undone} were not undone, {shown} are shown", chronicle.run))
}

/// A child whose parent was compensated is itself undone.
fn children(chronicle: &Chronicle, witness: &Witness) -> Result<(), Violation> {
    let undone = chronicle.events().filter_map(|event| match event {
        Event::ChildUndone { effect, fault: None } => Some(effect),
        _ => None,
    });
    for effect in undone {
        let entries = chronicle.events().filter_map(|event| match event {
            Event::Done(done) | Event::ArrivedLate(done) if done.effect.call.role == Role::Act => done.undo.as_deref(),
            _ => None,
        });
        let child = match entries.into_iter().nth(effect.call.call as usize) {
            Some(Undo::Child { run }) => Some(run),
            _ => None,
        };
        let state = child.and_then(|run: &RunId| witness.chronicles.get(run)?.finished.as_ref());
        if let Some(finished) = state
            && finished.state != State::Compensated
        {
            return broken("children", format!("{child:?} is {}, and its parent says it is undone", finished.state));
        }
    }
    Ok(())
}
