//! Questions of a call to a person before it acts: the form it waits for, and the answer it is sent with. See
//! `docs/guides/mcp.md`.

use std::time::Duration;

use serde_json::Value;

use super::super::address::EffectId;
use super::super::approval::DEADLINE_ACTOR;
use super::super::decide::RunDraft;
use super::super::event::{BlockReason, RunEvent};
use super::super::nodes::human::check_form;
use super::super::refusal::RunRefusal;
use super::super::state::{CallProgress, OpenCall};
use super::AttemptError;
use crate::fault::{Fault, code};
use crate::tool::{INPUT_REQUIRED, QUESTIONS_MAX, QuestionOutcome, ToolQuestion};

impl RunDraft<'_> {
    /// Handles an attempt that did not act and needs input from a person first.
    pub(super) fn ask_question(
        &mut self,
        effect: &EffectId,
        call: &OpenCall,
        question: Box<ToolQuestion>,
        within: Option<u64>,
    ) -> Result<(), RunRefusal> {
        // A look-up that asks a question tells nothing about the call.
        if !call.is_from_send() {
            let fault =
                Fault::new(code::OUTCOME_UNKNOWN, "asked what became of the call, the service asks something itself");
            self.outcome_unknown(effect, call, fault, None);
            return Ok(());
        }
        if call.replies.len() >= QUESTIONS_MAX {
            let asked = &question.message;
            let message =
                format!("it has asked {QUESTIONS_MAX} questions, which is as many as a call may, and asks: {asked}");
            return self.attempt_refused(
                effect,
                call,
                AttemptError::free(Fault::new(INPUT_REQUIRED, message), false),
                true,
            );
        }
        let until = within.map(|within| self.now + Duration::from_millis(within));
        self.blocked(effect, BlockReason::Question { question, until });
        Ok(())
    }

    /// A person answers a call's question.
    pub fn answer_question(&mut self, effect: EffectId, by: String, form: Value) -> Result<(), RunRefusal> {
        let call = self.open_call(&effect)?;
        let CallProgress::Blocked(BlockReason::Question { question, .. }) = &call.progress else {
            return Err(RunRefusal::NothingWaits { node: effect.to_string() });
        };
        check_form(&question.schema, &form)?;
        self.record_reply(effect, by, QuestionOutcome::Filled { form });
        Ok(())
    }

    /// A person declines a call's question: the service is informed. A question cannot be approved.
    pub fn decline_question(&mut self, effect: EffectId, by: String, approved: bool) -> Result<(), RunRefusal> {
        if approved {
            return Err(RunRefusal::WrongAnswer {
                node: effect.to_string(),
                expected: "a filled form, or a rejection",
            });
        }
        self.record_reply(effect, by, QuestionOutcome::Declined);
        Ok(())
    }

    /// The deadline of an answer passed: the service is informed.
    pub fn expire_question(&mut self, effect: EffectId) {
        self.record_reply(effect, DEADLINE_ACTOR.to_owned(), QuestionOutcome::Lapsed);
    }

    /// Records the reply to a question. With its answer the call is a different one, with its own key. If an attempt
    /// without the answer may have acted, it keeps that attempt's key, so that the service knows its outcome.
    fn record_reply(&mut self, effect: EffectId, by: String, said: QuestionOutcome) {
        let same_key = self.run.calls.get(&effect.call).is_some_and(|call| call.unknown);
        self.emit(RunEvent::Replied { effect, by, said, same_key });
    }
}
