//! The run, held to its rules sentence by sentence.

mod agents;
mod calls;
mod children;
mod ends;
mod errors;
mod flow;
mod forks;
mod inputs;
mod invariants;
mod joins;
mod journals;
mod leaves;
mod limits;
mod loops;
mod merges;
mod money;
mod people;
mod programs;
mod random;
mod reopened;
mod rest;
mod sagas;
mod transitions;
mod variables;
mod waits;
mod world;
