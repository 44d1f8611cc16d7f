//! A command said no to, and why. Nothing changed.

use super::State;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the run has not started")]
    NotStarted,
    #[error("a run with this id is {state} already")]
    AlreadyStarted { state: State },
    #[error("the run is {state}: it takes no {command}")]
    Ended { state: State, command: &'static str },
    #[error("the run is {state}, so there is nothing to {command}")]
    WrongState { state: State, command: &'static str },
    #[error("nothing waits at `{node}`")]
    NothingWaits { node: String },
    #[error("`{node}` was settled first: {winner}")]
    Lost { node: String, winner: String },
    #[error("`{by}` has answered `{node}` already")]
    AnsweredTwice { node: String, by: String },
    #[error("`{node}` asks for {expected}")]
    WrongAnswer { node: String, expected: &'static str },
    #[error("no open call `{effect}`")]
    NoSuchCall { effect: String },
    #[error("call `{effect}` is not in doubt")]
    NotInDoubt { effect: String },
    #[error("call `{effect}` has been answered already")]
    Duplicate { effect: String },
    #[error("the run keeps {limit} signals and has them all: let it take some first")]
    TooManySignals { limit: usize },
    #[error("number {} of `{from}` was delivered already", number)]
    SignalSeen { from: String, number: u64 },
    #[error("{}", reason)]
    Impossible { reason: String },
}

impl Refusal {
    /// A stable code, documented one page each.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotStarted => "RUN-001",
            Self::AlreadyStarted { .. } => "RUN-002",
            Self::Ended { .. } => "RUN-003",
            Self::WrongState { .. } => "RUN-004",
            Self::NothingWaits { .. } => "RUN-005",
            Self::Lost { .. } => "RUN-006",
            Self::AnsweredTwice { .. } => "RUN-007",
            Self::WrongAnswer { .. } => "RUN-008",
            Self::NoSuchCall { .. } => "RUN-009",
            Self::NotInDoubt { .. } => "RUN-010",
            Self::Duplicate { .. } => "RUN-011",
            Self::TooManySignals { .. } => "RUN-012",
            Self::Impossible { .. } => "RUN-013",
            Self::SignalSeen { .. } => "RUN-014",
        }
    }
}
