//! How a run drains, is rolled back, and ends.

use super::super::address::{NodeAddress, ScopePath};
use super::super::event::{DrainReason, RunFinished};
use super::super::state::{CompensationReason, NodeState, NodeStatus, Run, RunPhase, RunTimer};

impl Run {
    pub(super) fn drain(&mut self, why: &DrainReason, compensate: bool) {
        if let DrainReason::Failed { fault, .. } = why {
            self.fault = Some(fault.clone());
        }
        self.phase = RunPhase::Winding { why: why.clone(), compensate };
        self.ready.clear();
        self.timers.retain(|(_, timer)| *timer != RunTimer::Run);
        if let Some(outer) = self.scopes.get_mut(&ScopePath::root()) {
            outer.winding = Some(why.clone());
        }
    }

    pub(super) fn compensate(&mut self) {
        let why = match &self.phase {
            RunPhase::Winding { why: DrainReason::Cancelled { .. }, .. } => CompensationReason::Cancelled,
            RunPhase::Winding { why: DrainReason::TimedOut, .. } => CompensationReason::TimedOut,
            // A result arrived late while the customer was being informed of the rollback: that continues.
            RunPhase::Aftermath { why } | RunPhase::Compensating { why } => *why,
            RunPhase::Winding { .. } | RunPhase::New | RunPhase::Running | RunPhase::Ended(_) => {
                CompensationReason::Failed
            }
        };
        self.phase = RunPhase::Compensating { why };
        self.saga.roll_back();
    }

    pub(super) fn reopen_for_rollback(&mut self) {
        self.finished = None;
        self.phase = RunPhase::Compensating { why: CompensationReason::Rollback };
        self.saga.roll_back();
    }

    /// Queues the node that runs after a rollback. Later nodes that already ran keep their state; the others start
    /// fresh, and edges from elsewhere are dead.
    pub(super) fn begin_aftermath(&mut self) {
        if let RunPhase::Compensating { why } = self.phase {
            self.phase = RunPhase::Aftermath { why };
        }
        let Some(workflow) = self.workflow.clone() else { return };
        let Some(first) = workflow.on_compensated else { return };
        self.scopes.retain(|path, _| path.is_root());
        self.calls_from = self.calls_from.max(self.calls_high) + 1;
        let Some(outer) = self.scopes.get_mut(&ScopePath::root()) else { return };
        outer.winding = None;
        outer.result = None;
        let graph = &workflow.graph;
        let ran =
            |state: &NodeState| matches!(state.status, NodeStatus::Completed | NodeStatus::Failed | NodeStatus::Caught);
        let mut places = graph.reachable([first]);
        places.retain(|place| *place == first || !ran(&outer.nodes[place.as_usize()]));
        for place in &places {
            let state = &mut outer.nodes[place.as_usize()];
            let next_call = if state.status == NodeStatus::Reserved { 0 } else { self.calls_from };
            outer.unsettled += u32::from(!state.status.is_idle());
            let elsewhere = graph.incoming(*place).iter().filter(|edge| !places.contains(&graph.edge(**edge).from));
            let settled_in = u32::try_from(elsewhere.count()).unwrap_or(u32::MAX);
            *state = NodeState { next_call, settled_in, ..NodeState::default() };
        }
        self.ready.push_back(NodeAddress::new(ScopePath::root(), graph.node(first).id.clone()));
        self.aftermath = Some(places.into_iter().map(|place| place.0).collect());
    }

    pub(super) fn finish(&mut self, finished: &RunFinished) {
        self.phase = RunPhase::Ended(finished.state);
        self.fault.clone_from(&finished.fault);
        self.timers.clear();
        self.ready.clear();
        self.paused = false;
        self.finished = Some(Box::new(finished.clone()));
    }
}
