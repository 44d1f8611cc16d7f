//! The costs of a run and its nodes, the reservations of their open calls, and the limits of both.

use super::Run;
use crate::money::Usd;
use crate::run::address::{CallId, NodeAddress};

/// One limit, with the amounts that count against it.
pub(in crate::run) struct SpendingLimit {
    /// `run` or `node`, for messages.
    pub owner: &'static str,
    pub spent: Usd,
    /// The reserved cost of open calls.
    pub held: Usd,
    pub limit: Usd,
}

impl Run {
    /// Returns the limits on a node's cost, each with the amounts that count against it.
    pub(in crate::run) fn spending(&self, at: &NodeAddress) -> impl Iterator<Item = SpendingLimit> {
        let own_limit = self.workflow.as_ref().and_then(|workflow| workflow.max_cost);
        let run_limit = own_limit.into_iter().chain(self.started().and_then(|started| started.origin.max_cost())).min();
        let node_limit = self.place(at).and_then(|(scope, place)| scope.graph.node(place).policy.max_cost);
        let (spent, held) = self.node_state(at).map_or_else(Default::default, |state| (state.cost, state.on_hold));
        let held_here = held + self.handed_down.get(at).copied().unwrap_or_default();
        let of_run =
            run_limit.map(|limit| SpendingLimit { owner: "run", spent: self.cost, held: self.held_cost(), limit });
        let of_node = node_limit.map(|limit| SpendingLimit { owner: "node", spent, held: held_here, limit });
        of_run.into_iter().chain(of_node)
    }

    /// Returns the maximum total cost of the remaining attempts of an open call; `None` if neither the run nor the node
    /// has a limit. It is bounded by the call's reservation, and lower if earlier attempts have cost something.
    pub fn remaining_budget(&self, call: &CallId) -> Option<Usd> {
        let hold = self.calls.get(call)?.hold;
        let left =
            self.spending(&call.node).map(|SpendingLimit { spent, held, limit, .. }| limit - spent - (held - hold));
        left.min().map(|left| left.clamp(Usd::ZERO, hold))
    }
}
