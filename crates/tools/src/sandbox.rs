//! Python that an agent wrote, run where it can reach nothing.
//!
//! [`SandboxPool`] answers the port [`Sandbox`](baton_ports::sandbox::Sandbox). Each program runs in a child process of our own
//! binary that has given up what it could do harm with before it reads a program (`child/confine.rs`), inside an
//! interpreter that knows no files, no network and no clock. The two sides exchange frames over the child's standard
//! input and output (`frame.rs`).
//!
//! A child is never believed: whatever it answers is checked here (`verdict.rs`) against what the program was granted,
//! so a program that broke out of the interpreter could still only ask for the tools it had, as often as it might. The
//! snapshot of a paused program is closed with a seal on this side (`seal.rs`), and what it may do after its pause
//! stands inside the seal, out of the child's reach.
//!
//! Deliberately absent: tools that are performed from here. A call leaves as a request and comes back as a result.

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
