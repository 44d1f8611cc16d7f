//! Short-term memory: the messages of a conversation, its running summary, and the facts of its session.
//!
//! A conversation is a few small records: its head, one record a message, and a row under its customer, by which
//! everything of one person is found again. Whoever changes a conversation changes its head at the version it saw, so two
//! messages never take one place; and only while nobody whose it is was forgotten since the change began.

mod head;
mod removal;

use std::sync::Arc;
use std::time::Duration;

use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::clock::Clock;
use baton_ports::index::ForgetWatermark;
use baton_ports::memory::{
    ID_BYTES_MAX, MESSAGE_BYTES_MAX, MESSAGES_MAX, MemoryError, MessageThread, RECENT_MAX, RETRY_AFTER,
    SESSION_BYTES_MAX, SUMMARY_BYTES_MAX, ThreadMessage, ThreadSummary,
};
use baton_ports::records::{self, RecordOp, RecordStore};
use serde_json::{Map, Value};

use head::{HEADS, MESSAGES, ThreadHead};

use crate::forget_marks::{ForgetMarks, ForgetTarget};

/// How often a conversation may change under our hands before we give up.
const TRIES_MAX: usize = 16;
/// How long one call has a conversation's summary in hand. Where no model can be asked, nobody tries again before.
const CLAIM_TTL: Duration = Duration::from_secs(60);
/// Records read or removed at once.
const PAGE: usize = 90;

/// All conversations that are going on, of every tenant.
pub(crate) struct ShortTermMemory {
    records: Arc<dyn RecordStore>,
    marks: Arc<ForgetMarks>,
    clock: Arc<dyn Clock>,
}

/// A change of a conversation, as it began.
struct ThreadChange<'c> {
    since: ForgetWatermark,
    /// Who brings it, where that is known.
    customer: Option<&'c str>,
    /// When the conversation began that is meant. Any is, or a new one, unless said.
    began: Option<Time>,
}

/// A conversation as its summary finds it.
pub(crate) struct ThreadStatus {
    pub(crate) thread: MessageThread,
    /// Tells it from an earlier conversation of the same id.
    pub(crate) began: Time,
    /// The first message that is kept and not in the summary.
    pub(crate) unsummarised: u64,
}

impl ShortTermMemory {
    pub(crate) fn new(records: Arc<dyn RecordStore>, marks: Arc<ForgetMarks>, clock: Arc<dyn Clock>) -> Self {
        Self { records, marks, clock }
    }

    /// To be asked first by whoever changes a conversation by what it read of it.
    pub(crate) async fn watermark(&self, tenant: &TenantId) -> Result<ForgetWatermark, MemoryError> {
        self.marks.watermark(tenant).await
    }

    pub(crate) async fn add_message(
        &self,
        tenant: &TenantId,
        conversation: &str,
        customer: Option<&str>,
        message: ThreadMessage,
    ) -> Result<(), MemoryError> {
        check_id("a conversation's id", conversation)?;
        customer.map_or(Ok(()), |customer| check_id("a customer's id", customer))?;
        check_size("a message", message.content.len(), MESSAGE_BYTES_MAX)?;
        let value = serde_json::to_value(&message)
            .map_err(|error| MemoryError::Invalid { what: "a message".to_owned(), reason: error.to_string() })?;
        let change = ThreadChange { since: self.watermark(tenant).await?, customer, began: None };
        self.change(tenant, conversation, change, |head, customer| {
            if head.has_message(&message) {
                return None;
            }
            let mut ops = head.of_customer(conversation, customer);
            ops.push(RecordOp::Insert {
                space: MESSAGES.to_owned(),
                key: head::message_key(conversation, head.next),
                value: value.clone(),
            });
            if let Some(oldest) = head.push_message(&message, MESSAGES_MAX) {
                let key = head::message_key(conversation, oldest);
                ops.push(RecordOp::Delete { space: MESSAGES.to_owned(), key });
            }
            Some(ops)
        })
        .await
        .map(drop)
    }

    pub(crate) async fn thread(
        &self,
        tenant: &TenantId,
        conversation: &str,
    ) -> Result<Option<MessageThread>, MemoryError> {
        let head = self.head(tenant, conversation).await?.map(|(head, _)| head);
        // What a close that was cut off left behind is no conversation.
        Ok(head.filter(|head| !head.is_empty()).map(|head| head.thread(conversation)))
    }

