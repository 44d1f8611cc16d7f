//! What a run waits for somebody outside to say; the desk shows it.

use super::address::{Address, EffectId};
use super::event::Block;
use super::state::{Activity, AgentWait, Progress, Run};
use crate::time::Time;

/// One open question to somebody outside.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ask {
    /// A `human` node.
    Human(Address),
    /// An agent's question to the customer.
    Customer(Address),
    /// A call whose outcome nobody knows.
    Doubt(EffectId),
    /// A tool call that needs leave.
    Approval(EffectId),
}

impl Run {
    /// All that is open now; as long as what is open, not as what has happened.
    pub fn asks(&self) -> Vec<Ask> {
        let calls = self.calls.iter().filter_map(|(id, call)| {
            let effect = EffectId { call: id.clone(), generation: call.generation };
            match &call.progress {
                Progress::Doubt => Some(Ask::Doubt(effect)),
                Progress::Blocked(Block::Approval { .. }) => Some(Ask::Approval(effect)),
                _ => None,
            }
        });
        let nodes = self.scopes.iter().flat_map(|(path, scope)| {
            scope.active.iter().filter_map(move |place| {
                let state = scope.nodes.get(*place as usize)?;
                let at = || Some(Address::new(path.clone(), scope.graph.nodes.get(*place as usize)?.id.clone()));
                match state.activity.as_deref()? {
                    Activity::Human { .. } => at().map(Ask::Human),
                    Activity::Agent { waits: AgentWait::Customer { .. }, .. } => at().map(Ask::Customer),
                    _ => None,
                }
            })
        });
        calls.chain(nodes).collect()
    }

    /// Whether nothing will happen here before `until` unless somebody outside says something.
    pub fn is_at_rest(&self, until: Time) -> bool {
        let asks = self.asks();
        if self.state().is_end() || self.is_moving() || self.has_more() || self.awaits_children() {
            return self.state().is_end();
        }
        self.paused || !asks.is_empty() || self.wake_at(self.now).is_none_or(|wake| wake > until)
    }

    /// Whether a child run is still to end; children are awaited however the run winds down.
    pub(super) fn awaits_children(&self) -> bool {
        self.scopes.values().any(|scope| {
            scope.active.iter().any(|place| {
                let activity = scope.nodes.get(*place as usize).and_then(|state| state.activity.as_deref());
                matches!(activity, Some(Activity::Child { .. }))
            })
        })
    }

    /// Whether this is still open.
    pub fn is_open(&self, ask: &Ask) -> bool {
        match ask {
            Ask::Human(at) => matches!(self.activity(at), Some(Activity::Human { .. })),
            Ask::Customer(at) => {
                matches!(self.activity(at), Some(Activity::Agent { waits: AgentWait::Customer { .. }, .. }))
            }
            Ask::Doubt(effect) => self.progress_of(effect).is_some_and(|progress| *progress == Progress::Doubt),
            Ask::Approval(effect) => {
                matches!(self.progress_of(effect), Some(Progress::Blocked(Block::Approval { .. })))
            }
        }
    }

    fn progress_of(&self, effect: &EffectId) -> Option<&Progress> {
        let call = self.calls.get(&effect.call)?;
        (call.generation == effect.generation).then_some(&call.progress)
    }
}
