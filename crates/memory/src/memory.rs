//! The way in: all memories behind one port.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_ports::clock::Clock;
use baton_ports::embed::{Embedder, Till};
use baton_ports::index::{Collection, Document, Head, Index, Recipe};
use baton_ports::memory::{
    self, Added, Closing, Context, Error, Execution, Forgotten, Found, Inquired, Inquiry, Message, Over, Reindexed,
    Search, SimilarExecution, Summary, Thread, Wanted,
};
use baton_ports::models::{Asker, Models};
use baton_ports::records::Records;
use serde_json::{Map, Value};

use crate::closing::Closings;
use crate::config::{Config, Wrong};
use crate::context;
use crate::embed::Embedders;
use crate::episodic;
use crate::inquiry::{Inquiries, Verdicts};
use crate::long::Long;
use crate::marks::Marks;
use crate::short::Short;
use crate::summary::Summaries;

/// What memory is made of.
pub struct Parts {
    pub index: Arc<dyn Index>,
    pub records: Arc<dyn Records>,
    /// Writes summaries, which are excerpts without one, and judges inquiries, which have one round without one.
    pub models: Option<Arc<dyn Models>>,
    pub clock: Arc<dyn Clock>,
}

/// All that is remembered, of every tenant.
pub struct Memory {
    long: Long,
    short: Short,
    summaries: Summaries,
    inquiries: Inquiries,
    /// Tokens of a context that asks for no other number.
    context_tokens: usize,
}

impl Memory {
    /// How new pieces are made, by the settings of now. What answers may have been made otherwise, until it is built anew.
    pub fn recipe(&self) -> Recipe {
        self.long.recipe()
    }

    /// What makes vectors of new documents, for those who search elsewhere by the same.
    pub fn embedder(&self) -> Arc<dyn Embedder> {
        self.long.embedder_of_new()
    }

    /// Whether a document is kept.
    ///
    /// # Errors
    /// The index cannot be read.
    pub async fn holds(&self, tenant: &TenantId, of: Collection, name: &str) -> Result<bool, Error> {
        Ok(self.long.document(tenant, of, name).await?.is_some())
    }

    /// A document as it is cut by the settings of now, for those who keep it elsewhere: the headings of each piece, and the
    /// bytes of the text it is.
    pub fn cut(&self, document: &Document) -> Vec<(String, Range<usize>)> {
        self.long.cut(document)
    }

    /// Opens nothing and connects to nothing.
    ///
    /// # Errors
    /// A setting that cannot be used, by name.
    pub fn new(config: &Config, parts: Parts) -> Result<Self, Wrong> {
        Self::paid_by(config, parts, None)
    }

    /// The same, and vectors that cost something are paid for.
    ///
    /// # Errors
    /// As [`Memory::new`].
    pub fn paid_by(config: &Config, parts: Parts, till: Option<Arc<dyn Till>>) -> Result<Self, Wrong> {
        config.check()?;
        let Parts { index, records, models, clock } = parts;
        let embedders = Embedders::new(config, clock.clone(), till)?;
        let marks = Arc::new(Marks::new(records.clone(), clock.clone()));
        Ok(Self {
            long: Long::new(index, embedders, config.chunking(), clock.clone()),
            inquiries: Inquiries::new(
                models.clone(),
                config.prompts.clone(),
                Verdicts::new(records.clone(), marks.clone(), clock.clone()),
            ),
            short: Short::new(records, marks, clock),
            summaries: Summaries::new(models, config.prompts.clone()),
            context_tokens: config.context_tokens,
        })
    }

    fn closings(&self) -> Closings<'_> {
        Closings { short: &self.short, long: &self.long, summaries: &self.summaries }
    }
}

#[async_trait]
impl memory::Memory for Memory {
    async fn add(&self, tenant: &TenantId, of: Collection, document: Document) -> Result<Added, Error> {
        self.long.add(tenant, of, document).await
    }

    async fn remove(&self, tenant: &TenantId, of: Collection, name: &str) -> Result<bool, Error> {
        self.long.remove(tenant, of, name).await
    }

    async fn documents(
        &self,
        tenant: &TenantId,
        of: Collection,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Head>, Error> {
        self.long.documents(tenant, of, after, limit).await
    }

    async fn search(&self, tenant: &TenantId, search: &Search) -> Result<Found, Error> {
        self.long.search(tenant, search).await
    }

    async fn inquire(&self, asker: &Asker, inquiry: &Inquiry) -> Result<Inquired, Error> {
        self.inquiries.perform(&self.long, asker, inquiry).await
    }

    async fn reindex(&self, tenant: &TenantId, of: Collection) -> Result<Reindexed, Error> {
        self.long.reindex(tenant, of).await
    }

    async fn say(
        &self,
        tenant: &TenantId,
        conversation: &str,
        customer: Option<&str>,
        message: Message,
    ) -> Result<(), Error> {
        self.short.say(tenant, conversation, customer, message).await
    }

    async fn thread(&self, tenant: &TenantId, conversation: &str) -> Result<Option<Thread>, Error> {
        self.short.thread(tenant, conversation).await
    }

    async fn recent(&self, tenant: &TenantId, conversation: &str, limit: usize) -> Result<Vec<Message>, Error> {
        self.short.recent(tenant, conversation, limit).await
    }

    async fn set_session(
        &self,
        tenant: &TenantId,
        conversation: &str,
        fields: &Map<String, Value>,
    ) -> Result<(), Error> {
        self.short.set_session(tenant, conversation, fields).await
    }

    async fn summarise(&self, asker: &Asker, conversation: &str, but: usize) -> Result<Option<Summary>, Error> {
        let since = self.short.begin(&asker.tenant).await?;
        self.summaries.keep_up(&self.short, asker, conversation, since, but).await
    }

    async fn close(&self, asker: &Asker, conversation: &str, closing: Closing) -> Result<Summary, Error> {
        self.closings().close(asker, conversation, &closing).await
    }

    async fn keep(&self, tenant: &TenantId, over: Over) -> Result<bool, Error> {
        self.closings().keep(tenant, over).await
    }

    async fn record_execution(&self, tenant: &TenantId, execution: Execution) -> Result<(), Error> {
        let document = episodic::execution(execution)?;
        match self.long.add(tenant, Collection::Executions, document).await {
            // As if it had been kept just before.
            Ok(_) | Err(Error::Forgotten { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn similar_executions(
        &self,
        tenant: &TenantId,
        goal: &str,
        limit: usize,
        success_only: bool,
    ) -> Result<Vec<SimilarExecution>, Error> {
        episodic::similar_executions(&self.long, tenant, goal, limit, success_only).await
    }

    async fn context(&self, tenant: &TenantId, wanted: &Wanted) -> Result<Context, Error> {
        let tokens = wanted.tokens.unwrap_or(self.context_tokens);
        context::gather(&self.short, &self.long, tenant, wanted, tokens).await
    }

    async fn forget(&self, tenant: &TenantId, customer: &str) -> Result<Forgotten, Error> {
        // Short-term memory marks the person first; what is removed after that cannot come back.
        let (threads, messages) = self.short.forget(tenant, customer).await?;
        self.inquiries.forget(tenant, customer).await?;
        let long = |of| self.long.forget(tenant, of, customer);
        Ok(Forgotten {
            threads,
            messages,
            knowledge: long(Collection::Knowledge).await?,
            conversations: long(Collection::Conversations).await?,
            executions: long(Collection::Executions).await?,
        })
    }
}

#[cfg(test)]
mod tests;
