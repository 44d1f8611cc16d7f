//! Savings of tool selection, recorded with the append in which a selection ends, among the costs of the agent that
//! chose.

use baton_core::graph::NodeKind;
use baton_core::model::TokenUsage;
use baton_core::money::Usd;
use baton_core::run::{NodeEnded, NodeOutcome, RunEvent, SAVED_COST_KEY};
use baton_core::time::Time;
use baton_ports::budget::{CallSpend, SpendAccount};

use super::RunOwner;
use super::batch::AppendBatch;

/// Adds the savings to the cost of the choice if both are in this append, otherwise to a separate row.
pub(super) fn record_savings(owner: &RunOwner, batch: &mut AppendBatch, at: Time) {
    let ended = batch.events.iter().filter_map(|event| {
        let RunEvent::Ended(ended) = event else { return None };
        saved_by(owner, ended)
    });
    for (agent, saved) in ended.collect::<Vec<_>>() {
        let own = batch.spends.iter_mut().rev().find(|spend| spend.account.agent == agent && spend.answered > 0);
        match own {
            Some(spend) => spend.saved += saved,
            None => batch.spends.push(savings_spend(owner, agent, saved, at)),
        }
    }
}

/// The agent that chose and the avoided cost of the tools that were left out; `None` if nothing was chosen or left out.
fn saved_by(owner: &RunOwner, ended: &NodeEnded) -> Option<(String, Usd)> {
    let (NodeOutcome::Completed { output }, Some(by)) = (&ended.how, &ended.by) else { return None };
    let saved = Usd::from_f64(output.get(SAVED_COST_KEY)?.as_f64()?);
    let graph = ended.node.scope.graph_of(owner.run.workflow()?)?;
    let node = graph.node(graph.find(ended.node.node.as_str())?);
    let selects = matches!(&node.kind, NodeKind::Agent(agent) if agent.only_selects_tools);
    (selects && saved > Usd::ZERO).then(|| (by.agent.clone(), saved))
}

fn savings_spend(owner: &RunOwner, agent: String, saved: Usd, at: Time) -> CallSpend {
    CallSpend {
        tenant: owner.tenant.clone(),
        key_id: owner.run.started().and_then(|started| started.caller.key_id.clone()),
        account: SpendAccount { workflow: owner.workflow(), agent, ..SpendAccount::default() },
        at,
        holder: None,
        calls: 0,
        answered: 0,
        estimated: 0,
        cost: Usd::ZERO,
        usage: TokenUsage::default(),
        latency_ms: 0,
        saved,
    }
}
