//! Erases all data about one customer, from every store. The API and the command line share it.
//!
//! The order makes an erasure repeatable. First the active runs are ended; then runs and conversations are marked,
//! which cannot be undone; then all data beside them is deleted, and their own contents last. The contact is
//! deleted at the very end, because it holds the person's other names. Then the file is scrubbed; a note is kept
//! until that is done. After any interruption, the same request finds what is left and completes it, and so does
//! [`CustomerService::finish_erasures`]: a mark stays until all data that only it leads to is gone.
//!
//! Whether a value names the person is decided in one place: [`PersonMatcher`].

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

/// Maximum size of a database, in bytes, that is rewritten after an erasure. In a larger one, deleted rows are
/// overwritten in place, and `baton customers erase ID --vacuum` does the rest.
pub const VACUUM_BYTES_MAX: u64 = 256 << 20;
/// How long active runs may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// The record space of completed erasures: what was erased, by kind. The person is stored only as a digest.
const SPACE: &str = "erased_customer";
/// Number of rows deleted in one batch; each takes up to four operations.
const DELETE_BATCH: usize = OPS_MAX / 4;
/// Number of rows read at once.
const PAGE: usize = 500;
const SCHEDULES: &str = "schedule";
/// The state of each schedule, by name.
const SCHEDULE_STATE: &str = "schedule_state";
/// How many times a page of records is read again because one of them changed concurrently.
const TRIES_MAX: usize = 10;
/// Maximum length of a list in a record that is taken to be about each of its items. In a longer list, a person is
/// one of many.
const FEW: usize = 10;
/// Maximum number of remaining records per space that a response names.
const REMAINING_LISTED_MAX: usize = 20;
/// The space of the contact itself, which is deleted last.
const CONTACTS: &str = "contacts";
/// The records by which a repeated call is detected. Those of other people's runs are kept, because otherwise their
/// calls could be made twice.
const CALL_SPACES: [&str; 3] = ["effects", "sent_to", "contacts_before"];
/// Spaces without personal data, such as settings, secrets and cursors. Memory is erased separately.
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
/// Spaces whose records are named in the results of the calls that created them.
const CREATED_SPACES: [&str; 6] = ["calendar", "calendar_placed", "calendar_lease", "tickets", "payments", "refunds"];

/// The services and stores that hold customer data.
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

