//! The events that can occur at an instant, in a process, in the store, or in the outside world.

use baton_core::id::RunId;
use baton_core::time::Time;
use baton_engine::owner::{Attempt, OwnerInput};
use baton_ports::journal::{ClaimedAggregate, InboxSubmission, JournalAppend, JournalError, ProcessLease, TaskItem};

use super::script::ScriptAction;
use crate::process::TaskAddress;

/// A scheduled event.
#[derive(Debug)]
pub enum SimEvent {
    /// An append reaches the store.
    AppendArrives {
        place: TaskAddress,
        append: Box<JournalAppend>,
        lost: bool,
    },
    /// The store's answer reaches the owner.
    AppendAnswered {
        place: TaskAddress,
        answer: Result<(), JournalError>,
    },
    /// A check is done: the call may be sent.
    CallChecked {
        place: TaskAddress,
        send: Box<Attempt>,
        ticket: u64,
    },
    /// A call reaches its service.
    CallReachesService {
        place: TaskAddress,
        send: Box<Attempt>,
        ticket: u64,
        is_marked: bool,
    },
    CallLookedUp {
        place: TaskAddress,
        send: Box<Attempt>,
        ticket: u64,
    },
    /// An answer reaches the owner.
    AnswerArrives {
        place: TaskAddress,
        ticket: u64,
        call: Option<Box<Attempt>>,
        input: Box<OwnerInput>,
        asked: Option<usize>,
    },
    TimerFires {
        place: TaskAddress,
        at: Time,
    },
    /// A hint that a run has an inbox item.
    InboxHint {
        process: usize,
        incarnation: u32,
        run: RunId,
    },
    ClaimRun {
        process: usize,
        incarnation: u32,
        run: RunId,
    },
    RunClaimed {
        process: usize,
        incarnation: u32,
        run: RunId,
        claimed: Box<ClaimedAggregate>,
        lease: ProcessLease,
    },
    PollStore {
        process: usize,
        incarnation: u32,
    },
    /// A claim may be due for a retry.
    ReclaimDue {
        process: usize,
        incarnation: u32,
    },
    RenewLease {
        process: usize,
        incarnation: u32,
    },
    ThawProcess {
        process: usize,
        incarnation: u32,
    },
    RestartProcess {
        process: usize,
    },
    /// An aggregate may be due in the store by the clock alone.
    Alarm,
    /// An external client submits an item to an inbox.
    SubmitItem {
        submit: Box<InboxSubmission>,
    },
    /// A person looks at a task inbox item.
    ReviewTask {
        item: Box<TaskItem>,
    },
    /// Starts one of the runs.
    StartRun {
        run: RunId,
    },
    /// A line of the script.
    ScriptedAction {
        run: RunId,
        act: Box<ScriptAction>,
    },
}
