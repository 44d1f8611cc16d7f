//! Progress that servers report for calls. It is only logged and extends nothing: the time-out of a call is fixed,
//! whatever its server reports.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use baton_core::redact;
use rmcp::model::{ProgressNotificationParam, ProgressToken};

/// Maximum number of calls of one connection whose progress is kept; progress of made-up calls beyond it is ignored.
const CALLS_MAX: usize = 1_000;
/// Maximum length of a progress message that is shown, in characters.
const WORDS_MAX: usize = 200;

#[derive(Clone, Default)]
pub(super) struct ProgressTracker(Arc<Mutex<HashMap<ProgressToken, LastProgress>>>);

/// The last progress that a server reported for a call.
#[derive(Debug, PartialEq)]
pub(super) struct LastProgress {
    completed: f64,
    total: Option<f64>,
    message: String,
}

impl ProgressTracker {
    pub(super) fn update(&self, said: ProgressNotificationParam) {
        let words: String = said.message.unwrap_or_default().chars().take(WORDS_MAX).collect();
        let last =
            LastProgress { completed: said.progress, total: said.total, message: redact::text(&words).into_owned() };
        tracing::debug!(%last, "a call of an MCP server makes progress");
        let mut calls = self.calls();
        if calls.len() < CALLS_MAX || calls.contains_key(&said.progress_token) {
            calls.insert(said.progress_token, last);
        }
    }

    /// Removes and returns the last progress of a finished call.
    pub(super) fn end(&self, token: &ProgressToken) -> Option<LastProgress> {
        self.calls().remove(token)
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<ProgressToken, LastProgress>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for LastProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.completed)?;
        if let Some(of) = self.total {
            write!(f, " of {of}")?;
        }
        if self.message.is_empty() { Ok(()) } else { write!(f, ": {}", self.message) }
    }
}

#[cfg(test)]
mod tests {
    use rmcp::model::NumberOrString;

    use super::*;

    fn said(token: i64, done: f64) -> ProgressNotificationParam {
        ProgressNotificationParam::new(ProgressToken(NumberOrString::Number(token)), done)
    }

    #[test]
    fn the_last_that_was_said_of_a_call_is_kept_until_it_ends() {
        let progress = ProgressTracker::default();
        progress.update(said(1, 1.0));
        let mut last = said(1, 3.0);
        (last.total, last.message) = (Some(10.0), Some("packing for ana@example.com".to_owned()));
        progress.update(last);
        progress.update(said(2, 0.5));
        let told = progress.end(&ProgressToken(NumberOrString::Number(1))).unwrap().to_string();
        assert!(told.starts_with("3 of 10: packing for ") && !told.contains("ana@"), "{told}");
        assert_eq!(progress.end(&ProgressToken(NumberOrString::Number(1))), None);
    }

    #[test]
    fn a_server_that_makes_calls_up_is_not_listened_to_without_end() {
        let progress = ProgressTracker::default();
        (0..5_000).for_each(|token| progress.update(said(token, 1.0)));
        assert_eq!(progress.calls().len(), CALLS_MAX);
    }
}
