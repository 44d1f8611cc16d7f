//! Workflow definitions, runs, conversations and the routing queue, as pure logic.
//!
//! The crate is pure: no clock, no IO, no randomness, no async. Time is an argument, and ids are generated outside.
//! Start at [`run::Run`]: a [`run::RunCommand`] is decided into [`run::RunEvent`]s, events are folded into state, and
//! [`run::Effect`]s are derived from state, so a crash loses none of them.
//!
//! Deliberately absent: services, storage formats, HTTP. Effects are performed by other crates.

// The state machines.
pub mod conversation;
pub mod routing;
pub mod run;

// Definitions, the graphs they compile to, and their schedules.
pub mod bundle;
pub mod definition;
pub mod graph;
pub mod triggers;

// Plain types that all crates share.
pub mod actor;
pub mod agent;
pub mod fault;
pub mod id;
pub mod model;
pub mod money;
pub mod time;
pub mod tool;
pub mod trace;

// The audit trail, and statistics for people.
pub mod audit;
pub mod kpi;
pub mod usage;

// Finds and removes personal data.
pub mod identifier;
pub mod redact;

// General algorithms, which know nothing about workflows.
pub mod canonical;
pub mod circuit;
pub mod friendly_error;
pub mod lru_cache;
mod scan;
pub mod structured;

// Deliberate faults that the simulation must find.
pub mod mutant;
