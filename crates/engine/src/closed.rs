//! Conversations that are over become findable: what was said goes into long-term memory, by itself.
//!
//! **None is lost.** As for [webhooks](crate::outgoing), a cursor says up to which entry of the journal all were looked at; it
//! moves in the batch that lays down what is to be kept. So a crash anywhere leaves either both or neither, and conversations
//! pay nothing for it.
//!
//! **Once.** What is kept has the conversation's id: whoever keeps it again, after a crash or in another process, keeps the
//! same. One that was opened again and is over again takes the place of what was kept before. A customer who is forgotten
//! after a conversation ended stays forgotten, for memory is told when it did.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use baton_core::conversation::{Author, Entry, Event, Line, Status};
use baton_core::id::{RunId, TenantId};
use baton_core::time::Time;
use baton_ports::clock::Clock;
use baton_ports::conversations::ConversationHead;
use baton_ports::feed::{Feed, Talked};
use baton_ports::journal;
use baton_ports::memory::{self, MESSAGES_MAX, Memory, Message, Over, Speaker};
use baton_ports::read::Read;
use baton_ports::records::{self, OPS_MAX, Op, Record, Records};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// How far the journal was looked at, and what of it is to be kept, in the order in which it is due.
const CURSOR: &str = "closed_conversation_cursor";
const PENDING: &str = "closed_conversation_pending";
/// Conversations laid down in one batch, which has the cursor beside.
const LAID_MAX: usize = OPS_MAX - 2;
/// Entries that are passed before it is written down that there is nothing in them.
const UNWRITTEN_MAX: i64 = 100_000;
/// Conversations that one look keeps.
const LOOK_MAX: usize = 50;
/// Entries of a conversation that are read at once.
const PAGE: usize = 500;
/// How long one waits that could not be kept, at first and at the most: each time twice as long.
const AGAIN_AFTER: Duration = Duration::from_secs(15);
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(6 * 60 * 60);

/// Follows conversations to their end.
#[derive(Clone)]
pub struct Closed {
    /// Whose records say how far it came, for all tenants.
    pub own: TenantId,
    pub records: Arc<dyn Records>,
    pub feed: Arc<dyn Feed>,
    pub read: Arc<dyn Read>,
    pub memory: Arc<dyn Memory>,
    pub clock: Arc<dyn Clock>,
    /// Up to which entry this process found nothing of a conversation: nothing is written down where only runs move.
    pub passed: Arc<AtomicI64>,
}

/// The store does not answer; nothing is lost by it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Records(#[from] records::Error),
    #[error(transparent)]
    Journal(#[from] journal::Error),
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Cursor {
    after: i64,
}

/// A conversation that is to be kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Pending {
    tenant: TenantId,
    conversation: RunId,
    /// How often it could not be.
    tried: u32,
}

impl Pending {
    /// Its place in the order, at that time.
    fn put(&self, due: Time) -> Op {
        let key = format!("{:013}/{}/{}", due.as_ms(), self.tenant, self.conversation);
        Op::Put { space: PENDING.to_owned(), key, value: json!(self) }
    }
}

impl Closed {
    /// Looks at what was recorded since, and keeps what is over. When there is something to do next, as far as is known.
    ///
    /// # Errors
    /// Where the store does not answer; nothing is lost by it.
    pub async fn look(&self) -> Result<Option<Time>, Error> {
        let has_more = self.take_in().await?;
        let next = self.keep_due().await?;
        Ok(if has_more { Some(self.clock.now()) } else { next })
    }

