//! The end of a conversation: it is summarised, indexed, and removed from short-term memory, in this order.

use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::index::{ForgetWatermark, MemoryCollection};
use baton_ports::memory::{
    ConversationClosing, EndedConversation, MemoryError, RETRY_AFTER, SummarySource, ThreadSummary,
};
use baton_ports::models::ModelCaller;

use crate::episodic::{self, ConversationText};
use crate::long_term::LongTermMemory;
use crate::short_term::{self, ShortTermMemory, ThreadStatus};
use crate::summary::{ThreadSummarizer, excerpt};

/// Maximum number of attempts, when the customer of a conversation changes while it is closed.
const TRIES_MAX: usize = 8;

pub(crate) struct ConversationCloser<'m> {
    pub(crate) short: &'m ShortTermMemory,
    pub(crate) long: &'m LongTermMemory,
    pub(crate) summaries: &'m ThreadSummarizer,
}

/// The outcome of one attempt.
enum CloseAttempt {
    Closed(ThreadSummary),
    /// Another call closed it, or it was forgotten.
    Gone,
    /// Its customer became known.
    Retry,
}

impl ConversationCloser<'_> {
    pub(crate) async fn close(
        &self,
        asker: &ModelCaller,
        conversation: &str,
        closing: &ConversationClosing,
    ) -> Result<ThreadSummary, MemoryError> {
        let (tenant, of) = (&asker.tenant, MemoryCollection::Conversations);
        let since = self.short.watermark(tenant).await?;
        let kept_since = ForgetWatermark { at: since.at, ..self.long.watermark(tenant, of).await? };
        let mut began = None;
        for _ in 0..TRIES_MAX {
            let standing = self.short.status(tenant, conversation).await?;
            // A conversation that began in the meantime is not the one to close.
            let meant = |standing: &ThreadStatus| *began.get_or_insert(standing.began) == standing.began;
            let Some(standing) = standing.filter(meant) else { return self.closed(tenant, conversation).await };
            match self.try_once(asker, conversation, closing, &standing, (since, kept_since)).await? {
                CloseAttempt::Closed(summary) => return Ok(summary),
                CloseAttempt::Gone => return self.closed(tenant, conversation).await,
                CloseAttempt::Retry => {}
            }
        }
        Err(MemoryError::Busy { retry_after: RETRY_AFTER })
    }

    async fn try_once(
        &self,
        asker: &ModelCaller,
        conversation: &str,
        closing: &ConversationClosing,
        standing: &ThreadStatus,
        (since, kept_since): (ForgetWatermark, ForgetWatermark),
    ) -> Result<CloseAttempt, MemoryError> {
        let (tenant, of) = (&asker.tenant, MemoryCollection::Conversations);
        let summary = match &closing.summary {
            Some(text) => {
                let (covers, by) = (standing.thread.messages, SummarySource::Caller);
                let summary = ThreadSummary { text: text.clone(), covers, by, why: None };
                self.short.set_summary(tenant, conversation, (since, standing.began), summary).await?
            }
            None => self.summaries.update_whole(self.short, asker, conversation, since).await?,
        };
        let Some(whole) =
            self.short.read_whole(tenant, conversation).await?.filter(|whole| whole.began == standing.began)
        else {
            return Ok(CloseAttempt::Gone);
        };
        let Some(summary) = summary else { return Ok(CloseAttempt::Gone) };
        let name = self.name(tenant, conversation, whole.began).await?;
        let words = ConversationText {
            conversation,
            customer: whole.thread.customer.clone(),
            began: whole.began,
            messages: &whole.messages,
        };
        let document = episodic::conversation(name, words, &summary, &closing.outcome);
        // The text is indexed before it is removed: closing again after a crash in between closes the same
        // conversation.
        match self.long.add_since(tenant, of, document, kept_since).await {
            Ok(_) => {}
            Err(MemoryError::Forgotten { .. }) => return Ok(CloseAttempt::Gone),
            Err(error) => return Err(error),
        }
        let left = self.short.remove_messages(tenant, conversation, since, &whole).await?;
        Ok(if left { CloseAttempt::Closed(summary) } else { CloseAttempt::Retry })
    }

    /// Indexes a conversation that ended by its own journal, in addition to what short-term memory has of it. Its
    /// summary is the running one, if any, else an excerpt: no model is called, and it costs nothing.
    pub(crate) async fn keep_conversation(
        &self,
        tenant: &TenantId,
        over: EndedConversation,
    ) -> Result<bool, MemoryError> {
        let of = MemoryCollection::Conversations;
        let Some(first) = over.messages.first() else { return Ok(false) };
        let since = ForgetWatermark { at: over.ended_at, ..self.long.watermark(tenant, of).await? };
        let known = self.long.document(tenant, of, &over.conversation).await?;
        if known.is_some_and(|known| !episodic::is_kept(&known.body)) {
            return Ok(false);
        }
        let running = self.short.status(tenant, &over.conversation).await?.and_then(|standing| standing.thread.summary);
        let summary = running.unwrap_or_else(|| ThreadSummary {
            text: excerpt(None, &over.messages),
            covers: over.messages.len() as u64,
            by: SummarySource::Excerpt,
            why: None,
        });
        let words = ConversationText {
            conversation: &over.conversation,
            customer: over.customer.clone(),
            began: first.at,
            messages: &over.messages,
        };
        let document =
            episodic::mark_kept(episodic::conversation(over.conversation.clone(), words, &summary, &over.outcome));
        match self.long.add_since(tenant, of, document, since).await {
            Ok(_) => Ok(true),
            Err(MemoryError::Forgotten { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn name(&self, tenant: &TenantId, conversation: &str, began: Time) -> Result<String, MemoryError> {
        episodic::name(self.long, tenant, conversation, began).await
    }

    /// The summary that was returned when the conversation was closed.
    async fn closed(&self, tenant: &TenantId, conversation: &str) -> Result<ThreadSummary, MemoryError> {
        self.short.sweep(tenant, conversation).await?;
        let closed = episodic::closed(self.long, tenant, conversation).await?;
        closed.ok_or_else(|| short_term::not_found(conversation))
    }
}
