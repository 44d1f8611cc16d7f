//! Counts which fault met which kind of node at which instant, over all seeds. A cell that stays empty is a gap in the
//! simulation, unless it cannot occur; [`CoverageCell::impossible`] then gives the reason.

mod table;

use crate::case::FaultPoint;
use crate::services::RequestFate;

pub use table::markdown;

/// The kinds of nodes, as definitions name them; agents with a shipped step function are listed separately. The last
/// ones are not nodes: conversations, and the routing queue.
pub const KINDS: [&str; 19] = [
    "trigger",
    "agent",
    "simple agent",
    "reasoning agent",
    "code agent",
    "tool",
    "condition",
    "switch",
    "loop",
    "parallel",
    "merge",
    "human",
    "wait",
    "subworkflow",
    "transform",
    "end",
    "sink",
    "conversation",
    "desk",
];

/// The kind of fault, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CoverageColumn {
    Kill,
    Freeze,
    Leave,
    FailedWrite,
    SlowWrite,
    FailedStore,
    SetClock,
    LostHints,
    Duplicate,
    Pause,
    Cancel,
    Slow,
    Refused,
    Declined,
    AnswerLost,
    RequestLost,
    LateAnswer,
    Garbled,
    AnswerTwice,
    Blocked,
    Asked,
    WrongAnswer,
    AnsweredTwice,
    OutOfOrder,
    Rollback,
    Retry,
}

impl CoverageColumn {
    pub const ALL: [Self; 26] = [
        Self::Kill,
        Self::Freeze,
        Self::Leave,
        Self::FailedWrite,
        Self::SlowWrite,
        Self::FailedStore,
        Self::SetClock,
        Self::LostHints,
        Self::Duplicate,
        Self::Pause,
        Self::Cancel,
        Self::Slow,
        Self::Refused,
        Self::Declined,
        Self::AnswerLost,
        Self::RequestLost,
        Self::LateAnswer,
        Self::Garbled,
        Self::AnswerTwice,
        Self::Blocked,
        Self::Asked,
        Self::WrongAnswer,
        Self::AnsweredTwice,
        Self::OutOfOrder,
        Self::Rollback,
        Self::Retry,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Freeze => "freeze, stale lease",
            Self::Leave => "orderly stop",
            Self::FailedWrite => "failed write",
            Self::SlowWrite => "slow write",
            Self::FailedStore => "failed claim or read",
            Self::SetClock => "clock set",
            Self::LostHints => "lost hints",
            Self::Duplicate => "duplicate delivery",
            Self::Pause => "pause",
            Self::Cancel => "cancel",
            Self::Slow => "slow call",
            Self::Refused => "refused, may repeat",
            Self::Declined => "refused for good",
            Self::AnswerLost => "answer lost",
            Self::RequestLost => "request lost",
            Self::LateAnswer => "late answer",
            Self::Garbled => "malformed reply",
            Self::AnswerTwice => "answer twice",
            Self::Blocked => "not let out",
            Self::Asked => "asks a person first",
            Self::WrongAnswer => "person answers wrongly",
            Self::AnsweredTwice => "person answers twice",
            Self::OutOfOrder => "signals out of order",
            Self::Rollback => "rollback on request",
            Self::Retry => "retry on request",
        }
    }

    pub fn of(fate: RequestFate) -> Option<Self> {
        match fate {
            RequestFate::Done => None,
            RequestFate::Slow => Some(Self::Slow),
            RequestFate::Refused => Some(Self::Refused),
            RequestFate::Declined => Some(Self::Declined),
            RequestFate::AnswerLost => Some(Self::AnswerLost),
            RequestFate::RequestLost => Some(Self::RequestLost),
            RequestFate::Late => Some(Self::LateAnswer),
            RequestFate::Garbled => Some(Self::Garbled),
        }
    }

    /// The one instant at which it strikes, if there is only one.
    fn own_instant(self) -> Option<FaultPoint> {
        match self {
            Self::Kill
            | Self::Freeze
            | Self::Leave
            | Self::FailedWrite
            | Self::SlowWrite
            | Self::FailedStore
            | Self::SetClock
            | Self::LostHints
            | Self::Duplicate
            | Self::Pause
            | Self::Cancel => None,
            Self::Blocked => Some(FaultPoint::AfterAppend),
            Self::Refused | Self::Declined | Self::RequestLost | Self::Asked => Some(FaultPoint::Sent),
            Self::Slow | Self::AnswerLost | Self::LateAnswer | Self::Garbled | Self::AnswerTwice => {
                Some(FaultPoint::Acted)
            }
            Self::WrongAnswer | Self::AnsweredTwice | Self::OutOfOrder => Some(FaultPoint::Sent),
            Self::Rollback | Self::Retry => Some(FaultPoint::Recorded),
        }
    }

    /// The kinds that it can strike, if not all.
    fn own_kinds(self) -> &'static [&'static str] {
        match self {
            Self::Slow
            | Self::Refused
            | Self::Declined
            | Self::AnswerLost
            | Self::RequestLost
            | Self::LateAnswer
            | Self::AnswerTwice => &["agent", "simple agent", "reasoning agent", "code agent", "tool"],
            // A simple agent requests no tools and no people.
            Self::Blocked | Self::Asked => &["agent", "reasoning agent", "code agent", "tool"],
            Self::Garbled => &["agent", "simple agent", "reasoning agent", "code agent"],
            Self::WrongAnswer => &["human", "conversation"],
            Self::AnsweredTwice => &["human", "agent", "reasoning agent", "code agent", "conversation"],
            Self::OutOfOrder => &["wait", "conversation"],
            _ => &KINDS,
        }
    }
}

