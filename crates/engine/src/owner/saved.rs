//! What selections saved: counted with the append in which they end, among the costs of the agent that chose.

use baton_core::graph::Kind;
use baton_core::model::Usage;
use baton_core::money::Usd;
use baton_core::run::{Ended, Event, How, SAVED_COST};
use baton_core::time::Time;
use baton_ports::budget::{Account, Spend};

use super::Owner;
use super::writing::Batch;

/// Adds what was saved to what the choice itself cost, where both are of this append, else to a row of its own.
pub(super) fn note(owner: &Owner, batch: &mut Batch, at: Time) {
    let ended = batch.events.iter().filter_map(|event| {
        let Event::Ended(ended) = event else { return None };
        saved_by(owner, ended)
    });
    for (agent, saved) in ended.collect::<Vec<_>>() {
        let own = batch.spends.iter_mut().rev().find(|spend| spend.account.agent == agent && spend.answered > 0);
        match own {
            Some(spend) => spend.saved += saved,
            None => batch.spends.push(alone(owner, agent, saved, at)),
        }
    }
}

/// Who chose, and what the tools that were left out would have cost; nothing where nothing was chosen or left out.
fn saved_by(owner: &Owner, ended: &Ended) -> Option<(String, Usd)> {
    let (How::Completed { output }, Some(by)) = (&ended.how, &ended.by) else { return None };
    let saved = Usd::from_f64(output.get(SAVED_COST)?.as_f64()?);
    let graph = ended.node.scope.graph_in(owner.run.workflow()?)?;
    let node = graph.node(graph.find(ended.node.node.as_str())?);
    let selects = matches!(&node.kind, Kind::Agent(agent) if agent.selects);
    (selects && saved > Usd::ZERO).then(|| (by.agent.clone(), saved))
}

fn alone(owner: &Owner, agent: String, saved: Usd, at: Time) -> Spend {
    Spend {
        tenant: owner.tenant.clone(),
        key_id: owner.run.started().and_then(|started| started.caller.key_id.clone()),
        account: Account { workflow: owner.workflow(), agent, ..Account::default() },
        at,
        holder: None,
        calls: 0,
        answered: 0,
        estimated: 0,
        cost: Usd::ZERO,
        usage: Usage::default(),
        latency_ms: 0,
        saved,
    }
}
