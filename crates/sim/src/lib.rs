//! Deterministic simulation with fault injection, in-memory fakes, and the conformance suites for ports.
//!
//! Start at [`simulation::Simulation`], which plays one [`case::SimCase`]; [`oracle::SimOracle`] judges it. Tests of
//! other crates use [`fake::FakeStore`].
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

// One seed: what it decides, the world it sets in motion, and the verdict.
pub mod case;
pub mod oracle;
pub mod simulation;

// What a seed draws.
pub mod conversation_plan;
pub mod draw;
pub mod rng;

// The processes under test.
pub mod aggregate_task;
pub mod process;
pub mod sim_queue;

// The simulated world outside: agents, models, programs, services.
pub mod model;
pub mod sandbox;
pub mod services;
pub mod sim_thinker;

// Searches over many seeds, and written scenarios.
pub mod coverage;
pub mod scenario;
pub mod seed_search;

// For the tests of other crates: fakes and conformance suites.
pub mod conformance;
pub mod fake;
pub mod null_ports;
