//! Whose question it is that a server asks in the middle of a call.
//!
//! All calls of a tenant share a connection, and the protocol does not say to which call a question belongs. So one is kept only
//! where it can be nobody else's: a single call is under way, and none before it was given up, which the server may still
//! be working on. Any other is answered with a refusal and forgotten.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

/// Questions of one call that are kept.
const QUESTIONS_MAX: usize = 8;

#[derive(Clone, Default)]
pub(super) struct Questions(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// What each call that is under way was asked.
    under_way: BTreeMap<u64, Vec<Value>>,
    next: u64,
    /// A call was dropped before its answer came.
    given_up: bool,
}

impl Questions {
    /// From here on a call is under way, until its answer came or it is dropped.
    pub(super) fn begin(&self) -> UnderWay {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.under_way.insert(number, Vec::new());
        drop(state);
        UnderWay { questions: self.clone(), number }
    }

    /// The server asks something: `{message, schema}` or `{message, url}`.
    pub(super) fn ask(&self, question: Value) {
        let mut state = self.state();
        if state.given_up || state.under_way.len() != 1 {
            return;
        }
        if let Some(asked) = state.under_way.values_mut().next()
            && asked.len() < QUESTIONS_MAX
        {
            asked.push(question);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that is under way.
pub(super) struct UnderWay {
    questions: Questions,
    number: u64,
}

impl UnderWay {
    /// Its answer came: what it was asked before.
    pub(super) fn answered(self) -> Vec<Value> {
        self.questions.state().under_way.remove(&self.number).unwrap_or_default()
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.questions.state();
        if state.under_way.remove(&self.number).is_some() {
            state.given_up = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_question_is_that_of_the_only_call() {
        let questions = Questions::default();
        let call = questions.begin();
        questions.ask(json!("which seat"));
        assert_eq!(call.answered(), [json!("which seat")]);
        assert_eq!(questions.begin().answered(), Vec::<Value>::new(), "and of no later one");
    }

    #[test]
    fn a_question_that_could_be_either_calls_is_neithers() {
        let questions = Questions::default();
        let (one, other) = (questions.begin(), questions.begin());
        questions.ask(json!("which seat"));
        assert_eq!((one.answered(), other.answered()), (Vec::new(), Vec::new()));
    }

    #[test]
    fn a_question_of_a_call_that_was_given_up_is_no_later_calls() {
        let questions = Questions::default();
        let (slow, quick) = (questions.begin(), questions.begin());
        drop(slow);
        questions.ask(json!("which seat"));
        assert_eq!(quick.answered(), Vec::<Value>::new());
        let later = questions.begin();
        questions.ask(json!("which seat"));
        assert_eq!(later.answered(), Vec::<Value>::new(), "the server may still be working on the first");
    }
}
