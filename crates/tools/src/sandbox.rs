//! Runs Python that an agent wrote, isolated from everything.
//!
//! [`SandboxPool`] implements the port [`Sandbox`](baton_ports::sandbox::Sandbox). Each program runs in a child
//! process of Baton's own binary. The child drops every dangerous capability before it reads a program
//! (`child/confine.rs`), and runs it in an interpreter that has no files, no network and no clock. The two processes
//! exchange frames over the child's standard input and output (`frame.rs`).
//!
//! A child is never trusted: every response is checked here (`segment_result.rs`) against what the program was
//! granted. A program that escaped the interpreter could still only request the tools it was granted, within its
//! limit of calls. The snapshot of a paused program is sealed in this process (`seal.rs`). The seal covers what the
//! program may do after its pause, so the child cannot change it.
//!
//! Deliberately absent: performing tools. A call leaves as a request and returns as a result.

mod awaits;
pub mod child;
mod config;
mod exchange_error;
mod fault;
mod frame;
mod function_names;
mod pool;
mod seal;
mod segment;
mod segment_result;
mod worker;

pub use config::SandboxConfig;
pub use pool::{SandboxPool, SandboxProbe};
