//! Short-term memory: the messages of a conversation, its running summary, and the facts of its session.
//!
//! A conversation is a few small records: its head, one record a message, and a row under its customer, by which
//! everything of one person is found again. Whoever changes a conversation changes its head at the version it saw, so two
//! messages never take one place.

mod head;
mod leaving;

use std::sync::Arc;

use baton_core::id::TenantId;
use baton_ports::clock::Clock;
use baton_ports::memory::{
    Error, ID_BYTES_MAX, MESSAGE_BYTES_MAX, MESSAGES_MAX, Message, RECENT_MAX, RETRY_AFTER, SESSION_BYTES_MAX,
    SUMMARY_BYTES_MAX, Summarised, Summary, Thread,
};
use baton_ports::records::{self, Op, Records};
use serde_json::{Map, Value};

use head::{HEADS, Head, MESSAGES};

pub(crate) use leaving::Whole;

/// How often a conversation may change under our hands before we give up.
const TRIES_MAX: usize = 16;
/// Records read or removed at once.
const PAGE: usize = 90;

/// All conversations that are going on, of every tenant.
pub(crate) struct Short {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
}

impl Short {
    pub(crate) fn new(records: Arc<dyn Records>, clock: Arc<dyn Clock>) -> Self {
        Self { records, clock }
    }

    pub(crate) async fn say(
        &self,
        tenant: &TenantId,
        conversation: &str,
        customer: Option<&str>,
        message: Message,
    ) -> Result<(), Error> {
        check_id("a conversation's id", conversation)?;
        customer.map_or(Ok(()), |customer| check_id("a customer's id", customer))?;
        check_size("a message", message.content.len(), MESSAGE_BYTES_MAX)?;
        let value = serde_json::to_value(&message)
            .map_err(|error| Error::Invalid { what: "a message".to_owned(), reason: error.to_string() })?;
        self.change(tenant, conversation, |head| {
            if head.has_heard(&message) {
                return None;
            }
            let mut ops = head.of_customer(conversation, customer);
            ops.push(Op::Insert {
                space: MESSAGES.to_owned(),
                key: head::message_key(conversation, head.next),
                value: value.clone(),
            });
            if let Some(oldest) = head.hear(&message, MESSAGES_MAX) {
                let key = head::message_key(conversation, oldest);
                ops.push(Op::Delete { space: MESSAGES.to_owned(), key });
            }
            Some(ops)
        })
        .await
        .map(drop)
    }

    pub(crate) async fn thread(&self, tenant: &TenantId, conversation: &str) -> Result<Option<Thread>, Error> {
        let head = self.head(tenant, conversation).await?.map(|(head, _)| head);
        // What a close that was cut off left behind is no conversation.
        Ok(head.filter(|head| !head.is_empty()).map(|head| head.thread(conversation)))
    }

    /// The first message that is kept and not in the summary.
    pub(crate) async fn unsummarised(&self, tenant: &TenantId, conversation: &str) -> Result<u64, Error> {
        let from = |(head, _): (Head, u64)| head.first.max(head.summary.map_or(0, |summary| summary.covers));
        Ok(self.head(tenant, conversation).await?.map_or(0, from))
    }

    /// The last messages, oldest first.
    pub(crate) async fn recent(
        &self,
        tenant: &TenantId,
        conversation: &str,
        limit: usize,
    ) -> Result<Vec<Message>, Error> {
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
    ) -> Result<Vec<Message>, Error> {
        let Some((head, _)) = self.head(tenant, conversation).await? else { return Ok(Vec::new()) };
        self.listed(tenant, conversation, first.max(head.first), behind).await
    }

    async fn listed(
        &self,
        tenant: &TenantId,
        conversation: &str,
        first: u64,
        behind: u64,
    ) -> Result<Vec<Message>, Error> {
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
                messages.push(message.map_err(|error| Error::Unreadable { reason: format!("a message: {error}") })?);
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
    ) -> Result<(), Error> {
        check_id("a conversation's id", conversation)?;
        let head = self
            .change(tenant, conversation, |head| {
                head.lay_over_session(fields);
                (head.session_bytes() <= SESSION_BYTES_MAX).then(Vec::new)
            })
            .await?;
        check_size("a conversation's session", head.session_bytes(), SESSION_BYTES_MAX)
    }

    /// Keeps a summary, unless one that covers more is there.
    pub(crate) async fn set_summary(
        &self,
        tenant: &TenantId,
        conversation: &str,
        summary: Summary,
    ) -> Result<Option<Summary>, Error> {
        check_size("a conversation's summary", summary.text.len(), SUMMARY_BYTES_MAX)?;
        let head = self
            .change(tenant, conversation, |head| {
                let is_newer = head.summary.as_ref().is_none_or(|before| before.covers <= summary.covers);
                is_newer.then(|| head.summary = Some(summary.clone())).map(|()| Vec::new())
            })
            .await?;
        Ok(head.summary)
    }

    /// Keeps a summary of everything that was said.
    pub(crate) async fn set_summary_text(
        &self,
        tenant: &TenantId,
        conversation: &str,
        text: &str,
    ) -> Result<Option<Summary>, Error> {
        let covers = self.head(tenant, conversation).await?.map_or(0, |(head, _)| head.next);
        let summary = Summary { text: text.to_owned(), covers, by: Summarised::Caller };
        self.set_summary(tenant, conversation, summary).await
    }

    async fn head(&self, tenant: &TenantId, conversation: &str) -> Result<Option<(Head, u64)>, Error> {
        let record = self.records.get(tenant, HEADS, conversation).await?;
        let read = |record: records::Record| match serde_json::from_value(record.value) {
            Ok(head) => Ok((head, record.version)),
            Err(error) => Err(Error::Unreadable { reason: format!("the conversation `{conversation}`: {error}") }),
        };
        record.map(read).transpose()
    }

    /// Changes a head, with whatever must be written along; answers with the head as it then is. `None` writes nothing.
    async fn change(
        &self,
        tenant: &TenantId,
        conversation: &str,
        mut change: impl FnMut(&mut Head) -> Option<Vec<Op>>,
    ) -> Result<Head, Error> {
        for _ in 0..TRIES_MAX {
            let before = self.head(tenant, conversation).await?;
            let (mut head, version) = match before {
                Some((head, version)) => (head, Some(version)),
                None => (Head::beginning(self.clock.now()), None),
            };
            let Some(mut ops) = change(&mut head) else { return Ok(head) };
            ops.push(head.write(conversation, version));
            match self.records.commit(tenant, ops, self.clock.now()).await {
                Ok(()) => return Ok(head),
                Err(records::Error::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Busy { retry_after: RETRY_AFTER })
    }
}

/// That there is no such conversation.
pub(crate) fn not_found(conversation: &str) -> Error {
    Error::NotFound { what: "conversation", name: conversation.to_owned() }
}

/// Control characters part the names of records.
fn check_id(what: &'static str, id: &str) -> Result<(), Error> {
    check_size(what, id.len(), ID_BYTES_MAX)?;
    if id.is_empty() || id.chars().any(char::is_control) {
        return Err(Error::Invalid {
            what: what.to_owned(),
            reason: "it is empty or holds a control character".into(),
        });
    }
    Ok(())
}

fn check_size(what: &'static str, size: usize, limit: usize) -> Result<(), Error> {
    if size > limit { Err(Error::TooLarge { what, size, limit }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
