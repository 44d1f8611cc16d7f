//! Short-term memory: the messages of a conversation, its running summary, and the facts of its session.
//!
//! A conversation consists of a few small records: its head, one record per message, and a row under its customer, by
//! which all data about one person is found. Every change of a conversation also changes its head at the version that
//! was read, so that two messages never get the same number. A change succeeds only if neither the conversation nor its
//! customer was forgotten since it began.

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

/// Maximum attempts while concurrent changes move a conversation's head.
const TRIES_MAX: usize = 16;
/// How long one call may hold the claim on a conversation's summary. If no model is available, there is no other
/// attempt before it expires.
const CLAIM_TTL: Duration = Duration::from_secs(60);
/// Records read or removed per page.
const PAGE: usize = 90;

/// The ongoing conversations of all tenants.
pub(crate) struct ShortTermMemory {
    records: Arc<dyn RecordStore>,
    marks: Arc<ForgetMarks>,
    clock: Arc<dyn Clock>,
}

/// A change of a conversation, as it began.
struct ThreadChange<'c> {
    since: ForgetWatermark,
    /// The customer who causes it, if known.
    customer: Option<&'c str>,
    /// When the intended conversation began. `None` means any, or a new one.
    began: Option<Time>,
}

/// The state of a conversation, as summarising sees it.
pub(crate) struct ThreadStatus {
    pub(crate) thread: MessageThread,
    /// Distinguishes it from an earlier conversation with the same id.
    pub(crate) began: Time,
    /// The first stored message that the summary does not cover.
    pub(crate) unsummarised: u64,
}

impl ShortTermMemory {
    pub(crate) fn new(records: Arc<dyn RecordStore>, marks: Arc<ForgetMarks>, clock: Arc<dyn Clock>) -> Self {
        Self { records, marks, clock }
    }

    /// Must be read first by every operation that changes a conversation based on what it reads.
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
        // The remains of an interrupted close are not a conversation.
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

    /// The messages `first..behind` that are still stored.
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

    /// Stores a summary, unless a stored one covers more; returns the summary that is stored then. `None` if the
    /// conversation that began at this instant has ended or was forgotten.
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

    /// Claims the summary of the conversation that began at this instant, for `CLAIM_TTL`. Returns false if another
    /// call holds the claim, or if that conversation has ended or was forgotten.
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

    /// Releases the claim.
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

    /// Changes a head together with other records, and returns the new head. If the closure returns `None`, nothing is
    /// written; it gets the customer of the conversation, if known. Returns `None` if it is not the intended
    /// conversation, or if it or its customer was forgotten since the change began.
    async fn change(
        &self,
        tenant: &TenantId,
        conversation: &str,
        begun: ThreadChange<'_>,
        mut change: impl FnMut(&mut ThreadHead, Option<&str>) -> Option<Vec<RecordOp>>,
    ) -> Result<Option<ThreadHead>, MemoryError> {
        // A customer that was seen stays part of this change, even if the conversation ends in the meantime.
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

/// The error for a conversation that does not exist.
pub(crate) fn not_found(conversation: &str) -> MemoryError {
    MemoryError::NotFound { what: "conversation", name: conversation.to_owned() }
}

/// Control characters separate the parts of record names.
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
