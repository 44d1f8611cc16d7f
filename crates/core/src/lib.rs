//! Workflow definitions, runs, conversations and the routing queue, as pure logic.
//!
//! The crate is pure: no clock, no IO, no randomness, no async. Time is an argument, and ids are generated outside.
//! Start at [`run::Run`]: a [`run::RunCommand`] is decided into [`run::RunEvent`]s, events are folded into state, and
//! [`run::Effect`]s are derived from state, so a crash loses none of them.
//!
//! Deliberately absent: services, storage formats, HTTP. Effects are performed by other crates.

pub mod actor;
pub mod agent;
pub mod audit;
pub mod bundle;
pub mod canonical;
pub mod circuit;
pub mod conversation;
pub mod definition;
pub mod fault;
pub mod friendly_error;
pub mod graph;
pub mod id;
pub mod identifier;
pub mod kpi;
pub mod lru_cache;
pub mod model;
pub mod money;
pub mod mutant;
pub mod redact;
pub mod routing;
pub mod run;
mod scan;
pub mod structured;
pub mod time;
pub mod tool;
pub mod trace;
pub mod triggers;
pub mod usage;
