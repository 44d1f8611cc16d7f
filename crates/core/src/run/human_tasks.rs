//! What a run waits for somebody outside to say; the desk shows it.

use super::address::{EffectId, NodeAddress, ScopePath};
use super::approval::Approval;
use super::command::{HumanDecision, MESSAGE};
use super::event::{BlockReason, HumanPrompt};
use super::state::{AgentWait, CallProgress, HoldReason, NodeActivity, Run, RunPhase, ScopeState};
use crate::id::RunId;
use crate::time::Time;
use crate::tool::{Caller, ToolQuestion};

/// One open question to somebody outside.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HumanTask {
    /// A `human` node.
    Human(NodeAddress),
    /// An agent's question to the customer.
    Customer(NodeAddress),
    /// A call whose outcome nobody knows.
    Doubt(EffectId),
    /// A tool call that needs leave.
    Approval(EffectId),
    /// A tool call that asks something before it acts.
    Question(EffectId),
    /// A model call that a budget holds up.
    Budget(EffectId),
    /// A model call that needs the consumer's own key.
    Key(EffectId),
}

/// A call that is held back for a time and then goes out by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldCall {
    pub effect: EffectId,
    pub by: HoldReason,
    pub until: Time,
    /// The tool it asks for, where it asks for one.
    pub tool: Option<String>,
}

impl Run {
    /// Calls that are held back at the latest instant the run has seen; none of a run that is paused.
    pub fn held_calls(&self) -> Vec<HeldCall> {
        let held = self.calls.iter().filter_map(|(id, call)| {
            let (by, until) = call.held_until().filter(|(_, until)| *until > self.now && !self.paused)?;
            let effect = EffectId { call: id.clone(), generation: call.generation };
            Some(HeldCall { effect, by, until, tool: self.tool_of(id).map(str::to_owned) })
        });
        held.collect()
    }

    /// All that is open now; as long as what is open, not as what has happened.
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

    /// Whether nothing will happen here before `until` unless somebody outside says something. Of a paused run only its
    /// owner knows what is still out; of one with [`Self::children`] only those know.
    pub fn is_idle_until(&self, until: Time) -> bool {
        if self.state().is_end() || self.paused {
            return true;
        }
        let wakes_before = || self.wake_at(self.now).is_some_and(|wake| wake <= until);
        !self.is_in_motion() && !self.has_more_work() && (!self.human_tasks().is_empty() || !wakes_before())
    }

    /// Whether a child run is still to end; children are awaited however the run winds down.
    pub(super) fn awaits_children(&self) -> bool {
        self.open_children().next().is_some()
    }

    /// When the next call goes out by itself (a retry, a look-up, the end of a rate limit), where nothing is out and
    /// nothing may go out before.
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

    /// Other runs whose end this one waits for: those of its open subworkflow nodes, and those that undo their part.
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

    /// Signals that are waited for, with the nodes that do.
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

    /// Of the messages that a sender numbers: the number up to which they came in, and those of them that nobody has taken.
    pub fn unconsumed_messages(&self, source: &str) -> (u64, Vec<u64>) {
        self.signals.delivery_state(source, MESSAGE)
    }

    /// Whether it is on its way to its end, and nothing new goes out but what undoes.
    pub fn is_ending(&self) -> bool {
        matches!(self.phase, RunPhase::Winding { .. } | RunPhase::Compensating { .. })
    }

    /// What people are asked to allow about a call, and who of them has by now.
    pub fn approval_for(&self, effect: &EffectId) -> Option<(&Approval, &[String])> {
        let call = self.calls.get(&effect.call).filter(|call| call.generation == effect.generation)?;
        match &call.progress {
            CallProgress::Blocked(BlockReason::Approval(leave)) => Some((leave, &call.allowed_by)),
            _ => None,
        }
    }

    /// What a call asks people before it acts.
    pub fn open_question(&self, effect: &EffectId) -> Option<&ToolQuestion> {
        match self.progress_of(effect)? {
            CallProgress::Blocked(BlockReason::Question { question, .. }) => Some(question),
            _ => None,
        }
    }

    /// Whether a call in question certainly did not act, and a person is asked to do by hand what its service cannot.
    pub fn is_manual(&self, effect: &EffectId) -> bool {
        let call = self.calls.get(&effect.call).filter(|call| call.generation == effect.generation);
        call.is_some_and(super::state::OpenCall::is_manual)
    }

    /// Who has approved at a `human` node that is open.
    pub fn approved_by(&self, at: &NodeAddress) -> Vec<String> {
        let Some(NodeActivity::Human { answers, .. }) = self.activity(at) else { return Vec::new() };
        let is_yes = |decision: &HumanDecision| matches!(decision, HumanDecision::Approve { .. });
        answers.iter().filter(|(_, decision)| is_yes(decision)).map(|(who, _)| who.clone()).collect()
    }

    /// On whose behalf the run acts: nobody allows what they asked for themselves.
    pub fn requested_by(&self) -> Option<&str> {
        self.started().and_then(|started| started.caller.user_id.as_deref().or(started.caller.begun_by.as_deref()))
    }

    /// Whether this is whose request it is: on whose behalf the run acts, who began it, or who else asked for what it does.
    pub fn is_requested_by(&self, who: &str) -> bool {
        let asked = |caller: &Caller| caller.begun_by.iter().chain(&caller.also_asked).any(|name| name == who);
        self.requested_by() == Some(who) || self.started().is_some_and(|started| asked(&started.caller))
    }

    /// From now on it is their request too, and so is what its children do.
    pub(super) fn add_requesters<'n>(&mut self, names: impl IntoIterator<Item = &'n String>) {
        for name in names {
            if !self.is_requested_by(name)
                && let Some(started) = &mut self.started
            {
                started.caller.also_asked.push(name.clone());
            }
        }
    }

    /// Whether a `human` node that is open asks for a form, not for a yes or a no.
    pub fn expects_form(&self, at: &NodeAddress) -> bool {
        matches!(self.activity(at), Some(NodeActivity::Human { ask: HumanPrompt::Form { .. }, .. }))
    }

    /// Whether this is still open.
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
