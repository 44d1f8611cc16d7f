//! Erasing a customer: everything about one person, from every store. The API and the command line share it.
//!
//! The order makes it repeatable. What runs is ended first; then runs and conversations are marked, which nobody can undo;
//! then everything beside them goes, and their own contents last. The contact, which says what else the person is called,
//! goes at the very end. Whatever was interrupted, the same request finds what is left and finishes it.

mod export;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use baton_core::audit::{Administered, IDENTIFIER_CHARS_MIN, mentions};
use baton_core::bundle::Hash;
use baton_core::conversation::{Command, Owner, State, Status};
use baton_core::id::{RunId, TenantId};
use baton_core::run::Incoming;
use baton_core::time::Time;
use baton_engine::Engine;
use baton_ports::audit::{Audit, Person};
use baton_ports::clock::Clock;
use baton_ports::erasure::{Belonging, Cleared, Erasure, Marked, Names, Remainder, is_below};
use baton_ports::index::Collection;
use baton_ports::journal::{self, Kind};
use baton_ports::memory::{self, Forgotten, Knowledge, Memory, Unkept};
use baton_ports::read::Read;
use baton_ports::records::{self, OPS_MAX, Op, Record, Records};
use serde_json::{Map, Value, json};

/// A database of at most so many bytes is written anew after an erasure; in a larger one, deleted rows are overwritten in
/// place, and `baton customers erase ID --vacuum` does the rest.
pub const VACUUM_BYTES_MAX: u64 = 256 << 20;
/// How long what runs may take to end.
const ENDS_WITHIN: Duration = Duration::from_secs(30);
const GLANCE: Duration = Duration::from_millis(100);
/// Erasures that are kept in mind: what was erased, by kind, never of whom.
const SPACE: &str = "erased_customer";
/// Rows that one batch deletes: each takes up to four operations.
const DELETED_AT_ONCE: usize = OPS_MAX / 4;
/// Rows read at once.
const PAGE: usize = 500;
const SCHEDULES: &str = "schedule";
/// Where each of them stands, by its name.
const SCHEDULE_STATE: &str = "schedule_state";
/// How often a page of records is read anew because somebody changed one of it.
const TRIES_MAX: usize = 10;
/// The contact itself, which goes last.
const CONTACTS: &str = "contacts";
/// What tells whether a call was made: rows of other people's runs stay, or a call of theirs could be made twice.
const OF_CALLS: [&str; 3] = ["effects", "sent_to", "contacts_before"];
/// What is kept by these names is nobody's in particular: settings, secrets, cursors. Memory has a way of its own.
const NOT_PERSONAL: [&str; 20] = [
    "secrets",
    "hook_secret",
    "subscription_secret",
    "source",
    "setting",
    "tenant",
    "tier_rate",
    "upkeep",
    "ready",
    "agents",
    "agent_health",
    "subscription",
    "hook",
    "webhook_cursor",
    "closed_conversation_cursor",
    "payment_balances",
    "script_turns",
    SCHEDULE_STATE,
    SPACE,
    "memory.forgotten",
];
/// Fields that name a customer.
const CUSTOMER_FIELDS: [&str; 9] =
    ["user_id", "user", "customer_id", "customer", "patient_id", "patient", "contact_id", "person_id", "client_id"];
/// Where a result names the record it made.
const MADE: [&str; 6] = ["calendar", "calendar_placed", "calendar_lease", "tickets", "payments", "refunds"];

/// What the customer's data lie behind.
pub struct Customers<'a> {
    pub engine: &'a Engine,
    pub read: &'a dyn Read,
    pub records: &'a dyn Records,
    pub audit: &'a dyn Audit,
    pub memory: &'a dyn Memory,
    pub knowledge: &'a dyn Knowledge,
    pub erasure: &'a dyn Erasure,
    pub clock: &'a dyn Clock,
}

