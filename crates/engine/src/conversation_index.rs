//! Indexes closed conversations into long-term memory, so that they can be searched.
//!
//! **No conversation is lost.** As for [webhooks](crate::webhook_delivery), a cursor records up to which entry the
//! journal was scanned. It moves in the same batch that stores the pending conversations. After a crash either both are
//! durable or neither, and conversations pay nothing for it.
//!
//! **Exactly once.** What is stored has the conversation's id, so storing it again after a crash or in another process
//! stores the same thing. A conversation that was reopened and closed again replaces what was stored before. A customer
//! who is erased after a conversation ended stays erased, because memory is given the time of the end.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use baton_core::conversation::{
    ConversationEntry, ConversationEvent, ConversationLine, ConversationStatus, LineAuthor,
};
use baton_core::id::{RunId, TenantId};
use baton_core::time::Time;
use baton_ports::clock::Clock;
use baton_ports::conversations::ConversationHead;
use baton_ports::feed::{ConversationActivity, JournalFeed};
use baton_ports::journal;
use baton_ports::memory::{self, EndedConversation, MESSAGES_MAX, MemoryStore, MessageSpeaker, ThreadMessage};
use baton_ports::read::ReadModel;
use baton_ports::records::{self, OPS_MAX, RecordOp, RecordStore, StoredRecord};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Record spaces: how far the journal was scanned, and the pending conversations in the order in which they are due.
const CURSOR: &str = "closed_conversation_cursor";
const PENDING: &str = "closed_conversation_pending";
/// Maximum number of conversations in one batch, which also contains the cursor.
const BATCH_MAX: usize = OPS_MAX - 2;
/// Number of scanned entries without a conversation after which the cursor is saved.
const UNSAVED_ENTRIES_MAX: i64 = 100_000;
/// Conversations indexed in one pass.
const INDEXED_MAX: usize = 50;
/// Entries of a conversation per read.
const PAGE: usize = 500;
/// First and longest delay before indexing a conversation is retried; the delay doubles each time.
const RETRY_FIRST: Duration = Duration::from_secs(15);
const RETRY_MAX: Duration = Duration::from_secs(6 * 60 * 60);

/// Finds conversations that ended and indexes them.
#[derive(Clone)]
pub struct ConversationIndexer {
    /// The tenant whose records hold the progress for all tenants.
    pub system_tenant: TenantId,
    pub records: Arc<dyn RecordStore>,
    pub feed: Arc<dyn JournalFeed>,
    pub read: Arc<dyn ReadModel>,
    pub memory: Arc<dyn MemoryStore>,
    pub clock: Arc<dyn Clock>,
    /// Up to which entry this process found nothing of a conversation. Nothing is written while only runs move.
    pub scanned_to: Arc<AtomicI64>,
}

