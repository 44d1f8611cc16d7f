//! The entry point: all memories behind one port.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_ports::clock::Clock;
use baton_ports::embed::{Embedder, EmbeddingBilling};
use baton_ports::index::{DocumentHeader, DocumentIndex, IndexRecipe, MemoryCollection, SourceDocument};
use baton_ports::memory::{
    self, AddResult, AgentExecution, ContextRequest, ConversationClosing, EndedConversation, ForgetResult,
    InquiryRequest, InquiryResult, MemoryContext, MemoryError, MessageThread, ReindexResult, SearchRequest,
    SearchResult, SimilarExecution, ThreadMessage, ThreadSummary,
};
use baton_ports::models::{ModelCaller, ModelService};
use baton_ports::records::RecordStore;
use serde_json::{Map, Value};

use crate::closing::ConversationCloser;
use crate::config::{MemoryConfig, MemoryConfigError};
use crate::context;
use crate::embed::EmbedderSet;
use crate::episodic;
use crate::forget_marks::ForgetMarks;
use crate::inquiry::{InquiryService, VerdictStore};
use crate::long_term::LongTermMemory;
use crate::short_term::ShortTermMemory;
use crate::summary::ThreadSummarizer;

/// The ports that memory uses.
pub struct MemoryPorts {
    pub index: Arc<dyn DocumentIndex>,
    pub records: Arc<dyn RecordStore>,
    /// Writes summaries and judges inquiries. Without it, summaries are excerpts, and an inquiry has one round.
    pub models: Option<Arc<dyn ModelService>>,
    pub clock: Arc<dyn Clock>,
}

/// The memories of all tenants.
pub struct MemoryService {
    long_term: LongTermMemory,
    short_term: ShortTermMemory,
    summaries: ThreadSummarizer,
    inquiries: InquiryService,
    /// Tokens of a context if the request states no other number.
    context_tokens: usize,
}

impl MemoryService {
    /// How new chunks are made with the current settings. The live generation may use another recipe until it is
    /// rebuilt.
    pub fn recipe(&self) -> IndexRecipe {
        self.long_term.recipe()
    }

    /// The embedder of new documents, for callers that search elsewhere with the same vectors.
    pub fn embedder(&self) -> Arc<dyn Embedder> {
        self.long_term.current_embedder()
    }

    /// Whether a document is stored.
    ///
    /// # Errors
    /// The index cannot be read.
    pub async fn has_document(&self, tenant: &TenantId, of: MemoryCollection, name: &str) -> Result<bool, MemoryError> {
        Ok(self.long_term.document(tenant, of, name).await?.is_some())
    }

    /// Splits a document with the current settings, for callers that store it elsewhere: the headings of each chunk,
    /// and its byte range in the text.
    pub fn split(&self, document: &SourceDocument) -> Vec<(String, Range<usize>)> {
        self.long_term.split(document)
    }

    /// Opens no file and no connection.
    ///
    /// # Errors
    /// Names the setting that cannot be used.
    pub fn new(config: &MemoryConfig, parts: MemoryPorts) -> Result<Self, MemoryConfigError> {
        Self::with_billing(config, parts, None)
    }

    /// The same, with billing for embeddings that cost money.
    ///
    /// # Errors
    /// Those of [`MemoryService::new`].
    pub fn with_billing(
        config: &MemoryConfig,
        parts: MemoryPorts,
        till: Option<Arc<dyn EmbeddingBilling>>,
    ) -> Result<Self, MemoryConfigError> {
        config.check()?;
        let MemoryPorts { index, records, models, clock } = parts;
        let embedders = EmbedderSet::new(config, clock.clone(), till)?;
        let marks = Arc::new(ForgetMarks::new(records.clone(), clock.clone()));
        Ok(Self {
            long_term: LongTermMemory::new(index, embedders, config.chunking(), clock.clone()),
            inquiries: InquiryService::new(
                models.clone(),
                config.prompts.clone(),
                VerdictStore::new(records.clone(), marks.clone(), clock.clone()),
            ),
            short_term: ShortTermMemory::new(records, marks, clock),
            summaries: ThreadSummarizer::new(models, config.prompts.clone()),
            context_tokens: config.context_tokens,
        })
    }

    fn closer(&self) -> ConversationCloser<'_> {
        ConversationCloser { short: &self.short_term, long: &self.long_term, summaries: &self.summaries }
    }
}

