//! The conversation aggregate: its owner, its transcript, the run that answers now, and when a person takes over.
//!
//! Like a run, it is an aggregate: a [`ConversationCommand`] is decided into [`ConversationEvent`]s, and events are
//! folded into state. Its requests to others (start or notify a run, enqueue it in the routing queue) are derived from
//! its events and leave in the append that holds them. Its states are those of seed 004.
//!
//! **One owner speaks.** The AI or a person owns a conversation, or it has no owner. Each change of owner increments a
//! number. Every post quotes the ownership number, and a post with an old number is rejected. The words of a run that
//! arrive when the AI no longer owns the conversation are kept as a note for the person.
//!
//! **A message is handled once, in order.** The customer's messages are numbered in order of arrival (by the sender's
//! own sequence, if there is one). Each goes to one run, or to people. A run receives a message only after it has said
//! that it waits. A message that a run received and never took is returned, and goes to the next run before any newer
//! one.

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

/// Maximum size of one message, post or note, in bytes.
pub const TEXT_BYTES_MAX: usize = 16 << 10;
/// Maximum number of messages waiting to be handled, not counting those held for a gap.
pub const QUEUE_MAX: usize = 1_000;
/// Maximum number of senders with their own sequence in one conversation.
pub const SENDERS_MAX: usize = 16;
/// Number of transcript lines kept in the state; the journal has all of them.
pub const RECENT_LINES_MAX: usize = 20;
/// Maximum number of attempted steps kept for the person who takes over.
pub const ATTEMPTED_STEPS_MAX: usize = 20;
/// How long a conversation owned by the AI may be silent before it is closed.
pub const IDLE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 3_600);
/// How long a conversation waits before it asks a full routing queue again.
pub const ENQUEUE_RETRY_INTERVAL: std::time::Duration = std::time::Duration::from_secs(60);

#[cfg(test)]
mod tests;
