//! Erasing a customer: everything about one person, from every store. The API and the command line share it.
//!
//! The order makes it repeatable. What runs is ended first; then runs and conversations are marked, which nobody can undo;
//! then everything beside them goes, and their own contents last. The contact, which says what else the person is called,
//! goes at the very end. Then the file is scrubbed, of which a note is kept until it was. Whatever was interrupted, the same
//! request finds what is left and finishes it, and so does [`CustomerService::finish_erasures`]: what is marked stays so until all
//! that is tied to it alone is gone.
//!
//! What names somebody is one question with one answer: [`PersonMatcher`].

mod export;
mod pending_erasures;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use baton_core::audit::{AdminAction, AuditEntry};
use baton_core::bundle::ContentHash;
use baton_core::conversation::{ConversationCommand, ConversationOwner, ConversationState, ConversationStatus};
use baton_core::id::{RunId, TenantId};
use baton_core::identifier::{IDENTIFIER_CHARS_MIN, Identifier, PersonMatcher, contains_words};
use baton_core::run::IncomingCommand;
use baton_core::time::Time;
use baton_engine::Engine;
use baton_ports::audit::{AuditFilter, AuditMention, AuditTrail, ErasureSubject, target_of};
use baton_ports::clock::Clock;
use baton_ports::erasure::{
    ClearedRows, ErasedIds, ErasureRemainder, ErasureStore, MarkResult, ScrubResult, SubjectAggregate, is_begun_for,
    is_below,
};
use baton_ports::index::MemoryCollection;
use baton_ports::journal::{self, AggregateKind};
use baton_ports::memory::{self, ForgetResult, ID_BYTES_MAX, KnowledgeError, KnowledgeStore, MemoryStore};
use baton_ports::read::{PAGE_MAX, ReadModel};
use baton_ports::records::{self, OPS_MAX, RecordOp, RecordStore, StoredRecord};
use pending_erasures::PendingScrub;
use serde_json::{Map, Value, json};

/// A database of at most so many bytes is written anew after an erasure; in a larger one, deleted rows are overwritten in
/// place, and `baton customers erase ID --vacuum` does the rest.
pub const VACUUM_BYTES_MAX: u64 = 256 << 20;
/// How long what runs may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Erasures that are kept in mind: what was erased, by kind, never of whom.
const SPACE: &str = "erased_customer";
/// Rows that one batch deletes: each takes up to four operations.
const DELETE_BATCH: usize = OPS_MAX / 4;
/// Rows read at once.
const PAGE: usize = 500;
const SCHEDULES: &str = "schedule";
/// Where each of them stands, by its name.
const SCHEDULE_STATE: &str = "schedule_state";
/// How often a page of records is read anew because somebody changed one of it.
const TRIES_MAX: usize = 10;
/// Items of a list in a record, each of whom it may be about; somebody in a longer one is one of many.
const FEW: usize = 10;
/// Records of each space that are named in an answer, of those that were left.
const REMAINING_LISTED_MAX: usize = 20;
/// The contact itself, which goes last.
const CONTACTS: &str = "contacts";
/// What tells whether a call was made: rows of other people's runs stay, or a call of theirs could be made twice.
const CALL_SPACES: [&str; 3] = ["effects", "sent_to", "contacts_before"];
/// What is kept by these names is nobody's in particular: settings, secrets, cursors. Memory has a way of its own.
const NOT_PERSONAL: [&str; 21] = [
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
    pending_erasures::SPACE,
    "memory.forgotten",
];
/// Where a result names the record it made.
const CREATED_SPACES: [&str; 6] = ["calendar", "calendar_placed", "calendar_lease", "tickets", "payments", "refunds"];

/// What the customer's data lie behind.
pub struct CustomerService<'a> {
    pub engine: &'a Engine,
    pub read: &'a dyn ReadModel,
    pub records: &'a dyn RecordStore,
    pub audit: &'a dyn AuditTrail,
    pub memory: &'a dyn MemoryStore,
    pub knowledge: &'a dyn KnowledgeStore,
    pub erasure: &'a dyn ErasureStore,
    pub clock: &'a dyn Clock,
}

