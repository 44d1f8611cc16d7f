//! The run aggregate: commands are decided into events, events fold into state, and effects are derived from state.
//!
//! `decide` folds as it goes: a chain of pure nodes settles inside one call, and each node sees what the previous one
//! set. So it takes `&mut self` and leaves the run as if its events had just been applied. A caller whose append fails
//! discards the run and folds it again from the journal. Folding the returned events into an older copy gives the same
//! state byte for byte, which a test and the simulation verify.
//!
//! # Races, settled
//!
//! | first | then | outcome |
//! | --- | --- | --- |
//! | time-out of `pure`/`read` | | not done: retried or failed |
//! | time-out of `keyed` | | unknown: the same key is sent again, at last a person decides |
//! | time-out of `keyed` | the next attempt does not act, and may be repeated | still unknown: the same key is resent |
//! | time-out of `keyed` | the next attempt is stopped by a check | still unknown: a person decides |
//! | time-out of `verify` | | unknown: looked up after the sender's deadline |
//! | time-out of `once` | | unknown: a person decides |
//! | doubt | late `done` | settles the doubt |
//! | a person said `not_done` or `repeat` | late `done` | `ArrivedLate`: joins the saga, see below |
//! | cancel | `done` of a call in flight | recorded, joins the saga |
//! | a call asks a person | the same question again | refused as answered; the question stays open |
//! | a call asks a person | cancel | dropped, unless an earlier attempt of it may have acted |
//! | pause | `done`, answer, signal | recorded; nothing new is sent; retry timers wait, deadlines do not |
//! | answer | deadline | the answer counts; the deadline has no effect |
//! | deadline | answer | refused, naming the deadline |
//! | end | signal, answer, cancel | refused, naming the end |
//!
//! An effect that arrived late is undone at once if the run has compensated or its branch lost a race.

mod address;
mod advance;
mod apply;
mod approval;
mod calls;
mod command;
mod decide;
mod decision_maker;
mod drain;
mod effect;
mod envelope;
mod event;
mod fork;
mod human_tasks;
mod nodes;
mod open_waits;
mod pending;
mod refusal;
mod reopen;
mod response;
mod rollback;
mod saga;
mod scope_view;
mod signals;
mod state;
mod summary;

pub use address::{CallId, CallRole, EffectId, NodeAddress, ScopePath};
pub use approval::{Approval, DEADLINE_ACTOR, OnExpiry};
pub use command::{
    CallOutcome, ChildResult, DoubtResolution, HumanDecision, IncomingCommand, MESSAGE, ModelCallError, OwnerDeparture,
    RunCommand, RunOrigin, Signal,
};
pub use decision_maker::{Assignees, DecisionChannel, DecisionMaker};
pub use effect::Effect;
pub use event::{
    AgentWork, BlockReason, CallCompleted, CallOutput, CallScheduled, DoubtFollowUp, DrainReason, EffectRequest,
    HeldResult, HumanPrompt, NodeEnded, NodeOutcome, NodeWait, OutageAction, RunEntry, RunEvent, RunFinished,
    RunForked, RunReopened, RunStarted, UndoAction,
};
pub use fork::entries_before;
pub use human_tasks::{HeldCall, HumanTask};
pub use open_waits::{ApprovalProgress, OpenWait, WaitKind};
pub use refusal::RunRefusal;
pub use response::{detail, response};
pub use saga::{RollbackStep, Saga, UndoProgress};
pub use signals::SIGNALS_MAX;
pub(crate) use signals::{SignalArrival, SignalBuffer};
pub use state::{HoldReason, Run, RunState};
pub use summary::{NodeRow, StepRow, api_status, executed_path, performed_effects, summary, timeline};

/// Version of the fold. It is incremented whenever the fold changes in a way that old snapshots do not reflect; such
/// snapshots are discarded. One number for runs, conversations and routing queues.
pub const FOLD_VERSION: u32 = 9;
/// Maximum number of events of one run. A warning is recorded at 80 %; at 100 % the run fails under its `on_error`.
pub const EVENTS_MAX: u64 = 500_000;
/// Maximum number of steps of one agent in one task.
pub const AGENT_STEPS_MAX: u32 = 250;
/// Key in a selection's output: the cost of the tools that it left out, one call of each, in US dollars.
pub const SAVED_COST_KEY: &str = "saved_cost_usd";
/// Maximum number of tool calls that one agent step or one `tool_requests` list may request.
pub const TOOL_REQUESTS_MAX: usize = 64;
/// The variable in which a tool node stores the envelope of each requested call, by tool.
pub const TOOL_RESULTS: &str = "tool_results";
/// Maximum nesting of subworkflows.
pub const SUBWORKFLOW_DEPTH_MAX: u32 = 16;

#[cfg(test)]
mod tests;
