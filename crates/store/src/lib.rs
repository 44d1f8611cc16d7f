//! Stores journals, inboxes, ownership, records, versions, budgets and routing decisions. It makes no decisions.
//!
//! The entry point is [`sqlite::SqliteStore`], opened with [`sqlite::StoreOptions`]: one value that implements every
//! storage port, from [`JournalStore`](baton_ports::journal::JournalStore) to
//! [`RecordStore`](baton_ports::records::RecordStore). It is cheap to clone, and several processes may open one file.
//!
//! Guarantees: an answer means *durable* (write-ahead log, `synchronous=FULL`); a batch is written completely or not at
//! all, and is refused separately, however many batches share its commit; a stale owner changes nothing; what cannot be
//! written is never acknowledged. Implementation: one writer thread commits for all, and readers never wait for it.
//!
//! Deliberately absent: what a run does. Payloads, states and snapshots are bytes and words here.

// The implementation of every storage port.
pub mod sqlite;
