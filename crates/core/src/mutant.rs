//! Deliberate faults, with which the simulation proves that it would find them.
//!
//! [`planted`] is a constant `false` unless the feature `mutants` is on. The simulation turns it on; the shipped binary
//! is built without it (`-p baton-app`). If one build contains both, a mutant is only active in a thread that called
//! [`plant`], and only the simulation does.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

/// A fault that the simulation must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mutant {
    /// Effects are dispatched before the append that schedules them is durable.
    SentBeforeAppend,
    /// Inbox items are consumed without being decided.
    InboxForgotten,
    /// The store accepts the append of a stale owner.
    FenceIgnored,
    /// The answer to an abandoned call is dropped.
    LateResultLost,
    /// An undone effect is undone again.
    DoubleCompensation,
    /// Compensation starts with the oldest effect.
    WrongUndoOrder,
    /// A marked call is performed without its marker.
    MarkerSkipped,
    /// A call marked by an earlier owner is sent again by the next.
    MarkedSentAgain,
    /// A retry is sent under the key of the attempt that failed.
    GenerationKept,
    /// A call of unknown outcome is sent again under a new key.
    GenerationRaisedInDoubt,
    /// An attempt that did not act also settles the one before it, whose answer was lost.
    DoubtDropped,
    /// The cost of a dropped model call is forgotten.
    DroppedUnpaid,
    /// A call is sent without the people's answers to its question.
    AnswerForgotten,
    /// A new owner counts attempts from zero.
    AttemptsForgotten,
    /// Draining drops calls that may have acted.
    ActDropped,
    /// A snapshot loses its timers.
    TimersLost,
    /// The timer of a settled node stays.
    TimerLeft,
    /// A signal stays after it was taken.
    SignalTakenTwice,
    /// A node runs although no edge to it was taken.
    SkippedRuns,
    /// A merge completes again for a late branch.
    MergeFiresTwice,
    /// Compensation arguments are rendered when they are sent.
    ArgumentsRenderedLate,
    /// Messages to other runs are dropped.
    OutboxLost,
    /// A snapshot claims to be older than it is.
    SnapshotSeqWrong,
    /// A snapshot of another fold version is used.
    SnapshotOfAnotherFold,
    /// A paused run dispatches effects.
    PauseLeaks,
    /// A task item stays open after its question is settled.
    DeskLeftOpen,
    /// A call's audit row is dropped.
    AuditLost,
    /// A verify call is looked up before its sender has given up.
    LookedUpEarly,
    /// The pause state of a program is forgotten.
    PauseForgotten,
    /// An agent sees the results of its calls in another order than it requested them.
    ResultsShuffled,
    /// An agent keeps only the last of its model's replies.
    ThoughtsForgotten,
    /// The customer's newest message is handled first.
    NewestFirst,
    /// A customer's message that arrives before others with lower numbers is dropped.
    EarlyDropped,
    /// Such a message is handled at once, without waiting for those before it.
    GapIgnored,
    /// A run posts in a conversation that the AI does not own.
    SpeaksUnowned,
    /// A post with an old ownership number is accepted.
    StalePosted,
    /// A conversation accepts the routing queue's messages about an earlier ticket.
    EarlierStayHeard,
    /// The routing queue is not notified that a conversation has left it.
    LeftUnsaid,
    /// A person who comes online is assigned nothing.
    LeftLying,
    /// A person is assigned one conversation more than their capacity.
    RoomIgnored,
    /// A returned conversation restarts its escalation chains.
    StepsAgain,
    /// A run whose claim failed is dropped from every queue.
    ClaimDropped,
    /// Leases are kept and checked by the wall clock, which can be set.
    LeaseByWall,
    /// A run's own time is the wall clock's, or stands still until that has caught up.
    TimeStands,
}

impl Mutant {
    pub const ALL: [Self; 44] = [
        Self::SentBeforeAppend,
        Self::InboxForgotten,
        Self::FenceIgnored,
        Self::LateResultLost,
        Self::DoubleCompensation,
        Self::WrongUndoOrder,
        Self::MarkerSkipped,
        Self::MarkedSentAgain,
        Self::GenerationKept,
        Self::GenerationRaisedInDoubt,
        Self::DoubtDropped,
        Self::DroppedUnpaid,
        Self::AnswerForgotten,
        Self::AttemptsForgotten,
        Self::ActDropped,
        Self::TimersLost,
        Self::TimerLeft,
        Self::SignalTakenTwice,
        Self::SkippedRuns,
        Self::MergeFiresTwice,
        Self::ArgumentsRenderedLate,
        Self::OutboxLost,
        Self::SnapshotSeqWrong,
        Self::SnapshotOfAnotherFold,
        Self::PauseLeaks,
        Self::DeskLeftOpen,
        Self::AuditLost,
        Self::LookedUpEarly,
        Self::PauseForgotten,
        Self::ResultsShuffled,
        Self::ThoughtsForgotten,
        Self::NewestFirst,
        Self::EarlyDropped,
        Self::GapIgnored,
        Self::SpeaksUnowned,
        Self::StalePosted,
        Self::EarlierStayHeard,
        Self::LeftUnsaid,
        Self::LeftLying,
        Self::RoomIgnored,
        Self::StepsAgain,
        Self::ClaimDropped,
        Self::LeaseByWall,
        Self::TimeStands,
    ];
}

/// The effect of [`Mutant::ArgumentsRenderedLate`] on stored arguments: those named like a variable follow it.
pub(crate) fn render_late(arguments: &mut Value, variables: &BTreeMap<String, Arc<Value>>) {
    for (key, value) in arguments.as_object_mut().into_iter().flatten() {
        if let Some(now) = variables.get(key) {
            *value = (**now).clone();
        }
    }
}

/// Returns whether this fault is active in this thread.
#[cfg(not(feature = "mutants"))]
#[inline]
pub const fn planted(_: Mutant) -> bool {
    false
}

/// Returns whether this fault is active in this thread.
#[cfg(feature = "mutants")]
#[inline]
pub fn planted(mutant: Mutant) -> bool {
    PLANTED.with(|planted| planted.get() == Some(mutant))
}

#[cfg(feature = "mutants")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Activates one fault in this thread and deactivates any other; `None` activates none.
#[cfg(feature = "mutants")]
pub fn plant(mutant: Option<Mutant>) {
    PLANTED.with(|planted| planted.set(mutant));
}