#[async_trait]
impl memory::MemoryStore for MemoryService {
    async fn add(
        &self,
        tenant: &TenantId,
        of: MemoryCollection,
        document: SourceDocument,
    ) -> Result<AddResult, MemoryError> {
        self.long_term.add(tenant, of, document).await
    }

    async fn remove(&self, tenant: &TenantId, of: MemoryCollection, name: &str) -> Result<bool, MemoryError> {
        self.long_term.remove(tenant, of, name).await
    }

    async fn documents(
        &self,
        tenant: &TenantId,
        of: MemoryCollection,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<DocumentHeader>, MemoryError> {
        self.long_term.documents(tenant, of, after, limit).await
    }

    async fn search(&self, tenant: &TenantId, search: &SearchRequest) -> Result<SearchResult, MemoryError> {
        self.long_term.search(tenant, search).await
    }

    async fn inquire(&self, asker: &ModelCaller, inquiry: &InquiryRequest) -> Result<InquiryResult, MemoryError> {
        self.inquiries.perform(&self.long_term, asker, inquiry).await
    }

    async fn reindex(&self, tenant: &TenantId, of: MemoryCollection) -> Result<ReindexResult, MemoryError> {
        self.long_term.reindex(tenant, of).await
    }

    async fn add_message(
        &self,
        tenant: &TenantId,
        conversation: &str,
        customer: Option<&str>,
        message: ThreadMessage,
    ) -> Result<(), MemoryError> {
        self.short_term.add_message(tenant, conversation, customer, message).await
    }

    async fn thread(&self, tenant: &TenantId, conversation: &str) -> Result<Option<MessageThread>, MemoryError> {
        self.short_term.thread(tenant, conversation).await
    }

    async fn recent(
        &self,
        tenant: &TenantId,
        conversation: &str,
        limit: usize,
    ) -> Result<Vec<ThreadMessage>, MemoryError> {
        self.short_term.recent(tenant, conversation, limit).await
    }

    async fn set_session(
        &self,
        tenant: &TenantId,
        conversation: &str,
        fields: &Map<String, Value>,
    ) -> Result<(), MemoryError> {
        self.short_term.set_session(tenant, conversation, fields).await
    }

    async fn summarise(
        &self,
        asker: &ModelCaller,
        conversation: &str,
        but: usize,
    ) -> Result<Option<ThreadSummary>, MemoryError> {
        let since = self.short_term.watermark(&asker.tenant).await?;
        self.summaries.update_running(&self.short_term, asker, conversation, since, but).await
    }

    async fn close(
        &self,
        asker: &ModelCaller,
        conversation: &str,
        closing: ConversationClosing,
    ) -> Result<ThreadSummary, MemoryError> {
        self.closer().close(asker, conversation, &closing).await
    }

    async fn keep_conversation(&self, tenant: &TenantId, over: EndedConversation) -> Result<bool, MemoryError> {
        self.closer().keep_conversation(tenant, over).await
    }

    async fn record_execution(&self, tenant: &TenantId, execution: AgentExecution) -> Result<(), MemoryError> {
        let document = episodic::execution(execution)?;
        match self.long_term.add(tenant, MemoryCollection::Executions, document).await {
            // As if it had been stored just before the forgetting.
            Ok(_) | Err(MemoryError::Forgotten { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn similar_executions(
        &self,
        tenant: &TenantId,
        goal: &str,
        limit: usize,
        success_only: bool,
    ) -> Result<Vec<SimilarExecution>, MemoryError> {
        episodic::similar_executions(&self.long_term, tenant, goal, limit, success_only).await
    }

    async fn context(&self, tenant: &TenantId, wanted: &ContextRequest) -> Result<MemoryContext, MemoryError> {
        let tokens = wanted.tokens.unwrap_or(self.context_tokens);
        context::gather(&self.short_term, &self.long_term, tenant, wanted, tokens).await
    }

    async fn forget(&self, tenant: &TenantId, customer: &str) -> Result<ForgetResult, MemoryError> {
        // Short-term memory marks the person first; whatever is removed afterwards cannot be stored again.
        let (threads, messages) = self.short_term.forget(tenant, customer).await?;
        self.inquiries.forget(tenant, customer).await?;
        let long = |of| self.long_term.forget(tenant, of, customer);
        Ok(ForgetResult {
            threads,
            messages,
            knowledge: long(MemoryCollection::Knowledge).await?,
            conversations: long(MemoryCollection::Conversations).await?,
            executions: long(MemoryCollection::Executions).await?,
        })
    }
}

#[cfg(test)]
mod tests;
