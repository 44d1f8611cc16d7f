//! Keeps journals, inboxes, ownership, records, versions, money and what is known of model calls, and decides nothing.
//!
//! The way in is [`sqlite::SqliteStore`]: one value that answers every port of this room ([`JournalStore`], [`ReadModel`],
//! [`RecordStore`], [`WorkflowRegistry`], [`DecisionLog`], [`ModelCircuitStore`], [`BudgetStore`]). It is cheap to clone, and several processes may
//! open one file.
//!
//! What it promises: an answer means *durable* (write-ahead log, `synchronous=FULL`); a batch is written whole or not at
//! all and is refused alone, however many share its commit; a stale owner changes nothing; what cannot be written is
//! never acknowledged. How: one writer thread commits for all, and readers never wait for it.
//!
//! Deliberately absent: any opinion on what a run does. Payloads, states and snapshots are bytes and words here.
//!
//! [`BudgetStore`]: baton_ports::budget::BudgetStore
//! [`ModelCircuitStore`]: baton_ports::circuits::ModelCircuitStore
//! [`DecisionLog`]: baton_ports::decisions::DecisionLog
//! [`JournalStore`]: baton_ports::journal::JournalStore
//! [`ReadModel`]: baton_ports::read::ReadModel
//! [`RecordStore`]: baton_ports::records::RecordStore
//! [`WorkflowRegistry`]: baton_ports::registry::WorkflowRegistry

pub mod sqlite;
