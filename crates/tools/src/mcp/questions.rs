//! Questions that a server asks a person during a call, and their answers.
//!
//! All calls of a tenant share a connection, and the protocol does not say which call a question belongs to. A
//! question is therefore attributed to a call only if it can belong to no other: that call alone is in flight, and no
//! earlier one was given up, because the server may still be working on it. Any other question is cancelled and
//! dropped.
//!
//! Nothing waits here for a person. A question whose answer came with the call is answered with it. The first other
//! question is cancelled and kept, and the call is made again later with its answer.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use baton_core::tool::{QuestionOutcome, QuestionReply, ToolQuestion};

#[derive(Clone, Default)]
pub(super) struct QuestionTracker(Arc<Mutex<QuestionState>>);

#[derive(Default)]
struct QuestionState {
    active: BTreeMap<u64, CallQuestions>,
    next: u64,
    /// A call was dropped before its response arrived.
    abandoned: bool,
}

/// The questions of one call.
struct CallQuestions {
    /// Earlier answers, oldest first; each is used once.
    replies: VecDeque<QuestionReply>,
    /// The first question that no person has been asked yet.
    open: Option<ToolQuestion>,
}

impl QuestionTracker {
    /// Starts tracking a call, until its response arrives or it is dropped.
    pub(super) fn begin(&self, replies: &[QuestionReply]) -> ActiveCall {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.active.insert(number, CallQuestions { replies: replies.iter().cloned().collect(), open: None });
        drop(state);
        ActiveCall { questions: self.clone(), number }
    }

    /// Handles a question of the server and returns the response to it.
    pub(super) fn ask(&self, question: ToolQuestion) -> QuestionOutcome {
        let mut state = self.state();
        if state.abandoned || state.active.len() != 1 {
            return QuestionOutcome::Lapsed;
        }
        let Some(asked) = state.active.values_mut().next() else { return QuestionOutcome::Lapsed };
        let is_same = |reply: &QuestionReply| reply.question.is_same(&question);
        if asked.open.is_none()
            && let Some(place) = asked.replies.iter().position(is_same)
            && let Some(reply) = asked.replies.remove(place)
        {
            return reply.said;
        }
        asked.open.get_or_insert(question);
        QuestionOutcome::Lapsed
    }

    /// Returns whether a question could belong to a call that was given up.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.state().abandoned
    }

    fn state(&self) -> MutexGuard<'_, QuestionState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that is in flight.
pub(super) struct ActiveCall {
    questions: QuestionTracker,
    number: u64,
}

impl ActiveCall {
    /// Ends the call after its response and returns its unanswered question, if any.
    pub(super) fn finish(self) -> Option<ToolQuestion> {
        self.questions.state().active.remove(&self.number).and_then(|asked| asked.open)
    }
}

impl Drop for ActiveCall {
    fn drop(&mut self) {
        let mut state = self.questions.state();
        if state.active.remove(&self.number).is_some() {
            state.abandoned = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn which(message: &str) -> ToolQuestion {
        ToolQuestion { message: message.to_owned(), schema: json!({"type": "object"}), resume: Value::Null }
    }

    fn said(message: &str, said: QuestionOutcome) -> QuestionReply {
        QuestionReply { question: which(message), said }
    }

    #[test]
    fn a_question_is_that_of_the_only_call() {
        let questions = QuestionTracker::default();
        let call = questions.begin(&[]);
        assert_eq!(questions.ask(which("seat")), QuestionOutcome::Lapsed);
        assert_eq!(call.finish(), Some(which("seat")));
        assert_eq!(questions.begin(&[]).finish(), None, "and of no later one");
    }

    #[test]
    fn a_question_that_could_be_either_calls_is_neithers() {
        let questions = QuestionTracker::default();
        let form = QuestionOutcome::Filled { form: json!({"seat": "1A"}) };
        let (one, other) = (questions.begin(&[said("seat", form)]), questions.begin(&[]));
        assert_eq!(
            questions.ask(which("seat")),
            QuestionOutcome::Lapsed,
            "the answer of one is not told for the other"
        );
        assert_eq!((one.finish(), other.finish()), (None, None));
    }

    #[test]
    fn a_question_of_a_call_that_was_given_up_is_no_later_calls() {
        let questions = QuestionTracker::default();
        let (slow, quick) = (questions.begin(&[]), questions.begin(&[]));
        drop(slow);
        questions.ask(which("seat"));
        assert_eq!(quick.finish(), None);
        let later = questions.begin(&[]);
        questions.ask(which("seat"));
        assert_eq!(later.finish(), None, "the server may still be working on the first");
        assert!(questions.is_ambiguous());
    }

    #[test]
    fn what_was_answered_before_is_told_once_and_the_next_question_is_open() {
        let questions = QuestionTracker::default();
        let form = QuestionOutcome::Filled { form: json!({"seat": "1A"}) };
        let call = questions.begin(&[said("seat", form.clone()), said("meal", QuestionOutcome::Declined)]);
        assert_eq!(questions.ask(which("seat")), form);
        assert_eq!(questions.ask(which("meal")), QuestionOutcome::Declined);
        assert_eq!(questions.ask(which("seat")), QuestionOutcome::Lapsed, "asked anew, it is another question");
        assert_eq!(questions.ask(which("meal")), QuestionOutcome::Lapsed, "which comes after one that is open");
        assert_eq!(call.finish(), Some(which("seat")));
    }
}