    /// Lays down conversations that are over, of those of which something was recorded since. Whether there is more.
    async fn take_in(&self) -> Result<bool, Error> {
        let record = self.records.get(&self.own, CURSOR, CURSOR).await?;
        let version = record.as_ref().map(|record| record.version);
        let cursor: Cursor = record.and_then(|record| serde_json::from_value(record.value).ok()).unwrap_or_default();
        let after = cursor.after.max(self.passed.load(Ordering::Relaxed));
        let (talked, up_to) = self.feed.talked(after).await?;
        if up_to == after {
            return Ok(false);
        }
        if talked.is_empty() && up_to - cursor.after < UNWRITTEN_MAX {
            self.passed.fetch_max(up_to, Ordering::Relaxed);
            return Ok(true);
        }
        let (some, up_to) = at_most(talked, up_to);
        let now = self.clock.now();
        let expect = Op::Expect { space: CURSOR.to_owned(), key: CURSOR.to_owned(), version };
        let moved = Op::Put { space: CURSOR.to_owned(), key: CURSOR.to_owned(), value: json!(Cursor { after: up_to }) };
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
                ops.push(Pending { tenant, conversation, tried: 0 }.put(now));
            }
        }
        match self.records.commit(&self.own, ops, now).await {
            // Another process was first.
            Ok(()) | Err(records::Error::Conflict { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps what is due. When the next one is.
    async fn keep_due(&self) -> Result<Option<Time>, Error> {
        let now = self.clock.now();
        let page = self.records.list(&self.own, PENDING, "", None, LOOK_MAX).await?;
        for record in page.into_iter().take_while(|record| due_at(record) <= now) {
            self.settle(record).await?;
        }
        let first = self.records.list(&self.own, PENDING, "", None, 1).await?;
        Ok(first.first().map(due_at))
    }

    /// Keeps one, or says when it is tried again.
    async fn settle(&self, record: Record) -> Result<(), Error> {
        // Where another process settles it too, this one's part is done.
        let expect = Op::Expect { space: PENDING.to_owned(), key: record.key.clone(), version: Some(record.version) };
        let mut ops = vec![expect, Op::Delete { space: PENDING.to_owned(), key: record.key }];
        let pending = serde_json::from_value::<Pending>(record.value).ok();
        let kept = match &pending {
            Some(pending) => self.keep(pending).await,
            None => Ok(Ok(false)),
        };
        let kept = match (kept, &pending) {
            // One that cannot be read keeps no other from being kept.
            (Err(Error::Journal(error)), Some(Pending { tenant, conversation, .. })) if is_broken(&error) => {
                tracing::warn!(%tenant, %conversation, %error, "a conversation that is over cannot be read");
                Ok(false)
            }
            (kept, _) => kept?,
        };
        if let (Some(mut pending), Err(error)) = (pending, kept) {
            let Pending { tenant, conversation, tried } = &pending;
            if is_for_good(&error) {
                tracing::warn!(%tenant, %conversation, %error, "a conversation that is over cannot be kept");
            } else {
                tracing::warn!(%tenant, %conversation, tried, %error, "a conversation that is over is not kept yet; it is tried again");
                let wait = AGAIN_AFTER.saturating_mul(1 << pending.tried.min(16)).min(AGAIN_AFTER_MAX);
                pending.tried = pending.tried.saturating_add(1);
                ops.push(pending.put(self.clock.now() + wait));
            }
        }
        match self.records.commit(&self.own, ops, self.clock.now()).await {
            Ok(()) | Err(records::Error::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn keep(&self, pending: &Pending) -> Result<Result<bool, memory::Error>, Error> {
        let Pending { tenant, conversation, .. } = pending;
        // One that goes on is laid down anew when it is over; one that is gone was taken out with its tenant, or is too old.
        let Some(head) = self.read.conversation(tenant, conversation).await?.filter(is_over) else {
            return Ok(Ok(false));
        };
        let over = Over {
            conversation: conversation.to_string(),
            messages: self.words(tenant, conversation).await?,
            outcome: head.state.word().to_owned(),
            ended_at: head.ended_at.unwrap_or(head.updated_at),
            customer: head.user,
        };
        Ok(self.memory.keep(tenant, over).await)
    }

    /// The last words that the customer saw.
    async fn words(&self, tenant: &TenantId, conversation: &RunId) -> Result<Vec<Message>, Error> {
        let most = usize::try_from(MESSAGES_MAX).unwrap_or(usize::MAX);
        let (mut words, mut seq) = (VecDeque::new(), 0);
        loop {
            let page = self.read.entries(tenant, conversation, seq, PAGE).await?;
            seq += page.len() as u64;
            // What cannot be read is told by whoever reads the conversation.
            let entries = page.iter().filter_map(|entry| serde_json::from_slice::<Entry>(entry).ok());
            for line in entries.flat_map(|entry| entry.events).filter_map(said) {
                if words.len() == most {
                    words.pop_front();
                }
                words.push_back(line);
            }
            // A page may be shorter than asked for: it is bounded by bytes too.
            if page.is_empty() {
                return Ok(words.into());
            }
        }
    }
}

/// Conversations of a piece, each once and as many as one batch lays down; and up to which entry that is all.
fn at_most(talked: Vec<Talked>, up_to: i64) -> (BTreeSet<(TenantId, RunId)>, i64) {
    let mut some = BTreeSet::new();
    for Talked { id, tenant, conversation } in talked {
        let one = (tenant, conversation);
        if some.len() == LAID_MAX && !some.contains(&one) {
            return (some, id - 1);
        }
        some.insert(one);
    }
    (some, up_to)
}

fn is_over(head: &ConversationHead) -> bool {
    head.state.status() == Status::Closed
}

/// What is kept of this one is not what was written; others are well.
fn is_broken(error: &journal::Error) -> bool {
    matches!(error, journal::Error::Corrupt { .. } | journal::Error::Erased { .. })
}

/// Asking again changes nothing about it.
fn is_for_good(error: &memory::Error) -> bool {
    use memory::Error::{Forgotten, Invalid, NotFound, TooLarge};
    matches!(error, TooLarge { .. } | Invalid { .. } | NotFound { .. } | Forgotten { .. })
}

fn due_at(record: &Record) -> Time {
    let ms = record.key.split('/').next().and_then(|ms| ms.parse().ok());
    ms.map_or(Time::EPOCH, Time::from_ms)
}

fn said(event: Event) -> Option<Message> {
    let Event::Said { line: Line { from, text, at, number, .. } } = event else { return None };
    let speaker = match from {
        Author::Customer => Speaker::Customer,
        Author::Ai { .. } => Speaker::Agent,
        Author::Person { .. } => Speaker::Human,
        Author::Note { .. } | Author::Suggestion { .. } => return None,
    };
    Some(Message { id: Some(number.to_string()), speaker, content: text, at })
}
