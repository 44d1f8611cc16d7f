//! A rejected command, with the reason. Nothing changed.

use super::ConversationState;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConversationRefusal {
    #[error("the conversation has begun already")]
    Begun,
    #[error("no such conversation has begun")]
    NotBegun,
    #[error("{owner} owns the conversation, under number {number}: take it over before you speak in it")]
    Owned { owner: String, number: u64 },
    #[error("you own the conversation under number {number}, not under {quoted}: look at what was said meanwhile")]
    Stale { quoted: u64, number: u64 },
    #[error("the conversation is {state}, so it cannot be {what}")]
    WrongState { state: ConversationState, what: &'static str },
    #[error("{what} has {size} bytes or items, over the limit of {limit}")]
    TooMuch { what: &'static str, size: usize, limit: usize },
    #[error("number {number} of `{source_name}` was delivered already")]
    Seen { source_name: String, number: u64 },
    #[error("{reason}")]
    Impossible { reason: String },
}

impl ConversationRefusal {
    /// Every code with a short title, in order.
    pub const CODES: [(&'static str, &'static str); 8] = [
        ("CONV-001", "the conversation has begun already"),
        ("CONV-002", "no such conversation has begun"),
        ("CONV-003", "somebody else owns the conversation"),
        ("CONV-004", "the quoted number is an old one"),
        ("CONV-005", "in this state there is nothing to do so to"),
        ("CONV-006", "it is more than a conversation takes"),
        ("CONV-007", "this number of this sender was delivered already"),
        ("CONV-008", "it cannot be done, and the message says why"),
    ];

    /// Returns the stable code. Each code has a documentation page.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Begun => "CONV-001",
            Self::NotBegun => "CONV-002",
            Self::Owned { .. } => "CONV-003",
            Self::Stale { .. } => "CONV-004",
            Self::WrongState { .. } => "CONV-005",
            Self::TooMuch { .. } => "CONV-006",
            Self::Seen { .. } => "CONV-007",
            Self::Impossible { .. } => "CONV-008",
        }
    }
}
