//! Keeps journals, inboxes, ownership, records, versions, money and what is known of model calls, and decides nothing.
//!
//! The way in is [`sqlite::Store`]: one value that answers every port of this room ([`Journal`], [`Read`],
//! [`Records`], [`Registry`], [`Decisions`], [`Circuits`], [`Budget`]). It is cheap to clone, and several processes may
//! open one file.
//!
//! What it promises: an answer means *durable* (write-ahead log, `synchronous=FULL`); a batch is written whole or not at
//! all and is refused alone, however many share its commit; a stale owner changes nothing; what cannot be written is
//! never acknowledged. How: one writer thread commits for all, and readers never wait for it.
//!
//! Deliberately absent: any opinion on what a run does. Payloads, states and snapshots are bytes and words here.
//!
//! [`Budget`]: baton_ports::budget::Budget
//! [`Circuits`]: baton_ports::circuits::Circuits
//! [`Decisions`]: baton_ports::decisions::Decisions
//! [`Journal`]: baton_ports::journal::Journal
//! [`Read`]: baton_ports::read::Read
//! [`Records`]: baton_ports::records::Records
//! [`Registry`]: baton_ports::registry::Registry

pub mod sqlite;
