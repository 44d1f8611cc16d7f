//! A tenant's routing queue: the people who take conversations over, the waiting conversations, and the assignments.
//!
//! Conversations are assigned oldest first within their priority, to people who are online, have every required skill
//! and have capacity; among them to the one with the fewest conversations, then to the one who has been idle longest. A
//! person who goes offline, or sends no sign of life for a while, returns their conversations, which wait at the
//! position they would have had without the assignment.
//!
//! Every conversation has deadlines. If one is missed, or if no person has the skills, an escalation chain starts: the
//! priority is raised, a supervisor is notified, the skills are waived. A conversation with waived skills waits for any
//! person, so no conversation waits forever while a person has capacity.
//!
//! `decide` and `apply` work as in [`crate::run`]: pure, folding as they go. Notifications for others are derived from
//! the events ([`RoutingEvent::notice`]). The task inbox for approvals, questions and doubts is separate:
//! `baton_ports::task_inbox`.
//!
//! # Numbers
//!
//! Each owner of a conversation, including no owner, has an ownership number, one above the previous one. The queue
//! ticket is the number with which a conversation was enqueued. Every message contains both, which distinguishes
//! messages about an earlier ticket from those about the current one.

mod apply;
mod assign;
mod command;
mod decide;
mod escalation;
mod event;
mod index;
mod line;
mod person;
mod refusal;
mod routed_conversation;
mod service;
mod settings;
mod state;

pub use command::{EnqueueRequest, RoutingCommand, TransferTarget};
pub use escalation::{EscalationAction, EscalationProgress, EscalationStep, SlaBreach};
pub use event::{RequeueReason, RoutingEntry, RoutingEvent, RoutingNotice};
pub use line::{AssignmentBlocker, WaitingConversation};
pub use person::{HumanAgent, PersonProfile, Presence};
pub use refusal::RoutingRefusal;
pub use routed_conversation::{Priority, RoutedConversation, RoutingRequirements};
pub use service::ServiceLevel;
pub use settings::RoutingSettings;
pub use state::RoutingQueue;

/// Maximum number of people in one routing queue.
pub const PEOPLE_MAX: usize = 1_000;
/// Maximum number of conversations in one routing queue, waiting or assigned.
pub const CONVERSATIONS_MAX: usize = 20_000;
/// Maximum capacity of one person, in concurrent conversations.
pub const CAPACITY_MAX: u32 = 100;
/// Default capacity of one person, in concurrent conversations.
pub const CAPACITY_DEFAULT: u32 = 5;
/// Maximum number of skills of one person, or required by one conversation; also of languages.
pub const SKILLS_MAX: usize = 32;
/// Maximum length of a skill's or a language's name, in characters.
pub const SKILL_CHARS_MAX: usize = 64;
/// Maximum length of a person's name or e-mail address, in characters.
pub const NAME_CHARS_MAX: usize = 200;
/// A sign of life is recorded only after this fraction of the time-out for offline: not every action needs to be
/// written.
const HEARTBEAT_DIVISOR: u32 = 5;
/// Maximum number of steps in one chain.
pub const ESCALATION_STEPS_MAX: usize = 10;
/// Maximum number of escalation steps in one decision; the rest is left for the next. No other command assigns more at
/// once.
pub const STEPS_PER_TICK_MAX: usize = 500;

#[cfg(test)]
mod tests;