    pub(crate) async fn status(
        &self,
        tenant: &TenantId,
        conversation: &str,
    ) -> Result<Option<ThreadStatus>, MemoryError> {
        let head = self.head(tenant, conversation).await?.map(|(head, _)| head);
        Ok(head.filter(|head| !head.is_empty()).map(|head| ThreadStatus {
            began: head.began,
            unsummarised: head.first.max(head.summary.as_ref().map_or(0, |summary| summary.covers)),
            thread: head.thread(conversation),
        }))
    }

    /// The last messages, oldest first.
    pub(crate) async fn recent(
        &self,
        tenant: &TenantId,
        conversation: &str,
        limit: usize,
    ) -> Result<Vec<ThreadMessage>, MemoryError> {
        let Some((head, _)) = self.head(tenant, conversation).await? else { return Ok(Vec::new()) };
        let first = head.next.saturating_sub(limit.min(RECENT_MAX) as u64).max(head.first);
        self.listed(tenant, conversation, first, head.next).await
    }

    /// Messages `first..behind` that are still kept.
    pub(crate) async fn messages(
        &self,
        tenant: &TenantId,
        conversation: &str,
        first: u64,
        behind: u64,
    ) -> Result<Vec<ThreadMessage>, MemoryError> {
        let Some((head, _)) = self.head(tenant, conversation).await? else { return Ok(Vec::new()) };
        self.listed(tenant, conversation, first.max(head.first), behind).await
    }

    async fn listed(
        &self,
        tenant: &TenantId,
        conversation: &str,
        first: u64,
        behind: u64,
    ) -> Result<Vec<ThreadMessage>, MemoryError> {
        let mut messages = Vec::new();
        let mut after = first.checked_sub(1).map(|before| head::message_key(conversation, before));
        loop {
            let prefix = head::message_prefix(conversation);
            let page = self.records.list(tenant, MESSAGES, &prefix, after.as_deref(), PAGE).await?;
            let is_last = page.len() < PAGE;
            for record in page {
                if record.key >= head::message_key(conversation, behind) {
                    return Ok(messages);
                }
                after = Some(record.key);
                let message = serde_json::from_value(record.value);
                messages
                    .push(message.map_err(|error| MemoryError::Unreadable { reason: format!("a message: {error}") })?);
            }
            if is_last {
                return Ok(messages);
            }
        }
    }

    pub(crate) async fn set_session(
        &self,
        tenant: &TenantId,
        conversation: &str,
        fields: &Map<String, Value>,
    ) -> Result<(), MemoryError> {
        check_id("a conversation's id", conversation)?;
        let change = ThreadChange { since: self.watermark(tenant).await?, customer: None, began: None };
        let head = self.change(tenant, conversation, change, |head, _| {
            head.merge_session(fields);
            (head.session_bytes() <= SESSION_BYTES_MAX).then(Vec::new)
        });
        let size = head.await?.map_or(0, |head| head.session_bytes());
        check_size("a conversation's session", size, SESSION_BYTES_MAX)
    }

    /// Keeps a summary, unless one that covers more is there; says which is there then. None where the conversation that
    /// began then is over or forgotten.
    pub(crate) async fn set_summary(
        &self,
        tenant: &TenantId,
        conversation: &str,
        (since, began): (ForgetWatermark, Time),
        summary: ThreadSummary,
    ) -> Result<Option<ThreadSummary>, MemoryError> {
        check_size("a conversation's summary", summary.text.len(), SUMMARY_BYTES_MAX)?;
        let change = ThreadChange { since, customer: None, began: Some(began) };
        let head = self.change(tenant, conversation, change, |head, _| {
            let is_newer = head.summary.as_ref().is_none_or(|before| before.covers <= summary.covers);
            is_newer.then(|| head.summary = Some(summary.clone())).map(|()| Vec::new())
        });
        Ok(head.await?.and_then(|head| head.summary))
    }

