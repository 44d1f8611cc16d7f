//! A seeded world with faults, fakes and the conformance suites for ports.

pub mod conformance;
