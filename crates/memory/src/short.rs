//! Short-term memory: the messages of a conversation, its running summary, and the facts of its session.
//!
//! A conversation is a few small records: its head, one record a message, and a row under its customer, by which
//! everything of one person is found again. Whoever changes a conversation changes its head at the version it saw, so two
//! messages never take one place.

mod head;

use std::sync::Arc;

use baton_core::id::TenantId;
use baton_ports::clock::Clock;
use baton_ports::memory::{
    Error, ID_BYTES_MAX, MESSAGE_BYTES_MAX, MESSAGES_MAX, Message, RECENT_MAX, RETRY_AFTER, SESSION_BYTES_MAX,
    SUMMARY_BYTES_MAX, Summarised, Summary, Thread,
};
use baton_ports::records::{self, Op, Records};
use serde_json::{Map, Value};

use head::{HEADS, Head, MESSAGES, OF_CUSTOMERS};

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
        Ok(self.head(tenant, conversation).await?.map(|(head, _)| head.thread(conversation)))
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
        self.messages(tenant, conversation, first, head.next).await
    }

    /// All messages that are kept, oldest first.
    pub(crate) async fn all(&self, tenant: &TenantId, conversation: &str) -> Result<Vec<Message>, Error> {
        let Some((head, _)) = self.head(tenant, conversation).await? else { return Ok(Vec::new()) };
        self.messages(tenant, conversation, head.first, head.next).await
    }

    /// Messages `first..behind` that are still kept.
    pub(crate) async fn messages(
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

    /// Removes a conversation with its messages. The head goes last, so what a crash leaves is found again.
    pub(crate) async fn end(&self, tenant: &TenantId, conversation: &str) -> Result<u64, Error> {
        let Some((head, _)) = self.head(tenant, conversation).await? else { return Ok(0) };
        let prefix = head::message_prefix(conversation);
        let mut removed = 0;
        loop {
            let page = self.records.list(tenant, MESSAGES, &prefix, None, PAGE).await?;
            if page.is_empty() {
                break;
            }
            removed += page.len() as u64;
            let remove = |key| Op::Delete { space: MESSAGES.to_owned(), key };
            let ops = page.into_iter().map(|record| remove(record.key)).collect();
            self.records.commit(tenant, ops, self.clock.now()).await?;
        }
        let mut ops = vec![Op::Delete { space: HEADS.to_owned(), key: conversation.to_owned() }];
        if let Some(customer) = &head.customer {
            ops.push(Op::Delete { space: OF_CUSTOMERS.to_owned(), key: head::customer_key(customer, conversation) });
        }
        self.records.commit(tenant, ops, self.clock.now()).await?;
        Ok(removed)
    }

    /// Removes every conversation of a customer; says how many, and how many messages.
    pub(crate) async fn forget(&self, tenant: &TenantId, customer: &str) -> Result<(u64, u64), Error> {
        check_id("a customer's id", customer)?;
        let prefix = head::customer_key(customer, "");
        let (mut threads, mut messages) = (0, 0);
        loop {
            let page = self.records.list(tenant, OF_CUSTOMERS, &prefix, None, PAGE).await?;
            if page.is_empty() {
                return Ok((threads, messages));
            }
            for record in page {
                let conversation = record.key.get(prefix.len()..).unwrap_or_default();
                messages += self.end(tenant, conversation).await?;
                threads += 1;
                // A row whose conversation is gone already has only itself left.
                let row = Op::Delete { space: OF_CUSTOMERS.to_owned(), key: record.key };
                self.records.commit(tenant, vec![row], self.clock.now()).await?;
            }
        }
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
            let (mut head, version) = before.map_or((Head::default(), None), |(head, version)| (head, Some(version)));
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
