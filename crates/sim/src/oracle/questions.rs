//! What calls ask people: answered once, by a form that fits or in no time too early, and told to the very call that asked.

use std::collections::BTreeMap;

use baton_core::id::RunId;
use baton_core::run::{Block, CallId, DEADLINE, EffectId, Event};
use baton_core::time::Time;
use baton_core::tool::{QUESTIONS_MAX, Question, Reply, Said};
use baton_engine::owner::{Send, What};

use super::{Violation, broken};

#[derive(Debug, Default)]
pub struct Questions {
    open: BTreeMap<CallId, Open>,
    /// What was said to each call, oldest first.
    said: BTreeMap<CallId, Vec<Reply>>,
}

#[derive(Debug)]
struct Open {
    effect: EffectId,
    question: Question,
    until: Option<Time>,
}

impl Questions {
    pub fn recorded(&mut self, run: &RunId, at: Time, event: &Event) -> Result<(), Violation> {
        match event {
            Event::Blocked { effect, by: Block::Question { question, until } } => {
                let asked = self.said.get(&effect.call).map_or(0, Vec::len);
                if asked >= QUESTIONS_MAX {
                    return broken("question", format!("{effect} of `{run}` asks once more after {asked} questions"));
                }
                let open = Open { effect: effect.clone(), question: (**question).clone(), until: *until };
                match self.open.insert(effect.call.clone(), open) {
                    Some(_) => broken("question", format!("{effect} of `{run}` asks while it asks")),
                    None => Ok(()),
                }
            }
            Event::Replied { effect, by, said, .. } => {
                let Some(open) = self.open.remove(&effect.call).filter(|open| open.effect == *effect) else {
                    return broken("question", format!("`{by}` answered {effect} of `{run}`, and it asks nothing"));
                };
                let is_right = match said {
                    Said::Filled { form } => by != DEADLINE && form["ok"].is_boolean(),
                    Said::Declined => by != DEADLINE,
                    Said::Lapsed => by == DEADLINE && open.until.is_some_and(|until| until <= at),
                };
                if !is_right {
                    return broken(
                        "question",
                        format!("{effect} of `{run}`: `{by}` said {said:?} at {at} to {open:?}"),
                    );
                }
                let reply = Reply { question: open.question, said: said.clone() };
                self.said.entry(effect.call.clone()).or_default().push(reply);
                Ok(())
            }
            Event::Done(done) => {
                self.open.remove(&done.effect.call);
                Ok(())
            }
            Event::NotDone { effect, .. } | Event::NotUndone { effect, .. } => {
                self.open.remove(&effect.call);
                Ok(())
            }
            // A compensation that is tried once more is another call.
            Event::Scheduled(scheduled) => {
                self.open.remove(&scheduled.effect.call);
                self.said.remove(&scheduled.effect.call);
                Ok(())
            }
            Event::Abandoned { call } => {
                self.open.remove(call);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A call goes out with what was said to it, and not while it asks.
    pub fn leaves(&self, run: &RunId, send: &Send) -> Result<(), Violation> {
        let (effect, What::Tool(call)) = (&send.effect, &send.what) else { return Ok(()) };
        if let Some(open) = self.open.get(&effect.call) {
            return broken("question", format!("{effect} of `{run}` goes out while it asks {open:?}"));
        }
        let said = self.said.get(&effect.call).map_or(&[][..], Vec::as_slice);
        match call.replies == said {
            true => Ok(()),
            false => {
                broken("question", format!("{effect} of `{run}` goes out with {:?}, said was {said:?}", call.replies))
            }
        }
    }
}