/// The store does not answer; nothing is lost.
#[derive(Debug, thiserror::Error)]
pub enum IndexerError {
    #[error(transparent)]
    Records(#[from] records::RecordError),
    #[error(transparent)]
    Journal(#[from] journal::JournalError),
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct IndexerCursor {
    after: i64,
}

/// A conversation to be indexed.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct PendingConversation {
    tenant: TenantId,
    conversation: RunId,
    /// Number of failed attempts.
    tried: u32,
}

impl PendingConversation {
    /// Its place in the order, at that time.
    fn put(&self, due: Time) -> RecordOp {
        let key = format!("{:013}/{}/{}", due.as_ms(), self.tenant, self.conversation);
        RecordOp::Put { space: PENDING.to_owned(), key, value: json!(self) }
    }
}

impl ConversationIndexer {
    /// Scans the journal for new entries, and indexes conversations that are over. Returns when the next work is due,
    /// as far as is known.
    ///
    /// # Errors
    /// The store does not answer; nothing is lost.
    pub async fn index_due(&self) -> Result<Option<Time>, IndexerError> {
        let has_more = self.ingest().await?;
        let next = self.index_pending().await?;
        Ok(if has_more { Some(self.clock.now()) } else { next })
    }

    /// Stores closed conversations that have new entries as pending. Returns whether there is more.
    async fn ingest(&self) -> Result<bool, IndexerError> {
        let record = self.records.get(&self.system_tenant, CURSOR, CURSOR).await?;
        let version = record.as_ref().map(|record| record.version);
        let cursor: IndexerCursor =
            record.and_then(|record| serde_json::from_value(record.value).ok()).unwrap_or_default();
        let after = cursor.after.max(self.scanned_to.load(Ordering::Relaxed));
        let (talked, up_to) = self.feed.conversation_activity(after).await?;
        if up_to == after {
            return Ok(false);
        }
        if talked.is_empty() && up_to - cursor.after < UNSAVED_ENTRIES_MAX {
            self.scanned_to.fetch_max(up_to, Ordering::Relaxed);
            return Ok(true);
        }
        let (some, up_to) = first_batch(talked, up_to);
        let now = self.clock.now();
        let expect = RecordOp::Expect { space: CURSOR.to_owned(), key: CURSOR.to_owned(), version };
        let moved = RecordOp::Put {
            space: CURSOR.to_owned(),
            key: CURSOR.to_owned(),
            value: json!(IndexerCursor { after: up_to }),
        };
        let mut ops = vec![expect, moved];
        for (tenant, conversation) in some {
            let head = match self.read.conversation(&tenant, &conversation).await {
                Err(error) if is_broken(&error) => {
                    tracing::warn!(%tenant, %conversation, %error, "a conversation that is over cannot be read");
                    continue;
                }
                head => head?,
            };
            if head.is_some_and(|head| is_over(&head)) {
                ops.push(PendingConversation { tenant, conversation, tried: 0 }.put(now));
            }
        }
        match self.records.commit(&self.system_tenant, ops, now).await {
            // Another process was first.
            Ok(()) | Err(records::RecordError::Conflict { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Indexes the conversations that are due. Returns when the next one is due.
    async fn index_pending(&self) -> Result<Option<Time>, IndexerError> {
        let now = self.clock.now();
        let page = self.records.list(&self.system_tenant, PENDING, "", None, INDEXED_MAX).await?;
        for record in page.into_iter().take_while(|record| due_at(record) <= now) {
            self.settle(record).await?;
        }
        let first = self.records.list(&self.system_tenant, PENDING, "", None, 1).await?;
        Ok(first.first().map(due_at))
    }

    /// Indexes one conversation, or schedules the next attempt.
    async fn settle(&self, record: StoredRecord) -> Result<(), IndexerError> {
        // If another process settles it too, there is nothing left to do here.
        let expect =
            RecordOp::Expect { space: PENDING.to_owned(), key: record.key.clone(), version: Some(record.version) };
        let mut ops = vec![expect, RecordOp::Delete { space: PENDING.to_owned(), key: record.key }];
        let pending = serde_json::from_value::<PendingConversation>(record.value).ok();
        let kept = match &pending {
            Some(pending) => self.keep(pending).await,
            None => Ok(Ok(false)),
        };
        let kept = match (kept, &pending) {
            // A conversation that cannot be read must not block the others.
            (Err(IndexerError::Journal(error)), Some(PendingConversation { tenant, conversation, .. }))
                if is_broken(&error) =>
            {
                tracing::warn!(%tenant, %conversation, %error, "a conversation that is over cannot be read");
                Ok(false)
            }
            (kept, _) => kept?,
        };
        if let (Some(mut pending), Err(error)) = (pending, kept) {
            let PendingConversation { tenant, conversation, tried } = &pending;
            if is_permanent(&error) {
                tracing::warn!(%tenant, %conversation, %error, "a conversation that is over cannot be kept");
            } else {
                tracing::warn!(%tenant, %conversation, tried, %error, "a conversation that is over is not kept yet; it is tried again");
                let wait = RETRY_FIRST.saturating_mul(1 << pending.tried.min(16)).min(RETRY_MAX);
                pending.tried = pending.tried.saturating_add(1);
                ops.push(pending.put(self.clock.now() + wait));
            }
        }
        match self.records.commit(&self.system_tenant, ops, self.clock.now()).await {
            Ok(()) | Err(records::RecordError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn keep(&self, pending: &PendingConversation) -> Result<Result<bool, memory::MemoryError>, IndexerError> {
        let PendingConversation { tenant, conversation, .. } = pending;
        // An open conversation is stored as pending again when it ends. A missing one was deleted with its tenant, or
        // by retention.
        let Some(head) = self.read.conversation(tenant, conversation).await?.filter(is_over) else {
            return Ok(Ok(false));
        };
        let over = EndedConversation {
            conversation: conversation.to_string(),
            messages: self.words(tenant, conversation).await?,
            outcome: head.state.word().to_owned(),
            ended_at: head.ended_at.unwrap_or(head.updated_at),
            customer: head.user,
        };
        Ok(self.memory.keep_conversation(tenant, over).await)
    }

    /// The last messages that the customer saw.
    async fn words(&self, tenant: &TenantId, conversation: &RunId) -> Result<Vec<ThreadMessage>, IndexerError> {
        let most = usize::try_from(MESSAGES_MAX).unwrap_or(usize::MAX);
        let (mut words, mut seq) = (VecDeque::new(), 0);
        loop {
            let page = self.read.entries(tenant, conversation, seq, PAGE).await?;
            seq += page.len() as u64;
            // Unreadable entries are reported by whatever reads the conversation itself.
            let entries = page.iter().filter_map(|entry| serde_json::from_slice::<ConversationEntry>(entry).ok());
            for line in entries.flat_map(|entry| entry.events).filter_map(customer_message) {
                if words.len() == most {
                    words.pop_front();
                }
                words.push_back(line);
            }
            // A page may be shorter than requested, because its size in bytes is limited too.
            if page.is_empty() {
                return Ok(words.into());
            }
        }
    }
}

/// The distinct conversations of a batch, as many as fit, and the entry up to which they are complete.
fn first_batch(talked: Vec<ConversationActivity>, up_to: i64) -> (BTreeSet<(TenantId, RunId)>, i64) {
    let mut some = BTreeSet::new();
    for ConversationActivity { id, tenant, conversation } in talked {
        let one = (tenant, conversation);
        if some.len() == BATCH_MAX && !some.contains(&one) {
            return (some, id - 1);
        }
        some.insert(one);
    }
    (some, up_to)
}

fn is_over(head: &ConversationHead) -> bool {
    head.state.status() == ConversationStatus::Closed
}

/// The stored form of this conversation is damaged; others are not affected.
fn is_broken(error: &journal::JournalError) -> bool {
    matches!(error, journal::JournalError::Corrupt { .. } | journal::JournalError::Erased { .. })
}

/// Whether retrying cannot succeed.
fn is_permanent(error: &memory::MemoryError) -> bool {
    use memory::MemoryError::{Forgotten, Invalid, NotFound, TooLarge};
    matches!(error, TooLarge { .. } | Invalid { .. } | NotFound { .. } | Forgotten { .. })
}

fn due_at(record: &StoredRecord) -> Time {
    let ms = record.key.split('/').next().and_then(|ms| ms.parse().ok());
    ms.map_or(Time::EPOCH, Time::from_ms)
}

fn customer_message(event: ConversationEvent) -> Option<ThreadMessage> {
    let ConversationEvent::Said { line: ConversationLine { from, text, at, number, .. } } = event else { return None };
    let speaker = match from {
        LineAuthor::Customer => MessageSpeaker::Customer,
        LineAuthor::Ai { .. } => MessageSpeaker::Agent,
        LineAuthor::Person { .. } => MessageSpeaker::Human,
        LineAuthor::Note { .. } | LineAuthor::Suggestion { .. } => return None,
    };
    Some(ThreadMessage { id: Some(number.to_string()), speaker, content: text, at })
}
