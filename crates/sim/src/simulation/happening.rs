//! What may happen at an instant, to a process, to the store, or in the world.

use baton_core::id::RunId;
use baton_core::time::Time;
use baton_engine::owner::{Input, Send};
use baton_ports::journal::{Append, Claimed, DeskItem, Error, Lease, Submit};

use super::script::Act;
use crate::process::Place;

/// What is on somebody's agenda.
#[derive(Debug)]
pub enum Happening {
    /// An append reaches the store.
    Arrives {
        place: Place,
        append: Box<Append>,
        lost: bool,
    },
    /// The store's answer reaches the owner.
    Answered {
        place: Place,
        answer: Result<(), Error>,
    },
    /// A check is done: the call may go out.
    Checked {
        place: Place,
        send: Box<Send>,
        ticket: u64,
    },
    /// A call reaches its service.
    Reaches {
        place: Place,
        send: Box<Send>,
        ticket: u64,
        is_marked: bool,
    },
    LookedUp {
        place: Place,
        send: Box<Send>,
        ticket: u64,
    },
    /// An answer reaches the owner.
    Back {
        place: Place,
        ticket: u64,
        call: Option<Box<Send>>,
        input: Box<Input>,
        asked: Option<usize>,
    },
    Woken {
        place: Place,
        at: Time,
    },
    /// A hint that a run has something in its inbox.
    Nudged {
        process: usize,
        incarnation: u32,
        run: RunId,
    },
    Claims {
        process: usize,
        incarnation: u32,
        run: RunId,
    },
    Spawned {
        process: usize,
        incarnation: u32,
        run: RunId,
        claimed: Box<Claimed>,
        lease: Lease,
    },
    Polls {
        process: usize,
        incarnation: u32,
    },
    /// Something may wait to be claimed afresh.
    Again {
        process: usize,
        incarnation: u32,
    },
    Renews {
        process: usize,
        incarnation: u32,
    },
    Thaws {
        process: usize,
        incarnation: u32,
    },
    Restarts {
        process: usize,
    },
    /// Something may be due in the store by the clock alone.
    Alarm,
    /// Somebody outside puts something into an inbox.
    Submits {
        submit: Box<Submit>,
    },
    /// A person looks at a desk item.
    Looks {
        item: Box<DeskItem>,
    },
    /// Starts one of the runs.
    Starts {
        run: RunId,
    },
    /// A line of the script.
    Cued {
        run: RunId,
        act: Box<Act>,
    },
}
