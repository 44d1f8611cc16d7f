//! The run, held to its rules sentence by sentence.

mod flow;
mod invariants;
mod joins;
mod world;
