//! A tenant's desk: who is there to take conversations over, which wait for one of them, and who has which.
//!
//! Conversations are given out oldest first, within their priority: to those who are online, have every skill that is
//! asked for and have room, among them to whoever has fewest, then to whoever has been idle longest. Who goes offline,
//! or is not heard of for a while, gives back what they have, and it waits where it would be had it never left the line.
//!
//! Every conversation comes with deadlines. Where one is missed, or where nobody at all has the skills, a chain of steps
//! begins: the conversation is put first, a supervisor is told, its skills are waived. Whoever waives skills waits for
//! anybody, so nothing waits for ever while somebody has room.
//!
//! `decide` and `apply` as in [`crate::run`]: pure, folding as it goes. What others must be told is in the events
//! ([`RoutingEvent::notice`]). The desk's items for approvals, questions and doubts are another thing: `baton_ports::task_inbox`.
//!
//! # Numbers
//!
//! Each owner a conversation has, nobody included, has its number, one above the one before. A stay at the desk begins
//! with the number it is enqueued under, and every message names both, so that one about an earlier stay is told from
//! one about this.

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

/// People of one desk.
pub const PEOPLE_MAX: usize = 1_000;
/// Conversations of one desk, waiting or with somebody.
pub const CONVERSATIONS_MAX: usize = 20_000;
/// Conversations that one person may have at a time, at the most.
pub const CAPACITY_MAX: u32 = 100;
/// Conversations that one person may have at a time, unless told.
pub const CAPACITY_DEFAULT: u32 = 5;
/// Skills of one person, or asked for by one conversation; languages too.
pub const SKILLS_MAX: usize = 32;
/// Characters of a skill's or a language's name.
pub const SKILL_CHARS_MAX: usize = 64;
/// Characters of a person's name or e-mail address.
pub const NAME_CHARS_MAX: usize = 200;
/// Somebody is heard of again only after this part of the time after which they are taken to be offline: what they do
/// need not all be written down.
const HEARTBEAT_DIVISOR: u32 = 5;
/// Steps of one chain.
pub const ESCALATION_STEPS_MAX: usize = 10;
/// Steps of chains that one decision takes: what is left is for the next. Nothing else gives out more at once.
pub const STEPS_PER_TICK_MAX: usize = 500;

#[cfg(test)]
mod tests;
