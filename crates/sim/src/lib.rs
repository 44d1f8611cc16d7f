//! Deterministic simulation with fault injection, in-memory fakes, and the conformance suites for ports.
//!
//! - [`fake`]: an in-memory store behind the ports, for all tests.
//! - [`null_ports`]: ports without an implementation.
//! - [`conformance`]: what every implementation of a port must do.
//! - [`simulation`]: one seed's world. It drives the same [`RunOwner`](baton_engine::owner::RunOwner) and
//!   [`Dispatcher`](baton_engine::dispatcher::Dispatcher) as the product, in virtual time, single-threaded, and injects
//!   faults that no real machine could be made to have.
//! - [`scenario`]: written, readable sequences of events, played in the same world.
//! - [`model`]: the replies of a shipped agent's model, turn by turn.
//! - [`conversation_plan`]: customers, their messages, and the human agents of a routing queue.
//! - [`oracle`]: what must hold whatever goes wrong, judged from the journal and from the requests to the services.
//!
//! Deliberately absent: the asynchronous shell of the engine and the real stores. They have their own tests; this crate
//! covers everything that makes decisions.

pub mod aggregate_task;
pub mod case;
pub mod conformance;
pub mod conversation_plan;
pub mod coverage;
pub mod draw;
pub mod fake;
pub mod model;
pub mod null_ports;
pub mod oracle;
pub mod process;
pub mod rng;
pub mod sandbox;
pub mod scenario;
pub mod seed_search;
pub mod services;
pub mod sim_queue;
pub mod sim_thinker;
pub mod simulation;
