//! What processes tell each other of models that fail, and what people decide about them.

use async_trait::async_trait;
use baton_core::time::Time;
use serde::Serialize;
use serde_json::{Value, json};

use crate::journal::Error;

/// A model's circuit as it was last said to be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Circuit {
    pub model: String,
    pub state: State,
    /// When it may be tried again; nothing where only a person closes it.
    pub until: Option<Time>,
    pub since: Time,
    /// A person, or `baton`.
    pub by: String,
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Closed,
    Open,
}

impl Circuit {
    /// How it stands: an open one whose time is over lets one call find out.
    pub fn word(&self, now: Time) -> &'static str {
        match (self.state, self.until) {
            (State::Closed, _) => "closed",
            (State::Open, Some(until)) if until <= now => "half_open",
            (State::Open, _) => "open",
        }
    }

    /// For programs.
    pub fn as_json(&self, now: Time) -> Value {
        json!({
            "model": self.model, "state": self.word(now), "since": self.since.to_string(),
            "until": self.until.map(|until| until.to_string()), "by": self.by, "reason": self.reason,
        })
    }
}

/// Circuits by the model's name. The last word counts.
#[async_trait]
pub trait Circuits: Send + Sync {
    /// Says what a circuit is now; a word older than the last one changes nothing.
    async fn set(&self, circuit: Circuit) -> Result<(), Error>;

    /// All that was ever said, by model.
    async fn circuits(&self) -> Result<Vec<Circuit>, Error>;
}
