//! What a run that rests waits for.

use serde_json::{Value, json};

use super::{Address, Ask, EffectId, HeldCall, Role, Run, State};
use crate::id::RunId;
use crate::time::Time;
use crate::tool::Question;

/// One thing a run waits for.
#[derive(Clone, Debug)]
pub struct Open {
    pub run: RunId,
    pub awaited: Awaited,
    /// Of a call that needs leave.
    pub leave: Option<SoFar>,
    /// The run is ending: what may have been sent is not sent again.
    pub ending: bool,
}

/// How far the leave for a call has come.
#[derive(Clone, Debug)]
pub struct SoFar {
    pub need: u32,
    pub given_by: Vec<String>,
    /// Who may give it; empty: whoever did not ask for it.
    pub from: Vec<String>,
}

impl SoFar {
    fn of(awaited: &Awaited, run: &Run) -> Option<Self> {
        let Awaited::Ask(Ask::Approval(effect)) = awaited else { return None };
        let (leave, given) = run.leave_for(effect)?;
        Some(Self { need: leave.need, given_by: given.to_vec(), from: leave.from.clone() })
    }
}

/// What undoes goes out while the run is ending too.
fn is_undoing(awaited: &Awaited) -> bool {
    matches!(awaited, Awaited::Ask(Ask::Doubt(effect)) if effect.call.role == Role::Undo)
}

#[derive(Clone, Debug)]
pub enum Awaited {
    /// Somebody's word.
    Ask(Ask),
    /// A person does what a service that is down could not.
    ByHand(EffectId),
    /// A `human` node's form.
    Form(Address),
    /// What a call asks before it acts, with the form's schema.
    Question {
        effect: EffectId,
        message: String,
        schema: Value,
    },
    Signal {
        node: Address,
        name: String,
    },
    /// A call that is held back, and goes out by itself: no person need do anything.
    Held(HeldCall),
    /// An instant at which the run goes on by itself; told where nothing else is waited for.
    Instant(Time),
    /// To be resumed.
    Resume,
}

impl Open {
    /// What one run waits for.
    pub fn of(id: &RunId, run: &Run) -> Vec<Self> {
        let asks = run.asks().into_iter().map(|ask| match ask {
            Ask::Human(node) if run.asks_for_form(&node) => Awaited::Form(node),
            Ask::Doubt(effect) if run.is_by_hand(&effect) => Awaited::ByHand(effect),
            Ask::Question(effect) => match run.question_of(&effect).cloned() {
                Some(Question { message, schema, .. }) => Awaited::Question { effect, message, schema },
                None => Awaited::Ask(Ask::Question(effect)),
            },
            ask => Awaited::Ask(ask),
        });
        let signals = run.awaited_signals().into_iter().map(|(node, name)| Awaited::Signal { node, name });
        let held = run.held_calls().into_iter().map(Awaited::Held);
        let mut all: Vec<Awaited> = asks.chain(signals).chain(held).collect();
        if run.state() == State::Paused {
            all.insert(0, Awaited::Resume);
        }
        if all.is_empty() && !run.state().is_end() && run.children().is_empty() {
            all.extend(run.wake_at(run.now()).map(Awaited::Instant));
        }
        let open = |awaited| Self {
            run: id.clone(),
            leave: SoFar::of(&awaited, run),
            ending: run.is_ending() && !is_undoing(&awaited),
            awaited,
        };
        all.into_iter().map(open).collect()
    }

    /// For programs: who must say something, and where.
    pub fn as_json(&self) -> Value {
        let run = &self.run;
        match &self.awaited {
            Awaited::Ask(Ask::Human(node)) => json!({ "kind": "human", "run": run, "node": node }),
            Awaited::ByHand(effect) => json!({ "kind": "by_hand", "run": run, "effect": effect.to_string() }),
            Awaited::Question { effect, message, schema } => json!({
                "kind": "question", "run": run, "effect": effect.to_string(), "message": message, "form": schema,
            }),
            Awaited::Ask(Ask::Question(effect)) => {
                json!({ "kind": "question", "run": run, "effect": effect.to_string() })
            }
            Awaited::Form(node) => json!({ "kind": "form", "run": run, "node": node }),
            Awaited::Ask(Ask::Customer(node)) => json!({ "kind": "customer", "run": run, "node": node }),
            Awaited::Ask(Ask::Doubt(effect)) => json!({ "kind": "doubt", "run": run, "effect": effect.to_string() }),
            Awaited::Ask(Ask::Approval(effect)) => {
                let mut asked = json!({ "kind": "approval", "run": run, "effect": effect.to_string() });
                if let Some(SoFar { need, given_by, from }) = &self.leave {
                    asked["need"] = json!(need);
                    asked["approved_by"] = json!(given_by);
                    asked["from"] = json!(from);
                }
                asked
            }
            Awaited::Ask(Ask::Budget(effect)) => json!({ "kind": "budget", "run": run, "effect": effect.to_string() }),
            Awaited::Ask(Ask::Key(effect)) => json!({ "kind": "needs_key", "run": run, "effect": effect.to_string() }),
            Awaited::Signal { node, name } => json!({ "kind": "signal", "run": run, "node": node, "name": name }),
            Awaited::Held(held) => json!({
                "kind": held.by.word(), "run": run, "node": held.effect.call.node, "effect": held.effect.to_string(),
                "tool": held.tool, "at": held.until.to_string(),
            }),
            Awaited::Instant(at) => json!({ "kind": "instant", "run": run, "at": at.to_string() }),
            Awaited::Resume => json!({ "kind": "resume", "run": run }),
        }
    }

    /// Whether an agent asks the customer.
    pub fn is_question(&self) -> bool {
        matches!(self.awaited, Awaited::Ask(Ask::Customer(_)))
    }
}
