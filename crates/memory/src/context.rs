//! The context of an agent: recent messages, documents and similar conversations, within a token budget.

use baton_core::id::TenantId;
use baton_ports::index::MemoryCollection;
use baton_ports::memory::{
    CONTEXT_TOKENS_MAX, CitedPassage, ContextRequest, MemoryContext, MemoryError, OmittedCounts, RECENT_MAX,
    SearchRequest, SimilarConversation, ThreadMessage,
};
use serde_json::Value;

use crate::episodic::similar_conversations;
use crate::long_term::LongTermMemory;
use crate::short_term::{ShortTermMemory, ThreadStatus};
use crate::tokens::estimate;

/// The share of the budget that each part may use first, in per cent. What one does not need goes to the messages, and
/// then to the documents.
const DOCUMENTS_SHARE: usize = 40;
const CONVERSATIONS_SHARE: usize = 10;

pub(crate) async fn gather(
    short: &ShortTermMemory,
    long: &LongTermMemory,
    tenant: &TenantId,
    wanted: &ContextRequest,
    tokens: usize,
) -> Result<MemoryContext, MemoryError> {
    let over = |what, size, limit| if size > limit { Err(MemoryError::TooLarge { what, size, limit }) } else { Ok(()) };
    over("the number of recent messages", wanted.recent, RECENT_MAX)?;
    over("a context's tokens", tokens, CONTEXT_TOKENS_MAX)?;
    let (recent, documents, conversations) = futures::join!(
        recent(short, tenant, wanted),
        documents(long, tenant, wanted),
        conversations(long, tenant, wanted),
    );
    let ((standing, messages), (documents, one), (conversations, other)) = (recent?, documents?, conversations?);
    let found = GatheredContext { standing, messages, documents, conversations };
    Ok(MemoryContext { degraded: one.or(other), ..found.fit_into(tokens) })
}

async fn recent(
    short: &ShortTermMemory,
    tenant: &TenantId,
    wanted: &ContextRequest,
) -> Result<(Option<ThreadStatus>, Vec<ThreadMessage>), MemoryError> {
    match &wanted.conversation {
        Some(conversation) if wanted.strategy.has_short() => {
            let standing = short.status(tenant, conversation).await?;
            Ok((standing, short.recent(tenant, conversation, wanted.recent).await?))
        }
        Some(_) | None => Ok((None, Vec::new())),
    }
}

async fn documents(
    long: &LongTermMemory,
    tenant: &TenantId,
    wanted: &ContextRequest,
) -> Result<(Vec<CitedPassage>, Option<String>), MemoryError> {
    if !wanted.strategy.has_long() {
        return Ok((Vec::new(), None));
    }
    let search = SearchRequest {
        top: wanted.documents,
        collection: MemoryCollection::Knowledge,
        filter: wanted.filter.clone(),
        ..SearchRequest::knowledge(&wanted.message)
    };
    let found = long.search(tenant, &search).await?;
    Ok((found.passages, found.degraded))
}

async fn conversations(
    long: &LongTermMemory,
    tenant: &TenantId,
    wanted: &ContextRequest,
) -> Result<(Vec<SimilarConversation>, Option<String>), MemoryError> {
    if !wanted.strategy.has_long() {
        return Ok((Vec::new(), None));
    }
    let but = wanted.conversation.as_deref();
    similar_conversations(long, tenant, &wanted.message, wanted.conversations, but).await
}

/// Everything that was found.
struct GatheredContext {
    standing: Option<ThreadStatus>,
    messages: Vec<ThreadMessage>,
    documents: Vec<CitedPassage>,
    conversations: Vec<SimilarConversation>,
}

impl GatheredContext {
    /// The best part of it that fits: documents and conversations by rank, messages from the newest.
    fn fit_into(self, tokens: usize) -> MemoryContext {
        let mut budget = TokenBudget { left: tokens };
        let unsummarised =
            self.standing.as_ref().map_or(0, |standing| standing.thread.messages - standing.unsummarised);
        let thread = self.standing.map(|standing| standing.thread);
        let summary = thread.as_ref().and_then(|thread| thread.summary.as_ref());
        let summary = summary.map(|summary| summary.text.clone()).filter(|text| budget.take(estimate(text)));
        let session = thread.map_or(Value::Null, |thread| thread.session);
        let session = if budget.take(estimate(&session.to_string())) { session } else { Value::Null };
        let share = |hundredths: usize| tokens * hundredths / 100;
        let mut documents = budget.fill(share(DOCUMENTS_SHARE), &self.documents, cost_of_document);
        let conversations = budget.fill(share(CONVERSATIONS_SHARE), &self.conversations, cost_of_conversation);
        let newest_first: Vec<ThreadMessage> = self.messages.iter().rev().cloned().collect();
        let mut messages = budget.fill(tokens, &newest_first, cost_of_message);
        messages.reverse();
        let more = self.documents.get(documents.len()..).unwrap_or_default();
        documents.extend(budget.fill(tokens, more, cost_of_document));
        let left_out = OmittedCounts {
            messages: self.messages.len() - messages.len(),
            unsummarised: usize::try_from(unsummarised).unwrap_or(usize::MAX).saturating_sub(messages.len()),
            documents: self.documents.len() - documents.len(),
            conversations: self.conversations.len() - conversations.len(),
        };
        MemoryContext {
            summary,
            session,
            recent_messages: messages,
            relevant_documents: documents,
            similar_conversations: conversations,
            tokens: tokens - budget.left,
            left_out,
            degraded: None,
        }
    }
}

struct TokenBudget {
    left: usize,
}

impl TokenBudget {
    fn take(&mut self, cost: usize) -> bool {
        let fits = cost <= self.left;
        self.left -= if fits { cost } else { 0 };
        fits
    }

    /// Takes items from the first on, up to one that does not fit into the share or the budget.
    fn fill<T: Clone>(&mut self, share: usize, items: &[T], cost: impl Fn(&T) -> usize) -> Vec<T> {
        let mut share = TokenBudget { left: share };
        let fits = |item: &&T| {
            let cost = cost(item);
            cost <= self.left && share.take(cost) && self.take(cost)
        };
        items.iter().take_while(fits).cloned().collect()
    }
}

fn cost_of_document(document: &CitedPassage) -> usize {
    estimate(&document.content) + estimate(&document.heading)
}

fn cost_of_conversation(conversation: &SimilarConversation) -> usize {
    estimate(&conversation.summary) + estimate(&conversation.outcome)
}

fn cost_of_message(message: &ThreadMessage) -> usize {
    estimate(&message.content) + estimate(message.speaker.word())
}

#[cfg(test)]
mod tests;