/// A request to erase a person.
#[derive(Clone, Debug)]
pub struct ErasureRequest {
    pub id: String,
    /// E-mail addresses, phone numbers and names of the person, in addition to those of the contact.
    pub aliases: Vec<String>,
    /// Cancels active runs and resolves open conversations first.
    pub end_runs: bool,
    /// Maximum size of a database, in bytes, that is rewritten. The default is [`VACUUM_BYTES_MAX`].
    pub vacuum_bytes_max: u64,
    pub by: String,
    pub key_id: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum CustomerError {
    /// Nothing was erased.
    #[error("{}; nothing was erased", still_live_message(.0))]
    StillLive(Vec<SubjectAggregate>),
    /// Ended runs and conversations are erased, or marked so that they cannot be read. The same request continues
    /// from there.
    #[error("{}; of the rest some is erased already: ask again once these have ended", still_live_message(.0))]
    PartlyErased(Vec<SubjectAggregate>),
    /// The id is not valid for a customer.
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

/// The number of deleted rows, by kind.
#[derive(Clone, Debug, Default)]
struct ErasureCounts {
    executions: u64,
    conversations: u64,
    cleared: ClearedRows,
    audit_rows: u64,
    /// Cached tool results.
    answers: u64,
    /// Entries of a routing queue's journal that describe a conversation's requirements.
    desk_entries: u64,
    /// Services whose hosts contained a name.
    services: u64,
    records: BTreeMap<String, u64>,
    forgotten: ForgetResult,
    /// Some of the keys, by space, of records that name this person among others and were kept.
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
    /// Erases a person. The response lists what was erased by kind and count. It names the person only by the
    /// requested id and the keys of remaining records.
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
        // Objects named after the person are deleted below; their names also occur in the audit rows about their
        // creation.
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
        // The pending erasure contains the person's names, so it is replaced before the file is scrubbed by a note
        // that the scrub is due.
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

    /// Scrubs the file, and removes the note about the pending scrub on success. If it fails, this is reported and
    /// the scrub is repeated later. All data is already deleted at this point.
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

    /// What was erased of the person with this id, and when. `None` if nothing was.
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
        // A plain number or a short word could belong to others too, even if it was entered as a phone number.
        let also = also.into_iter().filter(|known| Identifier::of(known).is_some()).collect();
        Ok(ErasureSubject { id: id.to_owned(), other_names: also, ..ErasureSubject::default() })
    }

    /// Adds other spellings of the names, for stores that are looked up by exact spelling: conversations and
    /// documents.
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

    /// The person's runs and conversations, with all their descendants.
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
            // Yields, so that other tasks run in between.
            tokio::task::yield_now().await;
        }
        Ok(all)
    }

    /// Ends what is still active, if the request asks for it, and returns the ids. While waiting, only these and
    /// their descendants are checked; anything that started in the meantime is looked up afterwards.
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

    /// Those among these, and among their descendants, that have not ended.
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

    /// Marks what was found, and returns what became active since. Descendants are marked before their ancestors.
    /// The ancestors of an active run are left unmarked, because what remains is found through them.
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

    /// Each state of an aggregate gets its ending command once.
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
        // A closed conversation is only live because it has something left to process.
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

    /// Deletes memory: threads, facts about the person, and records of what agents did for them.
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

    /// Keys of bookings, tickets and payments that the person's runs created, taken from the results of their
    /// calls.
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

    /// Names of documents about the person, and of schedules that belong to them.
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

    /// Those names that occur in the audit trail only as targets of administrative actions. A name that is also a
    /// word in somebody else's row may refer to something else, so it is kept in all rows.
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

    /// Deletes individual records that belong to the person. The rows of calls go last, because they name the
    /// records that the calls created.
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
                    // One of them changed concurrently: the page is read again.
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

    /// Deletes the contact itself, under each of the person's names in any spelling.
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

    /// Records that an erasure took place, who requested it and how much was erased, without naming the person.
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

/// What decides whether a record belongs to the person.
struct ErasureScope<'a> {
    person: &'a ErasureSubject,
    whom: PersonMatcher,
    names: &'a ErasedIds,
    created_keys: &'a BTreeSet<String>,
}

/// How a record relates to the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RecordRelation {
    Owned,
    /// It names the person, and is about others too.
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
        // A schedule belongs to the person for whom it starts runs.
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

/// Whether an audit row is erased together with the person anyway.
fn is_about(entry: &AuditEntry, person: &ErasureSubject, whom: &PersonMatcher) -> bool {
    let is_of_run = entry.row.run.as_ref().is_some_and(|run| person.runs.contains(run));
    is_of_run || person.is_mentioned_in(whom, &AuditMention::from(entry))
}

/// Whether an audit row contains a name in any other role than as the target of the action.
fn mentions_elsewhere(entry: &AuditEntry, name: &str) -> bool {
    let is_target = || target_of(&entry.row.action_type, &entry.details).is_some_and(|target| target == name);
    entry.row.user_id.as_deref() == Some(name) || contains_words(&entry.details, name) && !is_target()
}

/// Whether `other` is a descendant of `id`, by their ids.
fn is_related_run(id: &RunId, other: &RunId) -> bool {
    other.as_str().strip_prefix(id.as_str()).is_some_and(|rest| rest.starts_with(['.', '/']))
}

/// Removes long lists: a person in a list of many is not the subject.
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

/// Collects the ids in a call's result: `id`, and every field that ends in `_id`.
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

/// A digest of the person's id, which recognises a repeated request without storing the id.
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
