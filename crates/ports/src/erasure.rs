//! Permanent deletion of contents: everything about one person, or what is older than its retention.
//!
//! An aggregate is erased in two steps. [`ErasureStore::mark`] ends it in one small write: from then on it has no
//! owner, nothing is appended to it, no message reaches it and its journal is no longer read. [`ErasureStore::clear`]
//! then deletes its rows, a bounded part at a time. If a process dies in between, the mark remains, and
//! [`ErasureStore::marked`] finds what is left.

use async_trait::async_trait;
use baton_core::id::{RunId, TenantId};
use baton_core::identifier::{PersonMatcher, is_customer_field};
use baton_core::time::Time;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::audit::ErasureSubject;
use crate::journal::{AggregateId, AggregateKind, JournalError};
use crate::records::StoredRecord;

/// A run or a conversation of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SubjectAggregate {
    pub id: AggregateId,
    pub kind: AggregateKind,
    /// The run's or conversation's state, as shown in lists.
    pub state: String,
    /// It has not ended, or its inbox has unprocessed items.
    pub live: bool,
    /// The user of the conversation, as recorded at its start.
    #[serde(skip)]
    pub user: Option<String>,
}

/// The result of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkResult {
    Done,
    /// It has not ended, or its inbox is not empty; nothing was changed.
    Live,
    /// It is erased already, or the tenant has no such run or conversation.
    Absent,
}

/// What remains of an aggregate once it is cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErasureRemainder {
    /// Its row in lists: ids, version, times, cost and state.
    Tombstone,
    /// No row remains.
    Nothing,
}

/// The rows deleted by one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClearedRows {
    pub entries: u64,
    /// Inbox items, and the ids of accepted commands.
    pub inbox: u64,
    pub snapshots: u64,
    pub desk_items: u64,
    /// Model routing decisions.
    pub decisions: u64,
    /// There is more to delete.
    pub has_more: bool,
}

/// The result of scrubbing the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ScrubResult {
    /// The database was vacuumed, so that no page holds deleted data.
    pub vacuumed: bool,
    /// The write-ahead log was checkpointed and truncated.
    pub log_truncated: bool,
    /// Size of the database afterwards, in bytes.
    pub bytes: u64,
    /// Why copies of deleted data may remain in the log or in free pages; `None` if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfinished: Option<String>,
}

#[async_trait]
pub trait ErasureStore: Send + Sync {
    /// Runs and conversations that were started for a person ([`is_begun_for`]), from one page of aggregates after
    /// `after`, and the cursor of the next page, unless this was the last. Erased ones are left out.
    async fn begun_for(
        &self,
        tenant: &TenantId,
        person: &ErasureSubject,
        after: i64,
    ) -> Result<(Vec<SubjectAggregate>, Option<i64>), JournalError>;

    /// A run or a conversation and everything that it started: runs whose ids begin with its id.
    async fn descendants(&self, tenant: &TenantId, of: &AggregateId) -> Result<Vec<SubjectAggregate>, JournalError>;

    /// Marks an aggregate that is over, so that its contents can be deleted.
    async fn mark(
        &self,
        tenant: &TenantId,
        id: &AggregateId,
        rest: ErasureRemainder,
        at: Time,
    ) -> Result<MarkResult, JournalError>;

    /// A tenant's aggregates that have this mark and are not cleared yet, optionally only those from before an instant.
    /// Children come before what started them.
    async fn marked(
        &self,
        tenant: &TenantId,
        rest: ErasureRemainder,
        before: Option<Time>,
    ) -> Result<Vec<AggregateId>, JournalError>;

    /// Root runs, or conversations, that ended before an instant and can be deleted, oldest first, with everything that
    /// they started: one page after `after`, and the cursor of the next page, unless this was the last. Those that wait
    /// for a person, those with a part that has not ended, and runs of an open conversation are left out.
    async fn expired(
        &self,
        tenant: &TenantId,
        kind: AggregateKind,
        before: Time,
        after: Option<(Time, i64)>,
    ) -> Result<(Vec<Vec<AggregateId>>, Option<(Time, i64)>), JournalError>;

    /// Deletes a part of a marked aggregate. Deleted data is overwritten.
    async fn clear(&self, tenant: &TenantId, id: &AggregateId) -> Result<ClearedRows, JournalError>;

    /// Deletes some of a tenant's cached tool answers. Returns how many; 0 if none is left. Not every answer shows whom
    /// it is about, and a tool whose answer was deleted is called again.
    async fn clear_answers(&self, tenant: &TenantId) -> Result<u64, JournalError>;

    /// Removes the requirements of these conversations (skills, a language) from the journal of the tenant's routing
    /// queue, which continues without them. Returns the number of entries that had some.
    async fn clear_routing(&self, tenant: &TenantId, conversations: &ErasedIds) -> Result<u64, JournalError>;

    /// Deletes a tenant's service circuits whose host contains a name of the person, comparing letters and digits only.
    /// A circuit of another service that is deleted too is rebuilt from new calls. Returns how many.
    async fn clear_services(&self, tenant: &TenantId, person: &ErasureSubject) -> Result<u64, JournalError>;

    /// All small records of a tenant, ordered by space and key, after one of them: a bounded page.
    async fn records_of_all(
        &self,
        tenant: &TenantId,
        after: Option<(String, String)>,
    ) -> Result<Vec<StoredRecord>, JournalError>;

    /// Checkpoints and truncates the log, and vacuums the database if it has at most `vacuum_bytes_max` bytes. During a
    /// vacuum no other process can write: writers give up after some seconds, and may lose leases. A step that fails
    /// does not prevent the others, and is reported ([`ScrubResult::unfinished`]).
    async fn scrub(&self, vacuum_bytes_max: u64) -> Result<ScrubResult, JournalError>;

