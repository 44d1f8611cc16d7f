//! A rejected command, with the reason. Nothing changed.

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoutingRefusal {
    #[error("`{field}` cannot be so: {reason}")]
    Field { field: &'static str, reason: String },
    #[error("the desk has {limit} people and takes no more: remove somebody first")]
    TooManyPeople { limit: usize },
    #[error("`{email}` is the address of `{of}` already")]
    EmailTaken { email: String, of: String },
    #[error("the desk has nobody of the id `{person}`")]
    NoSuchPerson { person: String },
    #[error("the desk has {limit} conversations and takes no more: some must be resolved first")]
    Full { limit: usize },
    #[error("the desk does not have the conversation `{conversation}`")]
    NoSuchConversation { conversation: String },
    #[error("`{conversation}` has changed hands: it is at number {number} now, not {quoted}")]
    ChangedHands { conversation: String, number: u64, quoted: u64 },
    #[error("`{person}` cannot be given it: {reason}")]
    CannotTake { person: String, reason: String },
}

impl RoutingRefusal {
    /// Every code with a short title, in order.
    pub const CODES: [(&'static str, &'static str); 8] = [
        ("DESK-001", "a value cannot be so"),
        ("DESK-002", "the desk has as many people as it may"),
        ("DESK-003", "the e-mail address is somebody else's"),
        ("DESK-004", "the desk has nobody of this id"),
        ("DESK-005", "the desk has as many conversations as it may"),
        ("DESK-006", "the conversation is not at the desk"),
        ("DESK-007", "the conversation has changed hands meanwhile"),
        ("DESK-008", "the person cannot be given it"),
    ];

    /// Returns the stable code. Each code has a documentation page.
    pub fn code(&self) -> &'static str {
        let place = match self {
            Self::Field { .. } => 0,
            Self::TooManyPeople { .. } => 1,
            Self::EmailTaken { .. } => 2,
            Self::NoSuchPerson { .. } => 3,
            Self::Full { .. } => 4,
            Self::NoSuchConversation { .. } => 5,
            Self::ChangedHands { .. } => 6,
            Self::CannotTake { .. } => 7,
        };
        Self::CODES[place].0
    }
}
