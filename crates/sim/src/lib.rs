//! A seeded world with faults, fakes and the conformance suites for ports.
//!
//! - [`fake`]: a store in memory behind the ports, for everybody's tests.
//! - [`null_ports`]: ports that nobody answers.
//! - [`conformance`]: what every implementation of a port must do.
//! - [`simulation`]: one seed's world. It drives the same [`Owner`](baton_engine::owner::RunOwner) and
//!   [`Dispatcher`](baton_engine::dispatcher::Dispatcher) as the product does, in virtual time, single-threaded, and
//!   lets go wrong what no real machine could be made to have.
//! - [`scenario`]: courses of events that are written down to be read, and played in the same world.
//! - [`model`]: what a shipped agent's model says, turn by turn.
//! - [`conversation_plan`]: customers, what they write, and the people of a desk.
//! - [`oracle`]: what must hold whatever goes wrong, judged from the journal and from what the world was asked.
//!
//! Deliberately absent: the asynchronous shell of the engine and the real stores. They have their own tests; here is
//! everything that decides.

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
