//! How a conversation moves: who owns it, what was said, which run thinks about it, and when a person takes over.
//!
//! It is an aggregate as a run is one: a [`ConversationCommand`] is decided into [`ConversationEvent`]s, and events fold into state. What it wants of
//! others (a run begun or told, a place in the desk's queue) is derived from its events and goes out in the append that
//! holds them. States are seed 004's.
//!
//! **One owner speaks.** The AI, a person, or nobody owns a conversation. Each change of owner raises a number; whoever posts
//! quotes the number they own it under, and what quotes an old one is not posted. A run's words that come when the AI owns it
//! no more are kept as a note for the person.
//!
//! **A message is handled once, in order.** The customer's messages have numbers in the order of arrival (a sender's own
//! sequence where it counts). Each goes to one run, or to people. A run is handed one only when it has said that it waits;
//! what a run was handed and never took comes back, and goes to the next before anything newer does.

mod apply;
mod command;
mod decide;
mod event;
mod handover;
mod handover_policy;
mod refusal;
mod run_update;
mod state;

pub use command::{
    ConversationCommand, HandoverRequirements, InboundMessage, NewConversation, PinnedVersion, RoutingRequest,
    RunResult, RunUpdate, reply_text,
};
pub use event::{ConversationEntry, ConversationEvent, ConversationLine, LineAuthor};
pub use handover::{AttemptedStep, Handover, HandoverTrigger};
pub use handover_policy::HandoverPolicy;
pub use refusal::ConversationRefusal;
pub use state::{Conversation, ConversationOwner, ConversationState, ConversationStatus};

/// Bytes of one message, post or note.
pub const TEXT_BYTES_MAX: usize = 16 << 10;
/// Messages that wait to be handled, those held for a gap apart.
pub const QUEUE_MAX: usize = 1_000;
/// Senders with numbers of their own in one conversation.
pub const SENDERS_MAX: usize = 16;
/// Lines of the transcript that are kept in the fold; all are in the journal.
pub const RECENT_LINES_MAX: usize = 20;
/// What runs tried, kept for whoever takes over.
pub const ATTEMPTED_STEPS_MAX: usize = 20;
/// How long a conversation of the AI's may be silent before it is closed.
pub const IDLE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 3_600);
/// After how long a conversation asks the desk again that had no room for it.
pub const ENQUEUE_RETRY_INTERVAL: std::time::Duration = std::time::Duration::from_secs(60);

#[cfg(test)]
mod tests;