/// One cell of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoverageCell {
    pub kind: &'static str,
    pub column: CoverageColumn,
    pub instant: FaultPoint,
}

impl CoverageCell {
    pub fn all() -> impl Iterator<Item = Self> {
        let columns = || CoverageColumn::ALL.into_iter();
        KINDS.into_iter().flat_map(move |kind| {
            columns()
                .flat_map(move |column| FaultPoint::ALL.into_iter().map(move |instant| Self { kind, column, instant }))
        })
    }

    /// Why it cannot be met, if it cannot.
    pub fn impossible(self) -> Option<&'static str> {
        if !self.column.own_kinds().contains(&self.kind) {
            return Some(
                "this goes wrong only with calls, with people or with signals, and the node has none of its own",
            );
        }
        if self.column.own_instant().is_some_and(|instant| instant != self.instant) {
            return Some("this goes wrong at one instant only");
        }
        if self.is_of_a_run() && matches!(self.kind, "conversation" | "desk") {
            return Some("this is asked of runs, and it is none");
        }
        let asks_nobody =
            matches!(self.kind, "trigger" | "condition" | "switch" | "merge" | "transform" | "end" | "sink");
        if asks_nobody && matches!(self.instant, FaultPoint::Sent | FaultPoint::Acted) {
            return Some("the node settles inside one decision and asks the world for nothing");
        }
        let is_kept = matches!(self.kind, "conversation" | "desk") && self.column.own_instant().is_none();
        if is_kept && matches!(self.instant, FaultPoint::Sent | FaultPoint::Acted) {
            return Some("it is awake only to decide, and asks the world for nothing");
        }
        let is_of_a_write = matches!(self.column, CoverageColumn::FailedWrite | CoverageColumn::SlowWrite);
        if is_kept && is_of_a_write && self.instant == FaultPoint::Recorded {
            return Some("whoever writes has nothing else under way that could be recorded already");
        }
        None
    }

    fn is_of_a_run(self) -> bool {
        matches!(
            self.column,
            CoverageColumn::Pause | CoverageColumn::Cancel | CoverageColumn::Rollback | CoverageColumn::Retry
        )
    }
}

/// How often each cell was met.
#[derive(Clone, Debug)]
pub struct FaultCoverage {
    counts: Vec<u64>,
}

impl Default for FaultCoverage {
    fn default() -> Self {
        Self { counts: vec![0; KINDS.len() * CoverageColumn::ALL.len() * FaultPoint::ALL.len()] }
    }
}

impl FaultCoverage {
    pub fn hit(&mut self, kind: &str, column: CoverageColumn, instant: FaultPoint) {
        if let Some(kind) = KINDS.iter().position(|known| *known == kind) {
            self.counts[place(kind, column, instant)] += 1;
        }
    }

    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }

    pub fn of(&self, cell: CoverageCell) -> u64 {
        let kind = KINDS.iter().position(|known| *known == cell.kind).unwrap_or(0);
        self.counts[place(kind, cell.column, cell.instant)]
    }

    /// Cells that should have been met and were not.
    pub fn empty(&self) -> Vec<CoverageCell> {
        CoverageCell::all().filter(|cell| cell.impossible().is_none() && self.of(*cell) == 0).collect()
    }
}

fn place(kind: usize, column: CoverageColumn, instant: FaultPoint) -> usize {
    (kind * CoverageColumn::ALL.len() + column as usize) * FaultPoint::ALL.len() + instant as usize
}