    /// Takes the summary of the conversation that began then in hand, for `CLAIM_TTL`: false where another has it, or
    /// where that conversation is over or forgotten.
    pub(crate) async fn claim_summary(
        &self,
        tenant: &TenantId,
        conversation: &str,
        (since, began): (ForgetWatermark, Time),
        by: &str,
    ) -> Result<bool, MemoryError> {
        let now = self.clock.now();
        let mut is_ours = false;
        let change = ThreadChange { since, customer: None, began: Some(began) };
        let changed = self.change(tenant, conversation, change, |head, _| {
            is_ours = head.claim_summary(by, now, now + CLAIM_TTL);
            is_ours.then(Vec::new)
        });
        Ok(changed.await?.is_some() && is_ours)
    }

    /// Gives it out of hand again.
    pub(crate) async fn release_summary(
        &self,
        tenant: &TenantId,
        conversation: &str,
        (since, began): (ForgetWatermark, Time),
        by: &str,
    ) -> Result<(), MemoryError> {
        let change = ThreadChange { since, customer: None, began: Some(began) };
        let changed = self.change(tenant, conversation, change, |head, _| head.release_summary(by).then(Vec::new));
        changed.await.map(drop)
    }

    async fn head(&self, tenant: &TenantId, conversation: &str) -> Result<Option<(ThreadHead, u64)>, MemoryError> {
        let record = self.records.get(tenant, HEADS, conversation).await?;
        let read = |record: records::StoredRecord| match serde_json::from_value(record.value) {
            Ok(head) => Ok((head, record.version)),
            Err(error) => {
                Err(MemoryError::Unreadable { reason: format!("the conversation `{conversation}`: {error}") })
            }
        };
        record.map(read).transpose()
    }

    /// Changes a head, with whatever must be written along; answers with the head as it then is. `None` of the closure
    /// writes nothing; it is shown whose the conversation is, as far as that is known. None where it is not the
    /// conversation that is meant, or where it or somebody whose it is was forgotten since the change began.
    async fn change(
        &self,
        tenant: &TenantId,
        conversation: &str,
        begun: ThreadChange<'_>,
        mut change: impl FnMut(&mut ThreadHead, Option<&str>) -> Option<Vec<RecordOp>>,
    ) -> Result<Option<ThreadHead>, MemoryError> {
        // Whoever was seen to be its customer stays so for this change, though the conversation ends meanwhile.
        let mut seen: Vec<String> = begun.customer.into_iter().map(str::to_owned).collect();
        for _ in 0..TRIES_MAX {
            let before = self.head(tenant, conversation).await?;
            if let Some(began) = begun.began
                && before.as_ref().is_none_or(|(head, _)| head.began != began)
            {
                return Ok(None);
            }
            let (mut head, version) = match before {
                Some((head, version)) => (head, Some(version)),
                None => (ThreadHead::beginning(self.clock.now()), None),
            };
            if let Some(customer) = head.customer.clone().filter(|customer| !seen.contains(customer)) {
                seen.push(customer);
            }
            let mut whose = vec![ForgetTarget::Conversation(conversation)];
            whose.extend(seen.iter().map(|customer| ForgetTarget::Customer(customer)));
            let Some(guard) = self.marks.guard(tenant, begun.since, &whose).await? else { return Ok(None) };
            let Some(mut ops) = change(&mut head, seen.first().map(String::as_str)) else { return Ok(Some(head)) };
            ops.push(guard);
            ops.push(head.write(conversation, version));
            match self.records.commit(tenant, ops, self.clock.now()).await {
                Ok(()) => return Ok(Some(head)),
                Err(records::RecordError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(MemoryError::Busy { retry_after: RETRY_AFTER })
    }
}

/// That there is no such conversation.
pub(crate) fn not_found(conversation: &str) -> MemoryError {
    MemoryError::NotFound { what: "conversation", name: conversation.to_owned() }
}

/// Control characters part the names of records.
fn check_id(what: &'static str, id: &str) -> Result<(), MemoryError> {
    check_size(what, id.len(), ID_BYTES_MAX)?;
    if id.is_empty() || id.chars().any(char::is_control) {
        return Err(MemoryError::Invalid {
            what: what.to_owned(),
            reason: "it is empty or holds a control character".into(),
        });
    }
    Ok(())
}

fn check_size(what: &'static str, size: usize, limit: usize) -> Result<(), MemoryError> {
    if size > limit { Err(MemoryError::TooLarge { what, size, limit }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
