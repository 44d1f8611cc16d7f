//! Questions of calls to people: each is answered once, by a form that matches or by a time-out that is not early, and
//! the answer reaches the call that asked.

use std::collections::BTreeMap;

use baton_core::id::RunId;
use baton_core::run::{BlockReason, CallId, DEADLINE_ACTOR, EffectId, RunEvent};
use baton_core::time::Time;
use baton_core::tool::{QUESTIONS_MAX, QuestionOutcome, QuestionReply, ToolQuestion};
use baton_engine::owner::{Attempt, CallRequest};

use super::{PromiseViolation, violation};

#[derive(Debug, Default)]
pub struct QuestionOracle {
    open: BTreeMap<CallId, OracleQuestion>,
    /// The answers to each call, oldest first.
    answers: BTreeMap<CallId, Vec<QuestionReply>>,
}

#[derive(Debug)]
struct OracleQuestion {
    effect: EffectId,
    question: ToolQuestion,
    until: Option<Time>,
}

impl QuestionOracle {
    pub fn recorded(&mut self, run: &RunId, at: Time, event: &RunEvent) -> Result<(), PromiseViolation> {
        match event {
            RunEvent::Blocked { effect, by: BlockReason::Question { question, until } } => {
                let asked = self.answers.get(&effect.call).map_or(0, Vec::len);
                if asked >= QUESTIONS_MAX {
                    return violation(
                        "question",
                        format!("{effect} of `{run}` asks once more after {asked} questions"),
                    );
                }
                let open = OracleQuestion { effect: effect.clone(), question: (**question).clone(), until: *until };
                match self.open.insert(effect.call.clone(), open) {
                    Some(_) => violation("question", format!("{effect} of `{run}` asks while it asks")),
                    None => Ok(()),
                }
            }
            RunEvent::Replied { effect, by, said, .. } => {
                let Some(open) = self.open.remove(&effect.call).filter(|open| open.effect == *effect) else {
                    return violation("question", format!("`{by}` answered {effect} of `{run}`, and it asks nothing"));
                };
                let is_right = match said {
                    QuestionOutcome::Filled { form } => by != DEADLINE_ACTOR && form["ok"].is_boolean(),
                    QuestionOutcome::Declined => by != DEADLINE_ACTOR,
                    QuestionOutcome::Lapsed => by == DEADLINE_ACTOR && open.until.is_some_and(|until| until <= at),
                };
                if !is_right {
                    return violation(
                        "question",
                        format!("{effect} of `{run}`: `{by}` said {said:?} at {at} to {open:?}"),
                    );
                }
                let reply = QuestionReply { question: open.question, said: said.clone() };
                self.answers.entry(effect.call.clone()).or_default().push(reply);
                Ok(())
            }
            RunEvent::Done(done) => {
                self.open.remove(&done.effect.call);
                Ok(())
            }
            RunEvent::NotDone { effect, .. } | RunEvent::NotUndone { effect, .. } => {
                self.open.remove(&effect.call);
                Ok(())
            }
            // A compensation that is retried is another call.
            RunEvent::Scheduled(scheduled) => {
                self.open.remove(&scheduled.effect.call);
                self.answers.remove(&scheduled.effect.call);
                Ok(())
            }
            RunEvent::Abandoned { call } => {
                self.open.remove(call);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A call is sent with the answers to it, and not while its question is open.
    pub fn check_send(&self, run: &RunId, send: &Attempt) -> Result<(), PromiseViolation> {
        let (effect, CallRequest::Tool(call)) = (&send.effect, &send.request) else { return Ok(()) };
        if let Some(open) = self.open.get(&effect.call) {
            return violation("question", format!("{effect} of `{run}` goes out while it asks {open:?}"));
        }
        let said = self.answers.get(&effect.call).map_or(&[][..], Vec::as_slice);
        match call.replies == said {
            true => Ok(()),
            false => violation(
                "question",
                format!("{effect} of `{run}` goes out with {:?}, said was {said:?}", call.replies),
            ),
        }
    }
}