/// Who is to be erased, and by whom.
#[derive(Clone, Debug)]
pub struct ErasureRequest {
    pub id: String,
    /// Mail addresses, phone numbers and names they are called by, beside those of their contact.
    pub aliases: Vec<String>,
    /// What runs is cancelled and what is open is resolved first.
    pub end_runs: bool,
    /// A database of at most so many bytes is written anew; [`VACUUM_BYTES_MAX`] unless told.
    pub vacuum_bytes_max: u64,
    pub by: String,
    pub key_id: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum CustomerError {
    /// Nothing was erased.
    #[error("{}; nothing was erased", still_live_message(.0))]
    StillLive(Vec<SubjectAggregate>),
    /// What had ended is erased, or marked so that nobody reads it; the same request goes on from there.
    #[error("{}; of the rest some is erased already: ask again once these have ended", still_live_message(.0))]
    PartlyErased(Vec<SubjectAggregate>),
    /// No customer can be called so.
    #[error("a customer's id has 1 to {} bytes, and not only spaces", ID_BYTES_MAX)]
    InvalidId,
    #[error(transparent)]
    Journal(#[from] journal::JournalError),
    #[error(transparent)]
    Records(#[from] records::RecordError),
    #[error(transparent)]
    Memory(#[from] memory::MemoryError),
    #[error(transparent)]
    Knowledge(#[from] KnowledgeError),
    #[error(transparent)]
    Engine(#[from] baton_engine::EngineError),
    #[error("a record changes again and again while it is being erased; ask again, and it goes on from there")]
    Changing,
}

fn still_live_message(all: &[SubjectAggregate]) -> String {
    let shown: Vec<String> = all.iter().take(10).map(|one| format!("`{}` ({})", one.id, one.state)).collect();
    let more = if all.len() > shown.len() { ", …" } else { "" };
    format!("{} of this customer's have not ended: {}{more}", all.len(), shown.join(", "))
}

/// What was deleted, by kind.
#[derive(Clone, Debug, Default)]
struct ErasureCounts {
    executions: u64,
    conversations: u64,
    cleared: ClearedRows,
    audit_rows: u64,
    /// Of tools, kept for a while for whoever asks the same.
    answers: u64,
    /// Of a desk's journal, that said what a conversation asks for.
    desk_entries: u64,
    /// Services whose hosts carried a name.
    services: u64,
    records: BTreeMap<String, u64>,
    forgotten: ForgetResult,
    /// Keys of records by their space, some of those that name this person among others and were left.
    left: BTreeMap<String, BTreeSet<String>>,
}

impl ErasureCounts {
    fn add(&mut self, cleared: ClearedRows) {
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
            "cached_answers": self.answers, "desk_entries": self.desk_entries, "services": self.services,
            "records": self.records, "memory": self.forgotten,
        })
    }

    fn is_nothing(&self) -> bool {
        let of_memory = serde_json::to_value(self.forgotten).unwrap_or_default();
        let remembered =
            of_memory.as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum::<u64>();
        let ClearedRows { entries, inbox, snapshots, desk_items, decisions, has_more: _ } = self.cleared;
        let cleared = entries + inbox + snapshots + desk_items + decisions;
        self.executions + self.conversations + cleared + self.audit_rows + self.desk_entries + remembered == 0
            && self.records.is_empty()
    }
}

impl CustomerService<'_> {
    /// Erases a person. The answer has what was erased by kind and count, and never who it was but for the id that was asked
    /// for and the keys of what was left.
    pub async fn erase(&self, tenant: &TenantId, wish: ErasureRequest) -> Result<Value, CustomerError> {
        check_id(&wish.id)?;
        let begun = self.find_pending(tenant, &wish.id).await?;
        let also: Vec<String> = wish.aliases.iter().chain(begun.iter().flat_map(|job| &job.also)).cloned().collect();
        let mut person = self.person(tenant, &wish.id, &also).await?;
        let mut found = self.belongings(tenant, &person).await?;
        let ended = match self.stop_live(tenant, &person, &wish, &mut found).await {
            Err(CustomerError::StillLive(live)) if begun.is_some() => return Err(CustomerError::PartlyErased(live)),
            ended => ended?,
        };
        let now = self.clock.now();
        self.add_spellings(tenant, &mut person, &found).await?;
        let job = self.record_start(tenant, &wish, &person, now).await?;
        let mut counts = ErasureCounts::default();
        let mut names: ErasedIds =
            self.erasure.marked(tenant, ErasureRemainder::Tombstone, None).await?.into_iter().collect();
        let live = self.mark(tenant, &found, &mut names, &mut counts, now).await?;
        let made = self.created_keys(tenant, &names).await?;
        let whose = ErasureScope { person: &person, whom: person.matcher(), names: &names, created_keys: &made };
        let mut of_trail = ErasureSubject { runs: names.clone(), ..person.clone() };
        // What is named after them goes below, and its name stands in rows about whoever made it.
        let named = self.owned_names(tenant, &whose).await?;
        of_trail.targets = self.only_targets(tenant, &of_trail, named).await?;
        counts.audit_rows = self.audit.erase(tenant, &of_trail, &wish.by, now).await?;
        self.forget(tenant, &person, &names, &mut counts).await?;
        loop {
            let cleared = self.erasure.clear_answers(tenant).await?;
            counts.answers += cleared;
            if cleared == 0 {
                break;
            }
        }
        counts.services = self.erasure.clear_services(tenant, &person).await?;
        counts.desk_entries = self.erasure.clear_routing(tenant, &names).await?;
        self.delete_records(tenant, &whose, &mut counts).await?;
        for id in names.iter().rev() {
            loop {
                let cleared = self.erasure.clear(tenant, id).await?;
                counts.add(cleared);
                if !cleared.has_more {
                    break;
                }
            }
        }
        if !live.is_empty() {
            return Err(CustomerError::PartlyErased(live));
        }
        self.delete_contact(tenant, &whose, &mut counts).await?;
        let found = !counts.is_nothing() || begun.is_some();
        let before = self.find_record(tenant, &wish.id).await?;
        if found {
            self.record_erasure(tenant, &wish, &counts, now).await?;
        }
        let erased_at =
            if found { Some(json!(now.to_string())) } else { before.map(|noted| noted["erased_at"].clone()) };
        // The job says who it was, so it goes before the file is scrubbed; that the file is to be is kept until it was.
        let left = self.schedule_scrub(tenant, &wish.id, job).await?;
        let file = self.scrub(tenant, wish.vacuum_bytes_max, left).await?;
        let mut erased = counts.as_json();
        erased["left"] = json!(counts.left);
        Ok(json!({
            "customer_id": wish.id, "found": found, "erased_at": erased_at, "scrubbed": file.unfinished.is_none(),
            "also_known_by": person.other_names.len(), "ended": ended, "erased": erased, "forgotten": counts.forgotten,
            "erased_audit_rows": counts.audit_rows, "file": file,
        }))
    }

    /// Scrubs the file, and takes away the note that it is to be if it was. What cannot be done now is told and done later: all
    /// that was to be deleted is.
    async fn scrub(
        &self,
        tenant: &TenantId,
        vacuum_bytes_max: u64,
        left: Option<PendingScrub>,
    ) -> Result<ScrubResult, CustomerError> {
        let file = match self.erasure.scrub(vacuum_bytes_max).await {
            Ok(file) => file,
            Err(error) => {
                tracing::error!(%tenant, %error, "the file cannot be scrubbed");
                let reason = "the database's file could not be opened, read or written; the log says why";
                ScrubResult { unfinished: Some(reason.to_owned()), ..ScrubResult::default() }
            }
        };
        match (&file.unfinished, left) {
            (Some(reason), _) => tracing::warn!(
                %tenant,
                reason,
                "what was erased is deleted, and copies may be in the log or in freed pages; they are overwritten later"
            ),
            (None, Some(left)) => self.complete_scrub(tenant, left).await?,
            (None, None) => {}
        }
        Ok(file)
    }

    /// What was erased of whoever was called so, and when; nothing where nobody was.
    pub async fn erased(&self, tenant: &TenantId, id: &str) -> Result<Option<Value>, CustomerError> {
        let Some(mut noted) = self.find_record(tenant, id).await? else { return Ok(None) };
        noted["scrubbed"] = json!(!self.is_scrub_pending(tenant, id).await?);
        Ok(Some(noted))
    }

    async fn find_record(&self, tenant: &TenantId, id: &str) -> Result<Option<Value>, CustomerError> {
        Ok(self.records.get(tenant, SPACE, &digest(id)).await?.map(|record| record.value))
    }

    async fn person(&self, tenant: &TenantId, id: &str, also: &[String]) -> Result<ErasureSubject, CustomerError> {
        let known = self.knowledge.identifiers(tenant, id).await?;
        let also: BTreeSet<String> = also.iter().cloned().chain(known).filter(|known| known != id).collect();
        // A number or a short word is others' too, whoever wrote it down as a phone number.
        let also = also.into_iter().filter(|known| Identifier::of(known).is_some()).collect();
        Ok(ErasureSubject { id: id.to_owned(), other_names: also, ..ErasureSubject::default() })
    }

    /// Takes in how they are written where names are looked up as they are written: by conversations and by documents.
    async fn add_spellings(
        &self,
        tenant: &TenantId,
        person: &mut ErasureSubject,
        found: &BTreeMap<RunId, SubjectAggregate>,
    ) -> Result<(), CustomerError> {
        if person.other_names.is_empty() {
            return Ok(());
        }
        let whom = person.matcher();
        let is_new = |name: &String| person.names().all(|known| known != name) && whom.matches_alias(name);
        let mut spelled: BTreeSet<String> = found.values().filter_map(|one| one.user.clone()).filter(&is_new).collect();
        for collection in MemoryCollection::ALL {
            let mut after: Option<String> = None;
            loop {
                let page = self.memory.documents(tenant, collection, after.as_deref(), PAGE).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.name.clone());
                spelled.extend(page.into_iter().filter_map(|head| head.subject).filter(&is_new));
            }
        }
        person.other_names.extend(spelled);
        Ok(())
    }

    /// Their runs and conversations, with all that these began.
    async fn belongings(
        &self,
        tenant: &TenantId,
        person: &ErasureSubject,
    ) -> Result<BTreeMap<RunId, SubjectAggregate>, CustomerError> {
        let (mut all, mut after) = (BTreeMap::new(), Some(0));
        while let Some(behind) = after {
            let (page, next) = self.erasure.begun_for(tenant, person, behind).await?;
            for one in page {
                for below in self.erasure.descendants(tenant, &one.id).await? {
                    all.insert(below.id.clone(), below);
                }
            }
            after = next;
            // Whoever works has the processor in between.
            tokio::task::yield_now().await;
        }
        Ok(all)
    }

    /// Ends what has not ended, where that is wished; and says what that was. While it ends, only that is looked at; what else
    /// has come to life meanwhile is looked for once it has.
    async fn stop_live(
        &self,
        tenant: &TenantId,
        person: &ErasureSubject,
        wish: &ErasureRequest,
        found: &mut BTreeMap<RunId, SubjectAggregate>,
    ) -> Result<Vec<RunId>, CustomerError> {
        let until = tokio::time::Instant::now() + STOP_TIMEOUT;
        let (mut ended, mut told) = (BTreeSet::new(), BTreeSet::new());
        loop {
            let mut live: Vec<SubjectAggregate> = found.values().filter(|one| one.live).cloned().collect();
            if live.is_empty() {
                return Ok(ended.into_iter().collect());
            }
            if !wish.end_runs {
                return Err(CustomerError::StillLive(live));
            }
            ended.extend(live.iter().map(|one| one.id.clone()));
            while !live.is_empty() {
                for one in &live {
                    self.end(tenant, one, &wish.by, &mut told).await?;
                }
                if tokio::time::Instant::now() > until {
                    return Err(CustomerError::StillLive(live));
                }
                tokio::time::sleep(POLL_INTERVAL).await;
                live = self.still_live(tenant, &live).await?;
            }
            *found = self.belongings(tenant, person).await?;
        }
    }

    /// Which of these have not ended, with what they began.
    async fn still_live(
        &self,
        tenant: &TenantId,
        of: &[SubjectAggregate],
    ) -> Result<Vec<SubjectAggregate>, CustomerError> {
        let mut all = BTreeMap::new();
        for one in of {
            let family = self.erasure.descendants(tenant, &one.id).await?;
            all.extend(family.into_iter().filter(|one| one.live).map(|one| (one.id.clone(), one)));
        }
        Ok(all.into_values().collect())
    }

    /// Marks what was found, and answers what has come to life since. Those that others began come before those that began
    /// them, and whatever began something that goes on is left with it: what is left is found from above.
    async fn mark(
        &self,
        tenant: &TenantId,
        found: &BTreeMap<RunId, SubjectAggregate>,
        names: &mut ErasedIds,
        counts: &mut ErasureCounts,
        now: Time,
    ) -> Result<Vec<SubjectAggregate>, CustomerError> {
        let mut live: Vec<SubjectAggregate> = Vec::new();
        for one in found.values().rev() {
            if live.iter().any(|left| is_related_run(&one.id, &left.id)) {
                continue;
            }
            match self.erasure.mark(tenant, &one.id, ErasureRemainder::Tombstone, now).await? {
                MarkResult::Done if one.kind == AggregateKind::Conversation => counts.conversations += 1,
                MarkResult::Done => counts.executions += 1,
                MarkResult::Absent => {}
                MarkResult::Live => {
                    live.push(one.clone());
                    continue;
                }
            }
            names.insert(one.id.clone());
        }
        Ok(live)
    }

    /// Each state is told once what ends it.
    async fn end(
        &self,
        tenant: &TenantId,
        one: &SubjectAggregate,
        by: &str,
        told: &mut BTreeSet<(RunId, String)>,
    ) -> Result<(), CustomerError> {
        if !told.insert((one.id.clone(), one.state.clone())) {
            return Ok(());
        }
        let command_id = format!("erase/{}/{}", self.clock.now().as_ms(), one.state);
        if one.kind == AggregateKind::Run {
            let cancel = IncomingCommand::Cancel { by: by.to_owned(), compensate: false, asked_by: Vec::new() };
            return Ok(self.engine.submit(tenant, &one.id, &command_id, &cancel).await.map(drop)?);
        }
        // One that is closed has only something left to handle.
        let open = self
            .read
            .conversation(tenant, &one.id)
            .await?
            .filter(|head| head.state.status() != ConversationStatus::Closed);
        let Some(head) = open else { return Ok(()) };
        let owner = match head.owner {
            ConversationOwner::Person(_) => head.person.unwrap_or_else(|| by.to_owned()),
            ConversationOwner::Ai | ConversationOwner::Nobody => by.to_owned(),
        };
        let mut commands = Vec::new();
        if !matches!(
            head.state,
            ConversationState::PendingHuman | ConversationState::HumanActive | ConversationState::Handover
        ) {
            commands.push(ConversationCommand::TakeOver { by: owner.clone() });
        }
        commands.push(ConversationCommand::Resolve { by: owner });
        for (place, command) in commands.iter().enumerate() {
            let payload = serde_json::to_vec(command).map_err(baton_engine::EngineError::from)?.into();
            self.engine.submit_payload(tenant, &one.id, &format!("{command_id}/{place}"), payload, None).await?;
        }
        Ok(())
    }

    /// Memory: threads, what is known of them, what agents did for them.
    async fn forget(
        &self,
        tenant: &TenantId,
        person: &ErasureSubject,
        names: &ErasedIds,
        counts: &mut ErasureCounts,
    ) -> Result<(), CustomerError> {
        for name in names {
            for (of, count) in [
                (MemoryCollection::Conversations, &mut counts.forgotten.conversations),
                (MemoryCollection::Executions, &mut counts.forgotten.executions),
            ] {
                *count += u64::from(self.memory.remove(tenant, of, name.as_str()).await?);
            }
        }
        for called in person.names() {
            let ForgetResult { threads, messages, knowledge, conversations, executions } =
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
    async fn created_keys(&self, tenant: &TenantId, names: &ErasedIds) -> Result<BTreeSet<String>, CustomerError> {
        let mut made = BTreeSet::new();
        for name in names {
            let (prefix, mut after) = (format!("{name}/"), None::<String>);
            loop {
                let page = self.records.list(tenant, CALL_SPACES[0], &prefix, after.as_deref(), PAGE).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.key.clone());
                for record in &page {
                    collect_ids(&record.value["output"], &mut made);
                }
            }
        }
        Ok(made)
    }

    /// Names of documents about them, and of schedules that are theirs.
    async fn owned_names(&self, tenant: &TenantId, whose: &ErasureScope<'_>) -> Result<Vec<String>, CustomerError> {
        let mut named = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.memory.documents(tenant, MemoryCollection::Knowledge, after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.name.clone());
            let about = |subject: &Option<String>| subject.as_deref().is_some_and(|name| whose.whom.matches_name(name));
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

    /// Those of these names that the trail has as targets of administration and nowhere else: a name that is a word in somebody
    /// else's row too, which may be about something else that is called so, is left in all of them.
    async fn only_targets(
        &self,
        tenant: &TenantId,
        of_trail: &ErasureSubject,
        mut named: Vec<String>,
    ) -> Result<BTreeSet<String>, CustomerError> {
        let (mut cursor, all, whom) = (Some(0), named.len(), of_trail.matcher());
        while let (Some(_), false) = (cursor, named.is_empty()) {
            let filter = AuditFilter { cursor, limit: PAGE_MAX, ..AuditFilter::default() };
            let page = self.audit.trail(tenant, filter).await?;
            cursor = page.last().map(|entry| entry.seq);
            for entry in page.iter().filter(|entry| entry.erased_at.is_none() && !is_about(entry, of_trail, &whom)) {
                named.retain(|name| !mentions_elsewhere(entry, name));
            }
        }
        if named.len() < all {
            let left = all - named.len();
            tracing::info!(%tenant, left, "names of what was an erased customer's are words of others' audit rows, and stay");
        }
        Ok(named.into_iter().collect())
    }

    /// Deletes small records that are theirs. Rows of calls go last: they say what was made.
    async fn delete_records(
        &self,
        tenant: &TenantId,
        whose: &ErasureScope<'_>,
        counts: &mut ErasureCounts,
    ) -> Result<(), CustomerError> {
        for of_calls in [false, true] {
            let (mut after, mut tries) = (None, 0);
            loop {
                let page = self.erasure.records_of_all(tenant, after.clone()).await?;
                let Some(last) = page.last() else { break };
                let next = Some((last.space.clone(), last.key.clone()));
                let mut theirs = Vec::new();
                for record in page.iter().filter(|record| CALL_SPACES.contains(&&*record.space) == of_calls) {
                    match whose.relation(record) {
                        RecordRelation::Owned => theirs.push(record),
                        RecordRelation::Shared => {
                            let left = counts.left.entry(record.space.clone()).or_default();
                            if left.len() < REMAINING_LISTED_MAX {
                                left.insert(record.key.clone());
                            }
                        }
                        RecordRelation::Unrelated => {}
                    }
                }
                match self.delete(tenant, &theirs, counts).await {
                    Ok(()) => (after, tries) = (next, 0),
                    // Somebody changed one of them: the page is read anew.
                    Err(CustomerError::Records(records::RecordError::Conflict { .. })) if tries < TRIES_MAX => {
                        tries += 1
                    }
                    Err(CustomerError::Records(records::RecordError::Conflict { .. })) => {
                        return Err(CustomerError::Changing);
                    }
                    Err(error) => return Err(error),
                }
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    async fn delete(
        &self,
        tenant: &TenantId,
        all: &[&StoredRecord],
        counts: &mut ErasureCounts,
    ) -> Result<(), CustomerError> {
        for some in all.chunks(DELETE_BATCH) {
            let ops = some.iter().flat_map(|record| {
                let (space, key) = (record.space.clone(), record.key.clone());
                let expect = RecordOp::Expect { space: space.clone(), key: key.clone(), version: Some(record.version) };
                let state = (space == SCHEDULES)
                    .then(|| RecordOp::Delete { space: SCHEDULE_STATE.to_owned(), key: key.clone() });
                let gone = RecordOp::Delete { space: space.clone(), key: key.clone() };
                [expect, gone, RecordOp::FreeRange { space, key }].into_iter().chain(state)
            });
            self.records.commit(tenant, ops.collect(), self.clock.now()).await?;
            for record in some {
                *counts.records.entry(record.space.clone()).or_default() += 1;
            }
        }
        Ok(())
    }

    /// The contact itself, under each of their names, however they are written.
    async fn delete_contact(
        &self,
        tenant: &TenantId,
        whose: &ErasureScope<'_>,
        counts: &mut ErasureCounts,
    ) -> Result<(), CustomerError> {
        let mut after: Option<String> = None;
        loop {
            let page = self.records.list(tenant, CONTACTS, "", after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.key.clone());
            let theirs: Vec<&StoredRecord> = page.iter().filter(|record| whose.is_contact(record)).collect();
            self.delete(tenant, &theirs, counts).await?;
        }
    }

    /// Writes down that somebody was erased, by whom and how much, and never who.
    async fn record_erasure(
        &self,
        tenant: &TenantId,
        wish: &ErasureRequest,
        counts: &ErasureCounts,
        now: Time,
    ) -> Result<(), CustomerError> {
        let key = digest(&wish.id);
        let value = json!({ "erased_at": now.to_string(), "erased": counts.as_json() });
        self.records.commit(tenant, vec![RecordOp::Put { space: SPACE.to_owned(), key, value }], now).await?;
        let (action, key_id) = ("customers.erase".to_owned(), wish.key_id.clone());
        let after = Some(json!({ "customer_id": wish.id }));
        let act = AdminAction { action, target: None, by: wish.by.clone(), key_id, before: None, after };
        Ok(self.audit.append_row(act.row(tenant, now)).await?)
    }
}

/// What a record is held against.
struct ErasureScope<'a> {
    person: &'a ErasureSubject,
    whom: PersonMatcher,
    names: &'a ErasedIds,
    created_keys: &'a BTreeSet<String>,
}

/// What a record has to do with somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RecordRelation {
    Owned,
    /// It names them, and is about others too.
    Shared,
    Unrelated,
}

impl ErasureScope<'_> {
    fn owns(&self, record: &StoredRecord) -> bool {
        self.relation(record) == RecordRelation::Owned
    }

    fn relation(&self, record: &StoredRecord) -> RecordRelation {
        let StoredRecord { space, key, value, .. } = record;
        if self.is_contact(record) || NOT_PERSONAL.contains(&&**space) || space.starts_with("memory.") {
            return RecordRelation::Unrelated;
        }
        let is_of_run = is_below(self.names, key) || contains_text(value, &|text: &str| is_below(self.names, text));
        let is_made = CREATED_SPACES.contains(&&**space) && self.created_keys.contains(key);
        if is_of_run || is_made {
            return RecordRelation::Owned;
        }
        if CALL_SPACES.contains(&&**space) {
            return RecordRelation::Unrelated;
        }
        // A schedule is theirs where what it begins is.
        let is_for_them = match &**space {
            SCHEDULES => is_begun_for(&json!({ "start": value }), &self.whom),
            _ => self.whom.is_named_in_json(&without_long_lists(value)),
        };
        if is_for_them || self.whom.matches_identifier(key) {
            return RecordRelation::Owned;
        }
        if self.whom.is_named_in_json(value) { RecordRelation::Shared } else { RecordRelation::Unrelated }
    }

    fn is_contact(&self, StoredRecord { space, key, .. }: &StoredRecord) -> bool {
        space == CONTACTS && (self.person.names().any(|name| name == key) || self.whom.matches_name(key))
    }
}

/// Whether a row of the trail is emptied with a person anyhow.
fn is_about(entry: &AuditEntry, person: &ErasureSubject, whom: &PersonMatcher) -> bool {
    let is_of_run = entry.row.run.as_ref().is_some_and(|run| person.runs.contains(run));
    is_of_run || person.is_mentioned_in(whom, &AuditMention::from(entry))
}

/// Whether a row of the trail says a name otherwise than as what something was done to.
fn mentions_elsewhere(entry: &AuditEntry, name: &str) -> bool {
    let is_target = || target_of(&entry.row.action_type, &entry.details).is_some_and(|target| target == name);
    entry.row.user_id.as_deref() == Some(name) || contains_words(&entry.details, name) && !is_target()
}

/// Whether one of these began the other, as their ids say.
fn is_related_run(id: &RunId, other: &RunId) -> bool {
    other.as_str().strip_prefix(id.as_str()).is_some_and(|rest| rest.starts_with(['.', '/']))
}

/// Somebody in a list of many is not whom it is about.
fn without_long_lists(value: &Value) -> Value {
    match value {
        Value::Array(items) if items.len() > FEW => Value::Null,
        Value::Array(items) => items.iter().map(without_long_lists).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), without_long_lists(value))).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn check_id(id: &str) -> Result<(), CustomerError> {
    let is_one = !id.trim().is_empty() && id.len() <= ID_BYTES_MAX;
    if is_one { Ok(()) } else { Err(CustomerError::InvalidId) }
}

fn contains_text(value: &Value, is_so: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => is_so(text),
        Value::Array(items) => items.iter().any(|item| contains_text(item, is_so)),
        Value::Object(fields) => fields.values().any(|value| contains_text(value, is_so)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Ids in a call's result: `id`, and whatever ends so.
fn collect_ids(output: &Value, into: &mut BTreeSet<String>) {
    let fields: Option<&Map<String, Value>> = output.as_object();
    for (name, value) in fields.into_iter().flatten() {
        match value {
            Value::String(id) if name == "id" || name.ends_with("_id") => drop(into.insert(id.clone())),
            Value::Object(_) => collect_ids(value, into),
            _ => {}
        }
    }
}

/// Whom an erasure was of, so that it is known again and says nobody's name.
fn digest(id: &str) -> String {
    ContentHash::of(id.as_bytes()).as_str().to_owned()
}

#[cfg(test)]
mod tests {
    use baton_core::audit::ADMINISTRATION;

    use super::*;

    fn record(space: &str, key: &str, value: Value) -> StoredRecord {
        StoredRecord { space: space.into(), key: key.into(), value, version: 1, at: Time::EPOCH }
    }

    #[test]
    fn records_are_theirs_by_run_by_what_was_made_by_customer_and_by_what_they_are_called() {
        let person = ErasureSubject {
            id: "ana".into(),
            other_names: vec!["ana@example.com".into()],
            ..ErasureSubject::default()
        };
        let (names, made) = (ErasedIds::from([RunId::new("c.1")]), BTreeSet::from(["bk_1".to_owned()]));
        let whose = ErasureScope { person: &person, whom: person.matcher(), names: &names, created_keys: &made };
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

    #[test]
    fn a_bare_number_for_an_id_takes_nobody_elses_records_with_it() {
        let (names, made) = (ErasedIds::new(), BTreeSet::new());
        for id in ["1500", "2026", "20261125"] {
            let person = ErasureSubject { id: id.into(), ..ErasureSubject::default() };
            let whose = ErasureScope { person: &person, whom: person.matcher(), names: &names, created_keys: &made };
            let number: u64 = id.parse().expect("a number");
            for anothers in [
                record("payments", "pay_1", json!({ "amount": number, "currency": "EUR", "customer": "bob" })),
                record(
                    "tickets",
                    id,
                    json!({ "number": number, "ticket": { "subject": format!("Invoice of {id} EUR") } }),
                ),
                record(
                    "calendar",
                    "bk_1",
                    json!({ "date": "2026-11-25", "time": "15:00", "phone": "+34 1500 2026 1125" }),
                ),
                record("outbox", "1", json!({ "message": { "body": format!("{id} on 20261125, 2026") } })),
            ] {
                assert_eq!(whose.relation(&anothers), RecordRelation::Unrelated, "{id} {anothers:?}");
            }
            for theirs in [
                record("tickets", "t_1", json!({ "ticket": { "customer_id": number } })),
                record("told", "1", json!({ "body": json!({ "data": { "user_id": id } }).to_string() })),
            ] {
                assert_eq!(whose.relation(&theirs), RecordRelation::Owned, "{id} {theirs:?}");
            }
        }
    }

    #[test]
    fn a_contact_is_theirs_under_any_way_of_writing_their_number() {
        let person = ErasureSubject {
            id: "c-77".into(),
            other_names: vec!["+34 (612) 345-678".into()],
            ..ErasureSubject::default()
        };
        let (names, made) = (ErasedIds::new(), BTreeSet::new());
        let whose = ErasureScope { person: &person, whom: person.matcher(), names: &names, created_keys: &made };
        for key in ["c-77", "+34612345678", "612 345 678"] {
            assert!(whose.is_contact(&record("contacts", key, json!({}))), "{key}");
        }
        assert!(!whose.is_contact(&record("contacts", "612345679", json!({}))));
    }

    #[test]
    fn what_only_lists_somebody_among_many_is_left_and_told() {
        let person = ErasureSubject {
            id: "ana".into(),
            other_names: vec!["ana@example.com".into()],
            ..ErasureSubject::default()
        };
        let (names, made) = (ErasedIds::new(), BTreeSet::new());
        let whose = ErasureScope { person: &person, whom: person.matcher(), names: &names, created_keys: &made };
        let many: Vec<String> =
            (0..=FEW).map(|n| format!("{n}@example.com")).chain(["ana@example.com".into()]).collect();
        let schedule = |input: Value| record("schedule", "weekly", json!({ "name": "weekly", "input": input }));
        for (record, tie) in [
            (schedule(json!({ "to": many })), RecordRelation::Shared),
            (schedule(json!({ "note": "ask ana@example.com" })), RecordRelation::Shared),
            (schedule(json!({ "to": "ana@example.com" })), RecordRelation::Owned),
            (schedule(json!({ "user_id": "ana" })), RecordRelation::Owned),
            (schedule(json!({ "to": "bob@example.com" })), RecordRelation::Unrelated),
            (record("outbox", "1", json!({ "message": { "to": many } })), RecordRelation::Shared),
            (record("outbox", "2", json!({ "to": ["bob@example.com", "ana@example.com"] })), RecordRelation::Owned),
            (record("erasing_customer", "x", json!({ "customer_id": "ana" })), RecordRelation::Unrelated),
        ] {
            assert_eq!(whose.relation(&record), tie, "{record:?}");
        }
    }

    #[test]
    fn a_name_is_a_target_only_where_a_row_of_administration_has_it_whole_as_that() {
        let entry = |action_type: &str, details: Value| {
            let act = AdminAction {
                action: "schedules.create".into(),
                target: None,
                by: "olga".into(),
                key_id: None,
                before: None,
                after: None,
            };
            let row = act.row(&TenantId::parse("acme").expect("a tenant"), Time::EPOCH);
            let row = baton_core::tool::AuditRow { action_type: action_type.into(), ..row };
            let (details, none) = (details.to_string(), [0; 32]);
            AuditEntry { seq: 1, row, details, salt: None, sealed: none, hash: none, erased_at: None }
        };
        for (entry, is_elsewhere) in [
            (entry(ADMINISTRATION, json!({ "target": "reminder" })), false),
            (entry(ADMINISTRATION, json!({ "target": "reminder of bob" })), true),
            (entry("tool", json!({ "arguments": { "subject": "A reminder" } })), true),
            (entry("tool", json!({ "target": "reminder" })), true),
            (entry("tool", json!({ "arguments": { "subject": "Hello" } })), false),
        ] {
            assert_eq!(mentions_elsewhere(&entry, "reminder"), is_elsewhere, "{entry:?}");
        }
        assert!(mentions_elsewhere(&entry(ADMINISTRATION, json!({ "target": "olga" })), "olga"), "who did it");
    }

    #[test]
    fn what_began_another_is_told_by_their_ids() {
        for (one, other, has) in
            [("c", "c.1", true), ("c.1", "c.1/sub", true), ("c.1", "c.10", false), ("c", "c", false)]
        {
            assert_eq!(is_related_run(&RunId::new(one), &RunId::new(other)), has, "{one} {other}");
        }
    }

    #[test]
    fn nobody_is_called_nothing() {
        assert!(check_id("ana").is_ok());
        for wrong in [String::new(), "  ".into(), "x".repeat(ID_BYTES_MAX + 1)] {
            assert!(matches!(check_id(&wrong), Err(CustomerError::InvalidId)), "{wrong:?}");
        }
    }
}