/// Who is to be erased, and by whom.
#[derive(Clone, Debug)]
pub struct Wish {
    pub id: String,
    /// Mail addresses, phone numbers and names they are called by, beside those of their contact.
    pub also: Vec<String>,
    /// What runs is cancelled and what is open is resolved first.
    pub end_runs: bool,
    /// A database of at most so many bytes is written anew; [`VACUUM_BYTES_MAX`] unless told.
    pub vacuum_bytes_max: u64,
    pub by: String,
    pub key_id: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing was erased.
    #[error("{}", live(.0))]
    Live(Vec<Belonging>),
    #[error(transparent)]
    Journal(#[from] journal::Error),
    #[error(transparent)]
    Records(#[from] records::Error),
    #[error(transparent)]
    Memory(#[from] memory::Error),
    #[error(transparent)]
    Knowledge(#[from] Unkept),
    #[error(transparent)]
    Engine(#[from] baton_engine::Error),
    #[error("a record changes again and again while it is being erased; try again")]
    Changing,
}

fn live(all: &[Belonging]) -> String {
    let shown: Vec<String> = all.iter().take(10).map(|one| format!("`{}` ({})", one.id, one.state)).collect();
    let more = if all.len() > shown.len() { ", …" } else { "" };
    format!("{} of this customer's have not ended: {}{more}; nothing was erased", all.len(), shown.join(", "))
}

/// What was deleted, by kind.
#[derive(Clone, Debug, Default)]
struct Counts {
    executions: u64,
    conversations: u64,
    cleared: Cleared,
    audit_rows: u64,
    /// Of tools, kept for a while for whoever asks the same.
    answers: u64,
    records: BTreeMap<String, u64>,
    forgotten: Forgotten,
}

impl Counts {
    fn add(&mut self, cleared: Cleared) {
        let all = &mut self.cleared;
        all.entries += cleared.entries;
        all.inbox += cleared.inbox;
        all.snapshots += cleared.snapshots;
        all.desk_items += cleared.desk_items;
        all.decisions += cleared.decisions;
    }

    fn as_json(&self) -> Value {
        json!({
            "executions": self.executions, "conversations": self.conversations,
            "journal_entries": self.cleared.entries, "inbox_items": self.cleared.inbox,
            "snapshots": self.cleared.snapshots, "desk_items": self.cleared.desk_items,
            "model_decisions": self.cleared.decisions, "audit_rows": self.audit_rows,
            "cached_answers": self.answers, "records": self.records, "memory": self.forgotten,
        })
    }

    fn is_nothing(&self) -> bool {
        let of_memory = serde_json::to_value(self.forgotten).unwrap_or_default();
        let remembered =
            of_memory.as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum::<u64>();
        self.executions + self.conversations + self.cleared.entries + self.audit_rows + remembered == 0
            && self.records.is_empty()
    }
}

impl Customers<'_> {
    /// Erases a person. The answer has what was erased by kind and count, and never who it was but for the id that was asked
    /// for.
    pub async fn erase(&self, tenant: &TenantId, wish: Wish) -> Result<Value, Error> {
        let person = self.person(tenant, &wish.id, &wish.also).await?;
        let mut found = self.belongings(tenant, &person).await?;
        let ended = self.end_live(tenant, &person, &wish, &mut found).await?;
        let now = self.clock.now();
        let mut counts = Counts::default();
        let mut names: Names = self.erasure.marked(tenant, Remainder::Tombstone, None).await?.into_iter().collect();
        // Those that others began come before those that began them: what is left after a crash is found from above.
        for one in found.values().rev() {
            match self.erasure.mark(tenant, &one.id, Remainder::Tombstone, now).await? {
                Marked::Done if one.kind == Kind::Conversation => counts.conversations += 1,
                Marked::Done => counts.executions += 1,
                Marked::Absent => {}
                Marked::Live => return Err(Error::Live(vec![one.clone()])),
            }
            names.insert(one.id.clone());
        }
        let made = self.made(tenant, &names).await?;
        let whose = Whose { person: &person, names: &names, made: &made };
        // What is named after them goes below, and its name stands in rows about whoever made it.
        let named = self.named(tenant, &whose).await?;
        let also = identifiers(&person).into_iter().chain(named).collect();
        let of_trail = Person { runs: names.clone(), also, ..person.clone() };
        counts.audit_rows = self.audit.erase(tenant, &of_trail, &wish.by, now).await?;
        self.forget(tenant, &person, &names, &mut counts).await?;
        loop {
            let cleared = self.erasure.clear_answers(tenant).await?;
            counts.answers += cleared;
            if cleared == 0 {
                break;
            }
        }
        self.sweep(tenant, &whose, &mut counts).await?;
        for id in names.iter().rev() {
            loop {
                let cleared = self.erasure.clear(tenant, id).await?;
                counts.add(cleared);
                if !cleared.more {
                    break;
                }
            }
        }
        self.contact(tenant, &person, &mut counts).await?;
        self.note(tenant, &wish, &counts, now).await?;
        let file = self.erasure.scrub(wish.vacuum_bytes_max).await?;
        Ok(json!({
            "customer_id": wish.id, "erased_at": now.to_string(), "also_known_by": person.also.len(), "ended": ended,
            "erased": counts.as_json(), "forgotten": counts.forgotten, "erased_audit_rows": counts.audit_rows,
            "file": file,
        }))
    }

    /// What was erased of whoever was called so, and when; nothing where nobody was.
    pub async fn erased(&self, tenant: &TenantId, id: &str) -> Result<Option<Value>, Error> {
        Ok(self.records.get(tenant, SPACE, &digest(id)).await?.map(|record| record.value))
    }

    async fn person(&self, tenant: &TenantId, id: &str, also: &[String]) -> Result<Person, Error> {
        let known = self.knowledge.identifiers(tenant, id).await?;
        let also: BTreeSet<String> = also.iter().cloned().chain(known).filter(|known| known != id).collect();
        Ok(Person { id: id.to_owned(), also: also.into_iter().collect(), ..Person::default() })
    }

    /// Their runs and conversations, with all that these began.
    async fn belongings(&self, tenant: &TenantId, person: &Person) -> Result<BTreeMap<RunId, Belonging>, Error> {
        let (mut all, mut after) = (BTreeMap::new(), Some(0));
        while let Some(behind) = after {
            let (page, next) = self.erasure.begun_for(tenant, person, behind).await?;
            for one in page {
                for below in self.erasure.family(tenant, &one.id).await? {
                    all.insert(below.id.clone(), below);
                }
            }
            after = next;
            // Whoever works has the processor in between.
            tokio::task::yield_now().await;
        }
        Ok(all)
    }

    /// Ends what has not ended, where that is wished; and says what that was.
    async fn end_live(
        &self,
        tenant: &TenantId,
        person: &Person,
        wish: &Wish,
        found: &mut BTreeMap<RunId, Belonging>,
    ) -> Result<Vec<RunId>, Error> {
        let of = |found: &BTreeMap<RunId, Belonging>| -> Vec<Belonging> {
            found.values().filter(|one| one.live).cloned().collect()
        };
        let mut live = of(found);
        if live.is_empty() {
            return Ok(Vec::new());
        }
        if !wish.end_runs {
            return Err(Error::Live(live));
        }
        let ended = live.iter().map(|one| one.id.clone()).collect();
        let until = tokio::time::Instant::now() + ENDS_WITHIN;
        let mut told = BTreeSet::new();
        while !live.is_empty() {
            for one in &live {
                self.end(tenant, one, &wish.by, &mut told).await?;
            }
            if tokio::time::Instant::now() > until {
                return Err(Error::Live(live));
            }
            tokio::time::sleep(GLANCE).await;
            *found = self.belongings(tenant, person).await?;
            live = of(found);
        }
        Ok(ended)
    }

    /// Each state is told once what ends it.
    async fn end(
        &self,
        tenant: &TenantId,
        one: &Belonging,
        by: &str,
        told: &mut BTreeSet<(RunId, String)>,
    ) -> Result<(), Error> {
        if !told.insert((one.id.clone(), one.state.clone())) {
            return Ok(());
        }
        let command_id = format!("erase/{}/{}", self.clock.now().as_ms(), one.state);
        if one.kind == Kind::Run {
            let cancel = Incoming::Cancel { by: by.to_owned(), compensate: false };
            return Ok(self.engine.submit(tenant, &one.id, &command_id, &cancel).await.map(drop)?);
        }
        // One that is closed has only something left to handle.
        let open = self.read.conversation(tenant, &one.id).await?.filter(|head| head.state.status() != Status::Closed);
        let Some(head) = open else { return Ok(()) };
        let owner = match head.owner {
            Owner::Person(_) => head.person.unwrap_or_else(|| by.to_owned()),
            Owner::Ai | Owner::Nobody => by.to_owned(),
        };
        let mut commands = Vec::new();
        if !matches!(head.state, State::PendingHuman | State::HumanActive | State::Handover) {
            commands.push(Command::TakeOver { by: owner.clone() });
        }
        commands.push(Command::Resolve { by: owner });
        for (place, command) in commands.iter().enumerate() {
            let payload = serde_json::to_vec(command).map_err(baton_engine::Error::from)?.into();
            self.engine.send(tenant, &one.id, &format!("{command_id}/{place}"), payload, None).await?;
        }
        Ok(())
    }

    /// Memory: threads, what is known of them, what agents did for them.
    async fn forget(
        &self,
        tenant: &TenantId,
        person: &Person,
        names: &Names,
        counts: &mut Counts,
    ) -> Result<(), Error> {
        for name in names {
            for (of, count) in [
                (Collection::Conversations, &mut counts.forgotten.conversations),
                (Collection::Executions, &mut counts.forgotten.executions),
            ] {
                *count += u64::from(self.memory.remove(tenant, of, name.as_str()).await?);
            }
        }
        for called in person.names() {
            let Forgotten { threads, messages, knowledge, conversations, executions } =
                self.knowledge.forget(tenant, called).await?;
            let all = &mut counts.forgotten;
            all.threads += threads;
            all.messages += messages;
            all.knowledge += knowledge;
            all.conversations += conversations;
            all.executions += executions;
        }
        Ok(())
    }

    /// Keys of bookings, tickets and payments that their runs made, as the results of their calls say.
    async fn made(&self, tenant: &TenantId, names: &Names) -> Result<BTreeSet<String>, Error> {
        let mut made = BTreeSet::new();
        for name in names {
            let (prefix, mut after) = (format!("{name}/"), None::<String>);
            loop {
                let page = self.records.list(tenant, OF_CALLS[0], &prefix, after.as_deref(), PAGE).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.key.clone());
                for record in &page {
                    ids_of(&record.value["output"], &mut made);
                }
            }
        }
        Ok(made)
    }

    /// Names of documents about them, and of schedules that are theirs.
    async fn named(&self, tenant: &TenantId, whose: &Whose<'_>) -> Result<Vec<String>, Error> {
        let mut named = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.memory.documents(tenant, Collection::Knowledge, after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.name.clone());
            let about = |subject: &Option<String>| whose.person.names().any(|name| subject.as_deref() == Some(name));
            named.extend(page.into_iter().filter(|head| about(&head.subject)).map(|head| head.name));
        }
        let mut after: Option<String> = None;
        loop {
            let page = self.records.list(tenant, SCHEDULES, "", after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            named.extend(page.into_iter().filter(|record| whose.owns(record)).map(|record| record.key));
        }
        named.retain(|name| name.chars().count() >= IDENTIFIER_CHARS_MIN);
        Ok(named)
    }

    /// Deletes small records that are theirs. Rows of calls go last: they say what was made.
    async fn sweep(&self, tenant: &TenantId, whose: &Whose<'_>, counts: &mut Counts) -> Result<(), Error> {
        for of_calls in [false, true] {
            let (mut after, mut tries) = (None, 0);
            loop {
                let page = self.erasure.records_of_all(tenant, after.clone()).await?;
                let Some(last) = page.last() else { break };
                let next = Some((last.space.clone(), last.key.clone()));
                let is_due = |record: &&Record| OF_CALLS.contains(&&*record.space) == of_calls && whose.owns(record);
                let theirs: Vec<&Record> = page.iter().filter(is_due).collect();
                match self.delete(tenant, &theirs, counts).await {
                    Ok(()) => (after, tries) = (next, 0),
                    // Somebody changed one of them: the page is read anew.
                    Err(Error::Records(records::Error::Conflict { .. })) if tries < TRIES_MAX => tries += 1,
                    Err(Error::Records(records::Error::Conflict { .. })) => return Err(Error::Changing),
                    Err(error) => return Err(error),
                }
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    async fn delete(&self, tenant: &TenantId, all: &[&Record], counts: &mut Counts) -> Result<(), Error> {
        for some in all.chunks(DELETED_AT_ONCE) {
            let ops = some.iter().flat_map(|record| {
                let (space, key) = (record.space.clone(), record.key.clone());
                let expect = Op::Expect { space: space.clone(), key: key.clone(), version: Some(record.version) };
                let state =
                    (space == SCHEDULES).then(|| Op::Delete { space: SCHEDULE_STATE.to_owned(), key: key.clone() });
                let gone = Op::Delete { space: space.clone(), key: key.clone() };
                [expect, gone, Op::FreeRange { space, key }].into_iter().chain(state)
            });
            self.records.commit(tenant, ops.collect(), self.clock.now()).await?;
            for record in some {
                *counts.records.entry(record.space.clone()).or_default() += 1;
            }
        }
        Ok(())
    }

    /// The contact itself, under each of their names.
    async fn contact(&self, tenant: &TenantId, person: &Person, counts: &mut Counts) -> Result<(), Error> {
        for called in person.names() {
            if let Some(record) = self.records.get(tenant, CONTACTS, called).await? {
                self.delete(tenant, &[&record], counts).await?;
            }
        }
        Ok(())
    }

    /// Writes down that somebody was erased, by whom and how much, and never who.
    async fn note(&self, tenant: &TenantId, wish: &Wish, counts: &Counts, now: Time) -> Result<(), Error> {
        let key = digest(&wish.id);
        let before = self.records.get(tenant, SPACE, &key).await?;
        if before.is_some() && counts.is_nothing() {
            return Ok(());
        }
        let value = json!({ "erased_at": now.to_string(), "erased": counts.as_json() });
        self.records.commit(tenant, vec![Op::Put { space: SPACE.to_owned(), key, value }], now).await?;
        let (action, key_id) = ("customers.erase".to_owned(), wish.key_id.clone());
        let after = Some(json!({ "customer_id": wish.id }));
        let act = Administered { action, target: None, by: wish.by.clone(), key_id, before: None, after };
        Ok(self.audit.note(act.row(tenant, now)).await?)
    }
}

/// What a record is held against.
struct Whose<'a> {
    person: &'a Person,
    names: &'a Names,
    made: &'a BTreeSet<String>,
}

impl Whose<'_> {
    fn owns(&self, record: &Record) -> bool {
        let Record { space, key, value, .. } = record;
        if NOT_PERSONAL.contains(&&**space) || space.starts_with("memory.") {
            return false;
        }
        let is_of_run = is_below(self.names, key) || says(value, &|text: &str| is_below(self.names, text));
        if OF_CALLS.contains(&&**space) {
            return is_of_run;
        }
        let is_contact = space == CONTACTS && self.person.names().any(|name| name == key);
        let is_made = MADE.contains(&&**space) && self.made.contains(key);
        let is_named = || {
            let text = value.to_string();
            identifiers(self.person).iter().any(|known| mentions(&text, known) || key == known)
        };
        !is_contact && (is_of_run || is_made || is_for(value, &self.person.id) || is_named())
    }
}

/// What a person can be told from others by in running text: mail addresses, phone numbers and names; and their id, where it
/// is no plain word.
fn identifiers(person: &Person) -> Vec<String> {
    let is_distinct = person.id.chars().count() >= IDENTIFIER_CHARS_MIN && !person.id.chars().all(char::is_alphabetic);
    person.also.iter().cloned().chain(is_distinct.then(|| person.id.clone())).collect()
}

/// Whether a field that names a customer names this one.
fn is_for(value: &Value, id: &str) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(name, value)| {
            CUSTOMER_FIELDS.contains(&&*name.to_ascii_lowercase()) && value.as_str() == Some(id) || is_for(value, id)
        }),
        Value::Array(items) => items.iter().any(|item| is_for(item, id)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn says(value: &Value, is_so: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => is_so(text),
        Value::Array(items) => items.iter().any(|item| says(item, is_so)),
        Value::Object(fields) => fields.values().any(|value| says(value, is_so)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Ids in a call's result: `id`, and whatever ends so.
fn ids_of(output: &Value, into: &mut BTreeSet<String>) {
    let fields: Option<&Map<String, Value>> = output.as_object();
    for (name, value) in fields.into_iter().flatten() {
        match value {
            Value::String(id) if name == "id" || name.ends_with("_id") => drop(into.insert(id.clone())),
            Value::Object(_) => ids_of(value, into),
            _ => {}
        }
    }
}

/// Whom an erasure was of, so that it is known again and says nobody's name.
fn digest(id: &str) -> String {
    Hash::of(id.as_bytes()).as_str().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(space: &str, key: &str, value: Value) -> Record {
        Record { space: space.into(), key: key.into(), value, version: 1, at: Time::EPOCH }
    }

    #[test]
    fn records_are_theirs_by_run_by_what_was_made_by_customer_and_by_what_they_are_called() {
        let person = Person { id: "ana".into(), also: vec!["ana@example.com".into()], ..Person::default() };
        let (names, made) = (Names::from([RunId::new("c.1")]), BTreeSet::from(["bk_1".to_owned()]));
        let whose = Whose { person: &person, names: &names, made: &made };
        for theirs in [
            record("effects", "c.1/book/0/0", json!({})),
            record("tickets", "t_1", json!({ "run": "c.1" })),
            record("calendar", "bk_1", json!({})),
            record("tickets", "t_2", json!({ "ticket": { "customer_id": "ana" } })),
            record("outbox", "1", json!({ "message": { "to": ["b@example.com", "Ana <ana@example.com>"] } })),
            record("webhook_dead", "x", json!({ "body": { "data": { "execution_id": "c.1" } } })),
        ] {
            assert!(whose.owns(&theirs), "{theirs:?}");
        }
        for anothers in [
            record("effects", "c.2/book/0/0", json!({ "output": { "to": "ana@example.com" } })),
            record("tickets", "t_3", json!({ "run": "c.10", "ticket": { "subject": "ana" } })),
            record("secrets", "ana", json!({ "customer_id": "ana" })),
            record("contacts", "ana", json!({ "email": "ana@example.com" })),
        ] {
            assert!(!whose.owns(&anothers), "{anothers:?}");
        }
    }
}
