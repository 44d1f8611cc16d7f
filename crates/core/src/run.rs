//! How a run moves: commands are decided into events, events fold into state, effects are derived from state.
//!
//! `decide` folds as it goes: a chain of pure nodes settles inside one call, each seeing what the one before it set.
//! So it takes `&mut self` and leaves the run as if its events had just been applied; a caller whose append fails
//! throws the run away and folds it again from the journal. Folding the returned events into an older copy gives the
//! same state byte for byte, and a test and the simulation hold it to that.
//!
//! # Races, settled
//!
//! | first | then | outcome |
//! | --- | --- | --- |
//! | time-out of `pure`/`read` | | not done: retried or failed |
//! | time-out of `keyed` | | unknown: the same key goes out again, at last a person |
//! | time-out of `keyed` | the next attempt does not act, and may be repeated | unknown still: the same key goes out again |
//! | time-out of `keyed` | the next attempt is stopped by a check | unknown still: a person decides |
//! | time-out of `verify` | | unknown: looked up after the sender's deadline |
//! | time-out of `once` | | unknown: a person decides |
//! | doubt | late `done` | settles the doubt |
//! | a person said `not_done` or `repeat` | late `done` | `ArrivedLate`: joins the saga, undone at once if the run has compensated or its branch lost a race |
//! | cancel | `done` of a call in flight | recorded, joins the saga |
//! | a call asks a person | the same question again | refused as answered; the question stands |
//! | a call asks a person | cancel | dropped, unless an earlier attempt of it may have acted |
//! | pause | `done`, answer, signal | recorded; nothing new goes out; retry timers wait, deadlines do not |
//! | answer | deadline | the answer holds; the deadline finds nothing |
//! | deadline | answer | refused, naming the deadline |
//! | end | signal, answer, cancel | refused, naming the end |

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

/// Raised whenever the fold changes in a way that old snapshots do not show: they are thrown away then. One number for
/// runs, conversations and desks.
pub const FOLD_VERSION: u32 = 9;
/// Events one run may have. At 80 % it is said, at 100 % the run fails under its `on_error`.
pub const EVENTS_MAX: u64 = 500_000;
/// Steps one agent may take in one task.
pub const AGENT_STEPS_MAX: u32 = 250;
/// In what a selection answers: what the tools that it left out would have cost, one call of each, in US dollars.
pub const SAVED_COST_KEY: &str = "saved_cost_usd";
/// Tool calls one agent step or one `tool_requests` list may ask for.
pub const TOOL_REQUESTS_MAX: usize = 64;
/// The variable in which a tool node leaves the envelope of each call that was requested of it, by tool.
pub const TOOL_RESULTS: &str = "tool_results";
/// Subworkflows within subworkflows.
pub const SUBWORKFLOW_DEPTH_MAX: u32 = 16;

#[cfg(test)]
mod tests;
