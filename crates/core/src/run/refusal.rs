//! A rejected command, with the reason. Nothing changed.

use super::RunState;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunRefusal {
    #[error("the run has not started")]
    NotStarted,
    #[error("a run with this id is {state} already")]
    AlreadyStarted { state: RunState },
    #[error("the run is {state}: it takes no {command}")]
    Ended { state: RunState, command: &'static str },
    #[error("{}", wrong_state(*state, command))]
    WrongState { state: RunState, command: &'static str },
    #[error("nothing waits at `{node}`")]
    NothingWaits { node: String },
    #[error("`{node}` was settled first: {winner}")]
    Lost { node: String, winner: String },
    #[error("`{by}` has answered `{node}` already")]
    AnsweredTwice { node: String, by: String },
    #[error("`{by}` may not decide about `{what}`: {reason}")]
    NotAllowed { what: String, by: String, reason: &'static str },
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
    #[error("the form does not fit at `{place}`: {reason}")]
    UnfitForm { place: String, reason: String },
}

impl RunRefusal {
    /// Every code with a short title, in order.
    pub const CODES: [(&'static str, &'static str); 16] = [
        ("RUN-001", "the run has not started"),
        ("RUN-002", "a run with this id exists already"),
        ("RUN-003", "the run has ended"),
        ("RUN-004", "in this state there is nothing to do so to"),
        ("RUN-005", "nothing waits at this node"),
        ("RUN-006", "somebody or something else was first"),
        ("RUN-007", "this person has answered already"),
        ("RUN-008", "the node asks for another kind of answer"),
        ("RUN-009", "no such call is open"),
        ("RUN-010", "the call is not in doubt"),
        ("RUN-011", "the call has been answered already"),
        ("RUN-012", "the run keeps as many signals as it may"),
        ("RUN-013", "it cannot be done, and the message says why"),
        ("RUN-014", "this number of this sender was delivered already"),
        ("RUN-015", "this person may not decide about it"),
        ("RUN-016", "the form does not fit its schema"),
    ];

    /// Returns the stable code. Each code has a documentation page.
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
            Self::NotAllowed { .. } => "RUN-015",
            Self::UnfitForm { .. } => "RUN-016",
        }
    }
}

fn wrong_state(state: RunState, command: &str) -> String {
    match command {
        "roll back" if !state.is_end() => format!("the run is {state}: only one that has ended is rolled back"),
        command => format!("the run is {state}, so there is nothing to {command}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// One refusal of each kind.
    fn all() -> Vec<RunRefusal> {
        let (node, effect, state) = (String::new, String::new, RunState::Running);
        vec![
            RunRefusal::NotStarted,
            RunRefusal::AlreadyStarted { state },
            RunRefusal::Ended { state, command: "pause" },
            RunRefusal::WrongState { state, command: "retry" },
            RunRefusal::NothingWaits { node: node() },
            RunRefusal::Lost { node: node(), winner: String::new() },
            RunRefusal::AnsweredTwice { node: node(), by: String::new() },
            RunRefusal::WrongAnswer { node: node(), expected: "a form" },
            RunRefusal::NoSuchCall { effect: effect() },
            RunRefusal::NotInDoubt { effect: effect() },
            RunRefusal::Duplicate { effect: effect() },
            RunRefusal::TooManySignals { limit: 1 },
            RunRefusal::Impossible { reason: String::new() },
            RunRefusal::SignalSeen { from: String::new(), number: 1 },
            RunRefusal::NotAllowed { what: node(), by: String::new(), reason: "others are asked" },
            RunRefusal::UnfitForm { place: String::new(), reason: String::new() },
        ]
    }

    #[test]
    fn every_code_has_a_page_and_every_page_its_code() {
        let pages = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors/run");
        let codes: BTreeSet<String> = all().iter().map(|refusal| refusal.code().to_owned()).collect();
        assert_eq!(codes.len(), all().len(), "two refusals share a code");
        assert!(
            codes.iter().map(String::as_str).eq(RunRefusal::CODES.map(|(code, _)| code)),
            "the list of codes is another"
        );
        for code in &codes {
            let page = std::fs::read_to_string(pages.join(format!("{code}.md"))).unwrap_or_default();
            assert!(page.starts_with(&format!("# {code}: ")), "docs/errors/run/{code}.md");
        }
        let written = std::fs::read_dir(&pages).unwrap().map(|page| page.unwrap().path());
        let written: BTreeSet<String> =
            written.filter_map(|page| Some(page.file_stem()?.to_str()?.to_owned())).collect();
        assert_eq!(written, codes);
    }
}