    /// Releases at most `pages_max` free pages to the file system. Returns how many. Releases none of a database that
    /// was created before incremental vacuum was enabled, until it is vacuumed.
    async fn release_pages(&self, pages_max: u32) -> Result<u64, JournalError>;
}

/// Whether a run or a conversation was started for a person, according to the caller, the context or the input in its
/// first entry or command. It was, if a field that names a customer ([`is_customer_field`], or `person`) has the
/// person's id as its whole value, or if any field has one of their other identifiers as its whole value, in any
/// spelling. Lists are not searched: one person of many is not the one it is for. A run that is a single tool call is
/// for the person whom its arguments name.
pub fn is_begun_for(first: &Value, whom: &PersonMatcher) -> bool {
    let events = first.get("events").and_then(Value::as_array).map_or(std::slice::from_ref(first), Vec::as_slice);
    let beginnings = events.iter().filter_map(Value::as_object).flat_map(|event| {
        ["started", "begun", "start", "begin"].into_iter().filter_map(|word| event.get(word)?.as_object())
    });
    let forked = first.pointer("/fork/past/0").is_some_and(|past| is_begun_for(past, whom));
    forked
        || beginnings.into_iter().any(|beginning| {
            let parts = ["caller", "context", "input"].into_iter().filter_map(|name| beginning.get(name)?.as_object());
            let user = beginning.get("user").and_then(Value::as_str);
            let mut all = parts.chain(arguments_of_one_call(beginning));
            user.is_some_and(|user| whom.matches_name(user)) || all.any(|part| is_for(part, false, whom))
        })
}

fn arguments_of_one_call(beginning: &Map<String, Value>) -> Option<&Map<String, Value>> {
    match beginning.get("input")?.get("requests")?.as_array()?.as_slice() {
        [request] => request.get("arguments")?.as_object(),
        _ => None,
    }
}

fn is_for(fields: &Map<String, Value>, of_customer: bool, whom: &PersonMatcher) -> bool {
    fields.iter().any(|(name, value)| {
        let is_person = name.eq_ignore_ascii_case("person");
        let field = if is_person { "person_id" } else { name };
        whom.is_id_in_field(field, of_customer, value)
            || match value {
                Value::String(text) => whom.matches_alias(text),
                Value::Object(fields) => is_for(fields, is_customer_field(field), whom),
                Value::Number(_) => whom.is_phone_in_field(name, value),
                Value::Array(_) | Value::Bool(_) | Value::Null => false,
            }
    })
}

/// Ids of runs and conversations that are being erased.
pub type ErasedIds = std::collections::BTreeSet<RunId>;

/// Whether a text is one of these ids, or is below one of them, as keys of calls and requests are (`RUN/node/0/0`).
pub fn is_below(names: &ErasedIds, text: &str) -> bool {
    let whole = std::iter::once(text);
    let parts = text.match_indices('/').map(|(at, _)| &text[..at]);
    whole.chain(parts).any(|part| names.contains(&RunId::new(part)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whom_a_run_is_for_is_said_by_caller_context_or_input() {
        let ana = PersonMatcher::of("ana", ["ana@example.com", "+34 (612) 345-678", "José Pérez"]);
        let started = |what: Value| json!({ "at": 1, "events": [{ "started": what }] });
        for theirs in [
            started(json!({ "caller": { "user_id": "ana" } })),
            started(json!({ "context": { "customer": { "id": "ana" } } })),
            started(json!({ "input": { "lead": { "email": "Ana@Example.com " } } })),
            started(json!({ "input": { "lead": { "phone": "+34612345678" } } })),
            started(json!({ "input": { "phone": 612_345_678 } })),
            started(json!({ "input": { "name": "JOSE\u{301} PE\u{301}REZ" } })),
            started(json!({ "input": { "customerId": "ana" } })),
            started(json!({ "input": { "requests": [{ "tool": "t", "arguments": { "contact_id": "ana" } }] } })),
            json!({ "start": { "input": { "customer_id": "ana" } } }),
            json!({ "at": 1, "events": [{ "begun": { "user": "ana" } }] }),
            json!({ "fork": { "past": [started(json!({ "input": { "user": "ana" } }))] } }),
        ] {
            assert!(is_begun_for(&theirs, &ana), "{theirs}");
        }
        for anothers in [
            started(json!({ "caller": { "begun_by": "ana" } })),
            started(json!({ "input": { "customers": [{ "customer_id": "ana" }] } })),
            started(json!({ "input": { "id": "ana", "note": "ask ana@example.com" } })),
            json!({ "at": 1, "events": [{ "scheduled": { "input": { "user_id": "ana" } } }] }),
        ] {
            assert!(!is_begun_for(&anothers, &ana), "{anothers}");
        }
        let number = PersonMatcher::of("1500", []);
        assert!(is_begun_for(&started(json!({ "input": { "customer": { "id": 1500 } } })), &number));
        let amount = started(json!({ "input": { "amount": 1500, "total": "1500", "customer": "ana" } }));
        assert!(!is_begun_for(&amount, &number));
    }

    #[test]
    fn keys_of_calls_are_below_their_run() {
        let names = ErasedIds::from([RunId::new("c.1"), RunId::new("c.1/ask/sub")]);
        for text in ["c.1", "c.1/book/0/0", "c.1/ask/sub/x"] {
            assert!(is_below(&names, text), "{text}");
        }
        for text in ["c.10", "c", "x/c.1"] {
            assert!(!is_below(&names, text), "{text}");
        }
    }
}
