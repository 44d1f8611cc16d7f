//! What a call asks a person before it acts: the form it waits for, and the answer it goes out with. See
//! `docs/guides/mcp.md`.

use std::time::Duration;

use serde_json::Value;

use super::super::address::EffectId;
use super::super::decide::Draft;
use super::super::event::{Block, Event};
use super::super::leave::DEADLINE;
use super::super::nodes::human::fits;
use super::super::refusal::Refusal;
use super::super::state::{Call, Progress};
use super::Failure;
use crate::fault::{Fault, code};
use crate::tool::{INPUT_REQUIRED, QUESTIONS_MAX, Question, Said};

impl Draft<'_> {
    /// An attempt that did not act, and says what it needs a person to say first.
    pub(super) fn asked(
        &mut self,
        effect: &EffectId,
        call: &Call,
        question: Box<Question>,
        within: Option<u64>,
    ) -> Result<(), Refusal> {
        // What was asked what became of a call says nothing of the call.
        if !call.is_of_a_send() {
            let fault =
                Fault::new(code::OUTCOME_UNKNOWN, "asked what became of the call, the service asks something itself");
            self.unknown(effect, call, fault, None);
            return Ok(());
        }
        if call.replies.len() >= QUESTIONS_MAX {
            let asked = &question.message;
            let message =
                format!("it has asked {QUESTIONS_MAX} questions, which is as many as a call may, and asks: {asked}");
            return self.refused(effect, call, Failure::free(Fault::new(INPUT_REQUIRED, message), false), true);
        }
        let until = within.map(|within| self.now + Duration::from_millis(within));
        self.blocked(effect, Block::Question { question, until });
        Ok(())
    }

    /// A person answers what a call asks.
    pub fn fill(&mut self, effect: EffectId, by: String, form: Value) -> Result<(), Refusal> {
        let call = self.open_call(&effect)?;
        let Progress::Blocked(Block::Question { question, .. }) = &call.progress else {
            return Err(Refusal::NothingWaits { node: effect.to_string() });
        };
        fits(&question.schema, &form)?;
        self.replied(effect, by, Said::Filled { form });
        Ok(())
    }

    /// A person will not answer what a call asks: whoever asked is told so. There is nothing to approve of.
    pub fn decline(&mut self, effect: EffectId, by: String, approved: bool) -> Result<(), Refusal> {
        if approved {
            return Err(Refusal::WrongAnswer { node: effect.to_string(), expected: "a filled form, or a rejection" });
        }
        self.replied(effect, by, Said::Declined);
        Ok(())
    }

    /// The time for an answer is over: whoever asked is told so.
    pub fn nobody_replied(&mut self, effect: EffectId) {
        self.replied(effect, DEADLINE.to_owned(), Said::Lapsed);
    }

    /// With its answer the call is another one, and has a key of its own. Where one without it may have acted, it keeps that
    /// one's: its service knows what became of it.
    fn replied(&mut self, effect: EffectId, by: String, said: Said) {
        let same_key = self.run.calls.get(&effect.call).is_some_and(|call| call.unknown);
        self.emit(Event::Replied { effect, by, said, same_key });
    }
}
