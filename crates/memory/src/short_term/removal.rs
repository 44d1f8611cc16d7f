//! Removal of conversations: because they have ended and are stored elsewhere, or because a customer is forgotten.

use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::index::ForgetWatermark;
use baton_ports::memory::{MemoryError, MessageThread, RETRY_AFTER, ThreadMessage};
use baton_ports::records::{self, RecordOp};

use super::head::{self, HEADS, MESSAGES, OF_CUSTOMERS};
use super::{PAGE, ShortTermMemory, TRIES_MAX, ThreadChange, check_id};
use crate::forget_marks::ForgetTarget;

/// A conversation, read completely.
pub(crate) struct WholeThread {
    pub(crate) thread: MessageThread,
    /// Distinguishes it from an earlier conversation with the same id.
    pub(crate) began: Time,
    /// All stored messages, oldest first.
    pub(crate) messages: Vec<ThreadMessage>,
    /// The number after the last of them.
    behind: u64,
}

impl ShortTermMemory {
    pub(crate) async fn read_whole(
        &self,
        tenant: &TenantId,
        conversation: &str,
    ) -> Result<Option<WholeThread>, MemoryError> {
        let Some((head, _)) = self.head(tenant, conversation).await? else { return Ok(None) };
        let (began, behind) = (head.began, head.next);
        let messages = self.listed(tenant, conversation, head.first, behind).await?;
        Ok(Some(WholeThread { thread: head.thread(conversation), began, messages, behind }))
    }

    /// Removes the messages that were read of a conversation, which is stored elsewhere. Later messages stay, as a
    /// conversation of their own. One write decides it; a crash after it leaves only records that are no longer read.
    /// Returns false, and removes nothing, if the customer has become known in the meantime: the stored copy must name
    /// the customer too.
    pub(crate) async fn remove_messages(
        &self,
        tenant: &TenantId,
        conversation: &str,
        since: ForgetWatermark,
        whole: &WholeThread,
    ) -> Result<bool, MemoryError> {
        let now = self.clock.now();
        let mut says_whose = true;
        let change = ThreadChange { since, customer: None, began: Some(whole.began) };
        let changed = self.change(tenant, conversation, change, |head, _| {
            says_whose = head.customer == whole.thread.customer;
            says_whose.then(|| head.drop_messages(whole.behind, now)).map(|()| Vec::new())
        });
        if changed.await?.is_some() && !says_whose {
            return Ok(false);
        }
        self.sweep(tenant, conversation).await?;
        Ok(true)
    }

    /// Removes the records of dropped messages, and the head if nothing else is left; returns the number of messages
    /// removed. The head goes last, so that the remains of a crash can be found.
    pub(crate) async fn sweep(&self, tenant: &TenantId, conversation: &str) -> Result<u64, MemoryError> {
        let Some((head, version)) = self.head(tenant, conversation).await? else { return Ok(0) };
        let prefix = head::message_prefix(conversation);
        let first = head::message_key(conversation, head.first);
        let mut removed = 0;
        loop {
            let mut page = self.records.list(tenant, MESSAGES, &prefix, None, PAGE).await?;
            page.retain(|record| record.key < first);
            if page.is_empty() {
                break;
            }
            removed += page.len() as u64;
            let remove = |key| RecordOp::Delete { space: MESSAGES.to_owned(), key };
            let ops = page.into_iter().map(|record| remove(record.key)).collect();
            self.records.commit(tenant, ops, self.clock.now()).await?;
        }
        if head.is_empty() {
            // Only at the version that was read: a message that arrives in the meantime keeps the head.
            let mut ops = vec![head.write(conversation, Some(version))];
            ops.push(RecordOp::Delete { space: HEADS.to_owned(), key: conversation.to_owned() });
            if let Some(customer) = &head.customer {
                ops.push(RecordOp::Delete {
                    space: OF_CUSTOMERS.to_owned(),
                    key: head::customer_key(customer, conversation),
                });
            }
            match self.records.commit(tenant, ops, self.clock.now()).await {
                Ok(()) | Err(records::RecordError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(removed)
    }

    /// Removes every conversation of a customer; returns the numbers of conversations and of messages. Operations on
    /// the customer's data that were in progress when this began store nothing.
    pub(crate) async fn forget(&self, tenant: &TenantId, customer: &str) -> Result<(u64, u64), MemoryError> {
        check_id("a customer's id", customer)?;
        let forgetting = self.marks.mark_customer(tenant, customer).await?;
        let prefix = head::customer_key(customer, "");
        let (mut threads, mut messages) = (0, 0);
        loop {
            let page = self.records.list(tenant, OF_CUSTOMERS, &prefix, None, PAGE).await?;
            if page.is_empty() {
                return Ok((threads, messages));
            }
            for record in page {
                let conversation = record.key.get(prefix.len()..).unwrap_or_default();
                messages += self.end(tenant, conversation, forgetting).await?;
                threads += 1;
                // A row whose conversation no longer exists is removed alone.
                let row = RecordOp::Delete { space: OF_CUSTOMERS.to_owned(), key: record.key };
                self.records.commit(tenant, vec![row], self.clock.now()).await?;
            }
        }
    }

    /// Removes a conversation with its messages, including those that arrive in the meantime.
    async fn end(&self, tenant: &TenantId, conversation: &str, forgetting: u64) -> Result<u64, MemoryError> {
        let mut removed = 0;
        for _ in 0..TRIES_MAX {
            let since = self.marks.watermark(tenant).await?;
            let Some(whole) = self.read_whole(tenant, conversation).await? else { return Ok(removed) };
            let change = ThreadChange { since, customer: None, began: Some(whole.began) };
            let now = self.clock.now();
            self.change(tenant, conversation, change, |head, _| {
                head.drop_messages(whole.behind, now);
                Some(vec![ForgetTarget::Conversation(conversation).mark(forgetting)])
            })
            .await?;
            removed += self.sweep(tenant, conversation).await?;
        }
        Err(MemoryError::Busy { retry_after: RETRY_AFTER })
    }
}
