//! What a run that rests waits for, and the command that goes on from it.

use baton_core::id::RunId;
use baton_core::run::{Address, Ask, EffectId, Role, Run, State};
use baton_core::time::Time;
use serde_json::{Value, json};

use crate::project::in_shell;

/// One thing a run waits for.
#[derive(Clone, Debug)]
pub struct Open {
    pub run: RunId,
    pub awaited: Awaited,
    /// Of a call that needs leave.
    pub leave: Option<SoFar>,
    /// The run is ending: what may have been sent is not sent again.
    ending: bool,
}

/// How far the leave for a call has come.
#[derive(Clone, Debug)]
pub struct SoFar {
    need: u32,
    given_by: Vec<String>,
    /// Who may give it; empty: whoever did not ask for it.
    from: Vec<String>,
}

impl SoFar {
    fn of(awaited: &Awaited, run: &Run) -> Option<Self> {
        let Awaited::Ask(Ask::Approval(effect)) = awaited else { return None };
        let (leave, given) = run.leave_for(effect)?;
        Some(Self { need: leave.need, given_by: given.to_vec(), from: leave.from.clone() })
    }

    fn words(&self) -> String {
        let mut words = Vec::new();
        if self.need > 1 {
            words.push(format!("{} of {} so far", self.given_by.len(), self.need));
        }
        if !self.from.is_empty() {
            words.push(format!("asked are {}", self.from.join(", ")));
        }
        if words.is_empty() { String::new() } else { format!(" ({})", words.join("; ")) }
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
    Signal {
        node: Address,
        name: String,
    },
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
            ask => Awaited::Ask(ask),
        });
        let signals = run.awaited_signals().into_iter().map(|(node, name)| Awaited::Signal { node, name });
        let mut all: Vec<Awaited> = asks.chain(signals).collect();
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

    /// In words, with the command to type; `command` begins one that speaks of the project.
    pub fn way_on(&self, command: &str) -> String {
        let run = in_shell(self.run.as_str());
        let at = |place: &dyn std::fmt::Display| in_shell(&place.to_string());
        match &self.awaited {
            Awaited::Resume => format!("paused: {command} runs resume {run}"),
            Awaited::Instant(at) => format!("goes on by itself at {at}, where somebody serves it: {command} runs work"),
            Awaited::Signal { node, name } => {
                let name = in_shell(name);
                format!("waits for a signal at `{node}`: {command} runs signal {run} {name} --payload JSON")
            }
            Awaited::Form(node) => {
                format!("waits for a person at `{node}`: {command} runs answer {run} {} --form JSON", at(node))
            }
            Awaited::Ask(Ask::Human(node)) => format!(
                "waits for a person at `{node}`: {command} runs answer {run} {} --approve  # or --reject",
                at(node)
            ),
            Awaited::Ask(Ask::Customer(node)) => {
                format!("waits for the customer at `{node}`: {command} runs signal {run} --message TEXT")
            }
            Awaited::ByHand(effect) => format!(
                "`{effect}` is to be done by hand, its service is down: {command} runs resolve {run} {} --done JSON  \
                 # or --not-done, or --repeat",
                at(effect)
            ),
            Awaited::Ask(Ask::Doubt(effect)) => format!(
                "nobody knows whether `{effect}` acted{}: {command} runs resolve {run} {} --not-done  # or --done JSON{}",
                if self.ending { ", and the run is ending" } else { "" },
                at(effect),
                if self.ending { "" } else { ", or --repeat" }
            ),
            Awaited::Ask(Ask::Approval(effect)) => format!(
                "`{effect}` needs a person's leave{}: {command} runs answer {run} {} --approve  # or --reject",
                self.leave.as_ref().map(SoFar::words).unwrap_or_default(),
                at(effect)
            ),
            Awaited::Ask(Ask::Budget(effect)) => format!(
                "`{effect}` waits for money (`{command} budgets` says how much): {command} runs answer {run} {} \
                 --approve  # once there is some, or --reject",
                at(effect)
            ),
            Awaited::Ask(Ask::Key(effect)) => {
                format!("`{effect}` waits for the consumer's own key: {command} runs key {run}  # reads it from stdin")
            }
        }
    }

    /// For programs: who must say something, and where.
    pub fn as_json(&self) -> Value {
        let run = &self.run;
        match &self.awaited {
            Awaited::Ask(Ask::Human(node)) => json!({ "kind": "human", "run": run, "node": node }),
            Awaited::ByHand(effect) => json!({ "kind": "by_hand", "run": run, "effect": effect.to_string() }),
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
            Awaited::Instant(at) => json!({ "kind": "instant", "run": run, "at": at.to_string() }),
            Awaited::Resume => json!({ "kind": "resume", "run": run }),
        }
    }

    /// Whether an agent asks the customer.
    pub fn is_question(&self) -> bool {
        matches!(self.awaited, Awaited::Ask(Ask::Customer(_)))
    }
}
