//! What a run waits for from outside; the task inbox shows it.

use super::address::{EffectId, NodeAddress, ScopePath};
use super::approval::Approval;
use super::command::{HumanDecision, MESSAGE};
use super::event::{BlockReason, HumanPrompt};
use super::state::{AgentWait, CallProgress, HoldReason, NodeActivity, Run, RunPhase, ScopeState};
use crate::id::RunId;
use crate::time::Time;
use crate::tool::{Caller, ToolQuestion};

/// One open request to a person outside the run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HumanTask {
    /// A `human` node.
    Human(NodeAddress),
    /// An agent's question to the customer.
    Customer(NodeAddress),
    /// A call of unknown outcome.
    Doubt(EffectId),
    /// A tool call that needs an approval.
    Approval(EffectId),
    /// A tool call that asks a question before it acts.
    Question(EffectId),
    /// A model call that a budget blocks.
    Budget(EffectId),
    /// A model call that needs the consumer's own key.
    Key(EffectId),
}

/// A call that is held back for a time and is then sent without further action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldCall {
    pub effect: EffectId,
    pub by: HoldReason,
    pub until: Time,
    /// The tool it calls, if it calls one.
    pub tool: Option<String>,
}

impl Run {
    /// Returns the calls that are held back at the latest instant of the run; empty if the run is paused.
    pub fn held_calls(&self) -> Vec<HeldCall> {
        let held = self.calls.iter().filter_map(|(id, call)| {
            let (by, until) = call.held_until().filter(|(_, until)| *until > self.now && !self.paused)?;
            let effect = EffectId { call: id.clone(), generation: call.generation };
            Some(HeldCall { effect, by, until, tool: self.tool_of(id).map(str::to_owned) })
        });
        held.collect()
    }

    /// Returns all open tasks. The cost depends on what is open, not on the length of the history.
    pub fn human_tasks(&self) -> Vec<HumanTask> {
        let calls = self.calls.iter().filter_map(|(id, call)| {
            let effect = EffectId { call: id.clone(), generation: call.generation };
            match &call.progress {
                CallProgress::Doubt => Some(HumanTask::Doubt(effect)),
                CallProgress::Blocked(BlockReason::Approval(_)) => Some(HumanTask::Approval(effect)),
                CallProgress::Blocked(BlockReason::Question { .. }) => Some(HumanTask::Question(effect)),
                CallProgress::Blocked(BlockReason::Budget { .. }) => Some(HumanTask::Budget(effect)),
                CallProgress::Blocked(BlockReason::Key) => Some(HumanTask::Key(effect)),
                _ => None,
            }
        });
        let nodes = self.scopes.iter().flat_map(|(path, scope)| {
            scope.active.iter().filter_map(move |place| {
                let state = scope.nodes.get(*place as usize)?;
                let at = || Some(NodeAddress::new(path.clone(), scope.graph.nodes.get(*place as usize)?.id.clone()));
                match state.activity.as_deref()? {
                    NodeActivity::Human { .. } => at().map(HumanTask::Human),
                    NodeActivity::Agent { waits: AgentWait::Customer { .. }, .. } => at().map(HumanTask::Customer),
                    _ => None,
                }
            })
        });
        calls.chain(nodes).collect()
    }

    /// Returns whether nothing will happen here before `until` without input from outside. For a paused run only its
    /// owner knows what is still in flight; for one with [`Self::children`] only those know.
    pub fn is_idle_until(&self, until: Time) -> bool {
        if self.state().is_end() || self.paused {
            return true;
        }
        let wakes_before = || self.wake_at(self.now).is_some_and(|wake| wake <= until);
        !self.is_in_motion() && !self.has_more_work() && (!self.human_tasks().is_empty() || !wakes_before())
    }

    /// Returns whether a child run has not ended yet; children are awaited in every kind of draining.
    pub(super) fn awaits_children(&self) -> bool {
        self.open_children().next().is_some()
    }

    /// Returns when the next call is sent without input (a retry, a look-up, the end of a rate limit), if nothing is in
    /// flight and nothing may be sent before.
    pub fn next_send_at(&self) -> Option<Time> {
        if self.paused || self.has_more_work() || self.agent_to_step().is_some() {
            return None;
        }
        let mut next = None;
        for call in self.calls.values() {
            match (&call.progress, call.due_at()) {
                _ if call.waits_for_people() => {}
                (_, Some(at)) if at > self.now => next = Some(next.map_or(at, |next: Time| next.min(at))),
                (CallProgress::Doubt | CallProgress::Blocked(BlockReason::Key), None) => {}
                _ => return None,
            }
        }
        next
    }

    /// Returns the other runs whose end this one waits for: those of its open subworkflow nodes, and those that undo
    /// their part.
    pub fn children(&self) -> Vec<RunId> {
        self.open_children().chain(self.saga.children_underway()).cloned().collect()
    }

    fn open_children(&self) -> impl Iterator<Item = &RunId> {
        self.scopes.values().flat_map(|scope| {
            scope.active.iter().filter_map(|place| match scope.nodes.get(*place as usize)?.activity.as_deref()? {
                NodeActivity::Child { run, .. } => Some(run),
                _ => None,
            })
        })
    }

