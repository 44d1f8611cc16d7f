//! Stores journals, inboxes, ownership, records, versions, budgets and routing decisions. It makes no decisions.
//!
//! The entry point is [`sqlite::SqliteStore`]: one value that implements every port of this crate ([`JournalStore`],
//! [`ReadModel`], [`RecordStore`], [`WorkflowRegistry`], [`DecisionLog`], [`ModelCircuitStore`], [`BudgetStore`]). It
//! is cheap to clone, and several processes may open one file.
//!
//! Guarantees: an answer means *durable* (write-ahead log, `synchronous=FULL`); a batch is written completely or not at
//! all, and is refused separately, however many batches share its commit; a stale owner changes nothing; what cannot be
//! written is never acknowledged. Implementation: one writer thread commits for all, and readers never wait for it.
//!
//! By design the store knows nothing about what a run does. Payloads, states and snapshots are bytes and words here.
//!
//! [`BudgetStore`]: baton_ports::budget::BudgetStore
//! [`ModelCircuitStore`]: baton_ports::circuits::ModelCircuitStore
//! [`DecisionLog`]: baton_ports::decisions::DecisionLog
//! [`JournalStore`]: baton_ports::journal::JournalStore
//! [`ReadModel`]: baton_ports::read::ReadModel
//! [`RecordStore`]: baton_ports::records::RecordStore
//! [`WorkflowRegistry`]: baton_ports::registry::WorkflowRegistry

pub mod sqlite;
