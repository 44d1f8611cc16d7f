//! Faults planted on purpose, so that the simulation can prove that it finds them.
//!
//! [`planted`] is a constant `false` unless the feature `mutants` is on. The simulation turns it on; the shipped
//! binary is built without it (`-p baton-app`). Where one build holds both, a mutant is still planted only in a thread
//! that asked for it by [`plant`], and nothing but the simulation does.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

/// A fault that must be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mutant {
    /// Effects leave while the append that schedules them is under way.
    SentBeforeAppend,
    /// Inbox items are consumed without being decided.
    InboxForgotten,
    /// The store takes the append of a stale owner.
    FenceIgnored,
    /// An answer to a call that was given up is dropped.
    LateResultLost,
    /// What was undone is undone again.
    DoubleCompensation,
    /// Undoing begins with the oldest.
    WrongUndoOrder,
    /// A marked call is performed without its marker.
    MarkerSkipped,
    /// What an earlier owner marked is sent again by the next.
    MarkedSentAgain,
    /// A retry goes out under the key of the attempt that failed.
    GenerationKept,
    /// A call of unknown outcome is sent again under a new key.
    GenerationRaisedInDoubt,
    /// An attempt that did not act is believed of the one before it, whose answer was lost.
    DoubtDropped,
    /// What a model call cost that was dropped is forgotten.
    DroppedUnpaid,
    /// A call goes out without what people answered to it.
    AnswerForgotten,
    /// A new owner counts attempts from nothing.
    AttemptsForgotten,
    /// Winding down drops calls that may have acted.
    ActDropped,
    /// A snapshot forgets its timers.
    TimersLost,
    /// The timer of a node that is settled stays.
    TimerLeft,
    /// A signal stays after it was taken.
    SignalTakenTwice,
    /// A node runs although no way to it was taken.
    SkippedRuns,
    /// A merge fires again for a late branch.
    MergeFiresTwice,
    /// Compensation arguments are rendered when they are sent.
    ArgumentsRenderedLate,
    /// Messages to other runs are dropped.
    OutboxLost,
    /// A snapshot says it is older than it is.
    SnapshotSeqWrong,
    /// A snapshot of another fold version is used.
    SnapshotOfAnotherFold,
    /// A paused run lets effects out.
    PauseLeaks,
    /// A desk item stays open when its question is settled.
    DeskLeftOpen,
    /// A call's audit row is dropped.
    AuditLost,
    /// A verify call is looked up before its sender has given up.
    LookedUpEarly,
    /// Where a program stands still is forgotten.
    PauseForgotten,
    /// An agent sees the results of its calls in another order than it asked for them.
    ResultsShuffled,
    /// An agent keeps only the last of its model's replies.
    ThoughtsForgotten,
    /// The customer's newest message is handled first.
    NewestFirst,
    /// A customer's message that comes before those that its number leaves room for is dropped.
    EarlyDropped,
    /// It is heard at once, and those before it are not waited for.
    GapIgnored,
    /// A run speaks in a conversation that is not the AI's.
    SpeaksUnowned,
    /// A post is taken under an old number.
    StalePosted,
    /// A conversation heeds what the desk says of an earlier stay.
    EarlierStayHeard,
    /// The desk is not told that a conversation has left it.
    LeftUnsaid,
    /// Who comes online is given nothing.
    LeftLying,
    /// Somebody is given one conversation more than they may have.
    RoomIgnored,
    /// A conversation that is given back begins its chains anew.
    StepsAgain,
    /// A run whose claim failed is dropped from every queue.
    ClaimDropped,
    /// Leases are kept and judged by the clock of the wall, which is set.
    LeaseByWall,
    /// A run's own time is the wall's, or stands still until that has caught up.
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

/// What [`Mutant::ArgumentsRenderedLate`] makes of stored arguments: those called like a variable follow it.
pub(crate) fn render_late(arguments: &mut Value, variables: &BTreeMap<String, Arc<Value>>) {
    for (key, value) in arguments.as_object_mut().into_iter().flatten() {
        if let Some(now) = variables.get(key) {
            *value = (**now).clone();
        }
    }
}

/// Whether this fault is planted in this thread.
#[cfg(not(feature = "mutants"))]
#[inline]
pub const fn planted(_: Mutant) -> bool {
    false
}

/// Whether this fault is planted in this thread.
#[cfg(feature = "mutants")]
#[inline]
pub fn planted(mutant: Mutant) -> bool {
    PLANTED.with(|planted| planted.get() == Some(mutant))
}

#[cfg(feature = "mutants")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Plants one fault in this thread, in place of any other; `None` plants none.
#[cfg(feature = "mutants")]
pub fn plant(mutant: Option<Mutant>) {
    PLANTED.with(|planted| planted.set(mutant));
}
