//! Taking contents out of the store for good: everything about one person, or what is older than it is kept.
//!
//! An aggregate is erased in two steps. [`ErasureStore::mark`] ends it in one small write: from then on nobody owns it, nothing
//! is appended to it, no message reaches it and its journal is not read any more. [`ErasureStore::clear`] then deletes its rows,
//! a bounded piece at a time. A process that dies in between leaves the mark, and [`ErasureStore::marked`] finds what is left.

use async_trait::async_trait;
use baton_core::id::{RunId, TenantId};
use baton_core::identifier::{PersonMatcher, is_customer_field};
use baton_core::time::Time;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::audit::ErasureSubject;
use crate::journal::{AggregateId, AggregateKind, JournalError};
use crate::records::StoredRecord;

/// A run or a conversation of a person's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SubjectAggregate {
    pub id: AggregateId,
    pub kind: AggregateKind,
    /// The run's or conversation's state, as lists show it.
    pub state: String,
    /// It has not ended, or its inbox holds something that is not handled yet.
    pub live: bool,
    /// Whose conversation it is, as it was begun.
    #[serde(skip)]
    pub user: Option<String>,
}

/// What became of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkResult {
    Done,
    /// It has not ended, or something waits in its inbox; nothing was changed.
    Live,
    /// It is erased already, or there is no such run or conversation of this tenant's.
    Absent,
}

/// What stays of an aggregate once it is cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErasureRemainder {
    /// Its row in lists: ids, version, times, cost and state.
    Tombstone,
    /// Nothing.
    Nothing,
}

/// Rows that one piece deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClearedRows {
    pub entries: u64,
    /// Items of inboxes, and the ids of commands that were taken in.
    pub inbox: u64,
    pub snapshots: u64,
    pub desk_items: u64,
    /// Of which model was asked, and why.
    pub decisions: u64,
    /// There is more to delete.
    pub has_more: bool,
}

/// What became of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ScrubResult {
    /// The database was written anew, so that no page holds what was deleted.
    pub vacuumed: bool,
    /// The write-ahead log was moved into the database and cut to nothing.
    pub log_truncated: bool,
    /// Bytes of the database afterwards.
    pub bytes: u64,
    /// Why copies of what was deleted may still be in the log or in pages that hold nothing any more. Nothing: they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfinished: Option<String>,
}

#[async_trait]
pub trait ErasureStore: Send + Sync {
    /// Runs and conversations that were begun for a person ([`is_begun_for`]), of as many aggregates behind `after` as are
    /// looked at at once; and behind which to go on, unless that was the end. Erased ones are left out.
    async fn begun_for(
        &self,
        tenant: &TenantId,
        person: &ErasureSubject,
        after: i64,
    ) -> Result<(Vec<SubjectAggregate>, Option<i64>), JournalError>;

    /// A run or a conversation itself, and all that it began: runs whose ids begin with its own.
    async fn descendants(&self, tenant: &TenantId, of: &AggregateId) -> Result<Vec<SubjectAggregate>, JournalError>;

    /// Ends an aggregate that is over, so that its contents can be deleted.
    async fn mark(
        &self,
        tenant: &TenantId,
        id: &AggregateId,
        rest: ErasureRemainder,
        at: Time,
    ) -> Result<MarkResult, JournalError>;

    /// A tenant's aggregates that are marked so and not cleared yet, those of before an instant where one is told; what others
    /// began comes before what began it.
    async fn marked(
        &self,
        tenant: &TenantId,
        rest: ErasureRemainder,
        before: Option<Time>,
    ) -> Result<Vec<AggregateId>, JournalError>;

    /// Runs nobody else began, or conversations, that ended before an instant and can go, oldest first, with all that they
    /// began: some of those behind `after`, and behind which to go on, unless that was the end. What waits for a person, what
    /// has not ended in all its parts, and runs of a conversation that is open are left out.
    async fn expired(
        &self,
        tenant: &TenantId,
        kind: AggregateKind,
        before: Time,
        after: Option<(Time, i64)>,
    ) -> Result<(Vec<Vec<AggregateId>>, Option<(Time, i64)>), JournalError>;

    /// Deletes a piece of a marked aggregate. What is deleted is overwritten.
    async fn clear(&self, tenant: &TenantId, id: &AggregateId) -> Result<ClearedRows, JournalError>;

    /// Deletes a piece of the answers of tools that are kept for a tenant; says how many, 0 where none is left. They do not
    /// all say whom they are about, and a tool whose answer has gone is asked again.
    async fn clear_answers(&self, tenant: &TenantId) -> Result<u64, JournalError>;

    /// Takes what these conversations asked for (skills, a language) out of the journal of the tenant's desk, which goes on
    /// without it; says how many entries had some.
    async fn clear_routing(&self, tenant: &TenantId, conversations: &ErasedIds) -> Result<u64, JournalError>;

    /// Forgets how services of a tenant stood whose hosts carry a name of a person's, as far as letters and digits go: what is
    /// forgotten of anybody else's service is found out again. Says how many.
    async fn clear_services(&self, tenant: &TenantId, person: &ErasureSubject) -> Result<u64, JournalError>;

    /// All small records of a tenant in the order of their spaces and keys, behind one of them: a bounded page.
    async fn records_of_all(
        &self,
        tenant: &TenantId,
        after: Option<(String, String)>,
    ) -> Result<Vec<StoredRecord>, JournalError>;

    /// Moves the log into the database and cuts it to nothing; and writes the database anew, where it has at most
    /// `vacuum_bytes_max` bytes. While it is, nobody else writes: they give up after some seconds, and may lose leases. What
    /// of it could not be done now keeps the rest from nothing, and is told ([`ScrubResult::unfinished`]).
    async fn scrub(&self, vacuum_bytes_max: u64) -> Result<ScrubResult, JournalError>;

    /// Gives pages that hold nothing any more back to the file system, at most so many; says how many. None of a database
    /// that was made before it could be done a few pages at a time, until it is vacuumed.
    async fn release_pages(&self, pages_max: u32) -> Result<u64, JournalError>;
}

/// Whether a run or a conversation was begun for a person, as its first entry or its first command says: by its caller, its
/// context or its input. A field that names a customer ([`is_customer_field`], or `person`) has the person's id as its whole
/// value, or any field has one of their other identifiers as its whole value, however that is written. Lists are not looked
/// into: one of many is not whom it is for. But a run that is one call of a tool is for whom its arguments name.
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
