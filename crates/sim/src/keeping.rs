//! An awake conversation or desk of a simulated process: what the engine's shell holds of one, without its thread.

use std::time::Duration;

use baton_core::conversation::Conversation;
use baton_core::desk::Desk;
use baton_core::id::RunId;
use baton_core::time::Time;
use baton_engine::Options;
use baton_engine::own_time::Now;
use baton_engine::owner::Output;
use baton_engine::plain::{Keeper, Plain, Write};
use baton_ports::journal::{Claimed, InboxItem, Kind, Ownership};

use crate::process::UnderWay;

/// What moves it.
pub enum Kept {
    Conversation(Box<Keeper<Conversation>>),
    Desk(Box<Keeper<Desk>>),
}

pub struct Keeping {
    pub number: u64,
    pub kept: Kept,
    /// Found in the inbox, and not decided yet.
    pub items: Vec<InboxItem>,
    /// Somebody nudged it while its append was under way.
    pub nudged: bool,
    pub wake_at: Option<Time>,
    pub under_way: Option<UnderWay>,
    /// It has decided, and was not told yet what became of the append, sent or not.
    pub is_writing: bool,
    /// It was told that an entry is durable.
    pub has_recorded: bool,
    /// What the append under way refuses, who is told of it, and whether it lets go.
    written: Written,
}

#[derive(Default)]
struct Written {
    refused: Vec<i64>,
    announce: Vec<RunId>,
    released: bool,
}

impl Keeping {
    pub fn new(number: u64, id: &RunId, claimed: &Claimed, now: Now) -> Result<Option<Self>, baton_engine::Error> {
        let kept = match claimed.kind {
            Kind::Run => return Ok(None),
            Kind::Conversation => Kept::Conversation(Box::new(Keeper::claimed(id.clone(), claimed, now)?)),
            Kind::Desk => Kept::Desk(Box::new(Keeper::claimed(id.clone(), claimed, now)?)),
        };
        Ok(Some(Self {
            number,
            kept,
            items: claimed.inbox.clone(),
            nudged: false,
            wake_at: None,
            under_way: None,
            is_writing: false,
            has_recorded: false,
            written: Written::default(),
        }))
    }

    /// Decides what was found, as the engine's shell does it.
    pub fn go_on(&mut self, now: Now, options: &Options) -> Result<Vec<Output>, baton_engine::Error> {
        let Some(Write { append, refused }) = self.kept.decide(&mut self.items, now, options)? else {
            let output = match self.kept.will_sleep(now, options) {
                true => Some(Output::Release { wake_at: self.kept.wakes_at() }),
                false => self.kept.wake_at().map(Output::WakeAt),
            };
            return Ok(output.into_iter().collect());
        };
        self.written = Written {
            refused: refused.iter().map(|refused| refused.item).collect(),
            announce: append.outbox.iter().map(|submit| submit.aggregate.clone()).collect(),
            released: append.release,
        };
        self.is_writing = true;
        Ok(vec![Output::Append(Box::new(append))])
    }

    /// Items that the append under way refuses.
    pub fn refusing(&self) -> &[i64] {
        &self.written.refused
    }

    /// Its append is durable.
    pub fn appended(&mut self, now: Now, options: &Options) -> Result<Vec<Output>, baton_engine::Error> {
        (self.is_writing, self.has_recorded) = (false, true);
        let Written { announce, released, .. } = std::mem::take(&mut self.written);
        let mut outputs: Vec<Output> = announce.into_iter().map(Output::Announce).collect();
        match released {
            true => outputs.push(Output::Released),
            false => outputs.extend(self.go_on(now, options)?),
        }
        Ok(outputs)
    }
}

impl Kept {
    /// As the table calls it.
    pub fn row(&self) -> &'static str {
        match self {
            Self::Conversation(_) => "conversation",
            Self::Desk(_) => "desk",
        }
    }

    pub fn ownership(&self) -> Ownership {
        match self {
            Self::Conversation(keeper) => keeper.ownership(),
            Self::Desk(keeper) => keeper.ownership(),
        }
    }

    pub fn seen(&self) -> i64 {
        match self {
            Self::Conversation(keeper) => keeper.seen(),
            Self::Desk(keeper) => keeper.seen(),
        }
    }

    /// Number of the last entry that was handed out, and what all of them made of it.
    pub fn state(&self) -> (u64, Result<String, serde_json::Error>) {
        match self {
            Self::Conversation(keeper) => (keeper.seq(), serde_json::to_string(keeper.it())),
            Self::Desk(keeper) => (keeper.seq(), serde_json::to_string(keeper.it())),
        }
    }

    fn wake_at(&self) -> Option<Time> {
        match self {
            Self::Conversation(keeper) => Plain::wake_at(keeper.it()),
            Self::Desk(keeper) => Plain::wake_at(keeper.it()),
        }
    }

    fn wakes_at(&self) -> Option<Time> {
        match self {
            Self::Conversation(keeper) => keeper.wakes_at(),
            Self::Desk(keeper) => keeper.wakes_at(),
        }
    }

    /// How long it is until its next timer.
    pub fn time_left(&self, now: Now) -> Option<Duration> {
        match self {
            Self::Conversation(keeper) => keeper.time_left(now),
            Self::Desk(keeper) => keeper.time_left(now),
        }
    }

    fn will_sleep(&self, now: Now, options: &Options) -> bool {
        match self {
            Self::Conversation(keeper) => keeper.will_sleep(now, options),
            Self::Desk(keeper) => keeper.will_sleep(now, options),
        }
    }

    fn decide(
        &mut self,
        items: &mut Vec<InboxItem>,
        now: Now,
        options: &Options,
    ) -> Result<Option<Write>, baton_engine::Error> {
        match self {
            Self::Conversation(keeper) => keeper.decide(items, now, options),
            Self::Desk(keeper) => keeper.decide(items, now, options),
        }
    }
}

/// What these entries fold to, as text.
pub fn folded<P: Plain>(entries: &[(Time, Vec<P::Event>)]) -> Result<String, serde_json::Error> {
    let mut it = P::default();
    for (at, events) in entries {
        events.iter().for_each(|event| it.apply(*at, event));
    }
    serde_json::to_string(&it)
}