    /// Returns the awaited signals, with the waiting nodes.
    pub fn awaited_signals(&self) -> Vec<(NodeAddress, String)> {
        let of_scope = |(path, scope): (&ScopePath, &ScopeState)| {
            let waits = scope.active.iter().filter_map(|place| {
                let NodeActivity::Signal { name, .. } = scope.nodes.get(*place as usize)?.activity.as_deref()? else {
                    return None;
                };
                Some((NodeAddress::new(path.clone(), scope.graph.nodes.get(*place as usize)?.id.clone()), name.clone()))
            });
            waits.collect::<Vec<_>>()
        };
        self.scopes.iter().flat_map(of_scope).collect()
    }

    /// Returns, for a sender that numbers its messages, the number up to which they arrived, and those that are not
    /// consumed yet.
    pub fn unconsumed_messages(&self, source: &str) -> (u64, Vec<u64>) {
        self.signals.delivery_state(source, MESSAGE)
    }

    /// Returns whether it is about to end, and sends nothing new except compensations.
    pub fn is_ending(&self) -> bool {
        matches!(self.phase, RunPhase::Winding { .. } | RunPhase::Compensating { .. })
    }

    /// Returns the approval that people are asked for about a call, and the people who have given it so far.
    pub fn approval_for(&self, effect: &EffectId) -> Option<(&Approval, &[String])> {
        let call = self.calls.get(&effect.call).filter(|call| call.generation == effect.generation)?;
        match &call.progress {
            CallProgress::Blocked(BlockReason::Approval(leave)) => Some((leave, &call.allowed_by)),
            _ => None,
        }
    }

    /// Returns the question that a call asks people before it acts.
    pub fn open_question(&self, effect: &EffectId) -> Option<&ToolQuestion> {
        match self.progress_of(effect)? {
            CallProgress::Blocked(BlockReason::Question { question, .. }) => Some(question),
            _ => None,
        }
    }

    /// Returns whether a call certainly did not act, and a person is asked to do by hand what its service cannot.
    pub fn is_manual(&self, effect: &EffectId) -> bool {
        let call = self.calls.get(&effect.call).filter(|call| call.generation == effect.generation);
        call.is_some_and(super::state::OpenCall::is_manual)
    }

    /// Returns the people who have approved at an open `human` node.
    pub fn approved_by(&self, at: &NodeAddress) -> Vec<String> {
        let Some(NodeActivity::Human { answers, .. }) = self.activity(at) else { return Vec::new() };
        let is_yes = |decision: &HumanDecision| matches!(decision, HumanDecision::Approve { .. });
        answers.iter().filter(|(_, decision)| is_yes(decision)).map(|(who, _)| who.clone()).collect()
    }

    /// Returns the principal for which the run acts. Requesters cannot approve their own requests.
    pub fn requested_by(&self) -> Option<&str> {
        self.started().and_then(|started| started.caller.user_id.as_deref().or(started.caller.begun_by.as_deref()))
    }

    /// Returns whether this person is a requester: the run acts for them, they started it, or they also asked for its
    /// effects.
    pub fn is_requested_by(&self, who: &str) -> bool {
        let asked = |caller: &Caller| caller.begun_by.iter().chain(&caller.also_asked).any(|name| name == who);
        self.requested_by() == Some(who) || self.started().is_some_and(|started| asked(&started.caller))
    }

    /// Adds requesters, also for the actions of its children from now on.
    pub(super) fn add_requesters<'n>(&mut self, names: impl IntoIterator<Item = &'n String>) {
        for name in names {
            if !self.is_requested_by(name)
                && let Some(started) = &mut self.started
            {
                started.caller.also_asked.push(name.clone());
            }
        }
    }

    /// Returns whether an open `human` node asks for a form, not for an approval.
    pub fn expects_form(&self, at: &NodeAddress) -> bool {
        matches!(self.activity(at), Some(NodeActivity::Human { ask: HumanPrompt::Form { .. }, .. }))
    }

    /// Returns whether this task is still open.
    pub fn is_open(&self, ask: &HumanTask) -> bool {
        match ask {
            HumanTask::Human(at) => matches!(self.activity(at), Some(NodeActivity::Human { .. })),
            HumanTask::Customer(at) => {
                matches!(self.activity(at), Some(NodeActivity::Agent { waits: AgentWait::Customer { .. }, .. }))
            }
            HumanTask::Doubt(effect) => {
                self.progress_of(effect).is_some_and(|progress| *progress == CallProgress::Doubt)
            }
            HumanTask::Approval(effect) => {
                matches!(self.progress_of(effect), Some(CallProgress::Blocked(BlockReason::Approval(_))))
            }
            HumanTask::Question(effect) => self.open_question(effect).is_some(),
            HumanTask::Budget(effect) => {
                matches!(self.progress_of(effect), Some(CallProgress::Blocked(BlockReason::Budget { .. })))
            }
            HumanTask::Key(effect) => {
                self.progress_of(effect).is_some_and(|at| *at == CallProgress::Blocked(BlockReason::Key))
            }
        }
    }

    fn progress_of(&self, effect: &EffectId) -> Option<&CallProgress> {
        let call = self.calls.get(&effect.call)?;
        (call.generation == effect.generation).then_some(&call.progress)
    }
}
