//! Knowledge documents in an external index, if the settings name one. Documents that are added or removed here are
//! added or removed there too.

use std::sync::Arc;

use anyhow::{Context, anyhow};
use async_trait::async_trait;
use baton_core::fault::Fault;
use baton_core::id::TenantId;
use baton_memory::MemoryService;
use baton_ports::index::{DocumentIndex as _, MemoryCollection, SourceDocument};
use baton_ports::memory::{AddResult, ForgetResult, KnowledgeError, KnowledgeStore, MemoryStore as _};
use baton_store::sqlite::SqliteStore;
use baton_tools::{ExternalKnowledgeBase, IndexedChunk};

use crate::UsageError;
use crate::project::Project;
use crate::wiring::ProjectSystem;

/// A tenant's external index, if it has one. Otherwise its knowledge is only in Baton's own memory.
pub struct KnowledgeIndex {
    memory: Arc<MemoryService>,
    tenant: TenantId,
    index: Option<ExternalKnowledgeBase>,
    /// How a command line for this project begins.
    command: String,
}

impl KnowledgeIndex {
    /// Makes no network requests.
    pub fn of(project: &Project, system: &ProjectSystem) -> anyhow::Result<Self> {
        KnowledgeStores::of(project, system).of_tenant(&system.tenant)
    }

    /// Adds a document that memory has just stored, unless it was removed meanwhile.
    pub async fn keep(&self, document: &SourceDocument) -> anyhow::Result<()> {
        let Some(index) = &self.index else { return Ok(()) };
        let piece = |(heading, range): (String, std::ops::Range<usize>)| IndexedChunk {
            heading,
            begins: range.start,
            ends: range.end,
        };
        let pieces: Vec<IndexedChunk> = self.memory.split(document).into_iter().map(piece).collect();
        let kept = index.upsert(document, &pieces).await;
        kept.map_err(|fault| index_error(index, &fault))
            .with_context(|| format!("`{}` is not in {}", document.name, index.name()))?;
        let (tenant, of) = (&self.tenant, MemoryCollection::Knowledge);
        if self.memory.has_document(tenant, of, &document.name).await? {
            return Ok(());
        }
        self.remove(&document.name).await
    }

    pub async fn remove(&self, name: &str) -> anyhow::Result<()> {
        let Some(index) = &self.index else { return Ok(()) };
        let removed = index.remove(name).await;
        removed
            .map_err(|fault| index_error(index, &fault))
            .with_context(|| format!("`{name}` may still be in {}: remove it again", index.name()))
    }

    /// Never reports that a person is forgotten before the index confirms it.
    pub async fn forget(&self, customer: &str) -> anyhow::Result<()> {
        let Some(index) = &self.index else { return Ok(()) };
        let forgotten = index.remove_customer(customer).await;
        forgotten.map_err(|fault| index_error(index, &fault)).with_context(|| {
            format!(
                "{customer} is gone from Baton's own memory, and NOT from {}: `{} knowledge forget` again",
                index.name(),
                self.command
            )
        })
    }
}

/// The error of a failed request to the index.
fn index_error(index: &ExternalKnowledgeBase, fault: &Fault) -> anyhow::Error {
    anyhow!("{}: {} ({})", index.name(), fault.message, fault.code)
}

/// The knowledge of every tenant of a process, wherever it is stored.
pub struct KnowledgeStores {
    memory: Arc<MemoryService>,
    store: SqliteStore,
    settings: baton_tools::ToolsConfig,
    command: String,
}

impl KnowledgeStores {
    pub fn of(project: &Project, system: &ProjectSystem) -> Self {
        Self {
            memory: system.memory.clone(),
            store: system.store.clone(),
            settings: project.settings.tools.clone().within(&project.root),
            command: system.command.clone(),
        }
    }

    fn of_tenant(&self, tenant: &TenantId) -> anyhow::Result<KnowledgeIndex> {
        let index = ExternalKnowledgeBase::of(&self.settings, tenant, self.memory.embedder());
        let index = index.map_err(|error| UsageError::new(error.to_string()))?;
        Ok(KnowledgeIndex { memory: self.memory.clone(), tenant: tenant.clone(), index, command: self.command.clone() })
    }
}

fn index_failure(error: &anyhow::Error) -> KnowledgeError {
    KnowledgeError::External { reason: format!("{error:#}") }
}

#[async_trait]
impl KnowledgeStore for KnowledgeStores {
    async fn put_document(&self, tenant: &TenantId, document: SourceDocument) -> Result<AddResult, KnowledgeError> {
        let kept = self.store.document(tenant, MemoryCollection::Knowledge, &document.name).await;
        if let Some(kept) = kept.map_err(|error| KnowledgeError::Memory(error.into()))? {
            KnowledgeError::check_subject(&document.name, kept.head.subject.as_deref(), document.subject.as_deref())?;
        }
        let index = self.of_tenant(tenant).map_err(|error| index_failure(&error))?;
        let added = self.memory.add(tenant, MemoryCollection::Knowledge, document.clone()).await?;
        // A document that is unchanged here may be missing in the external index.
        index.keep(&document).await.map_err(|error| index_failure(&error))?;
        Ok(added)
    }

    async fn remove(&self, tenant: &TenantId, name: &str) -> Result<bool, KnowledgeError> {
        let index = self.of_tenant(tenant).map_err(|error| index_failure(&error))?;
        index.remove(name).await.map_err(|error| index_failure(&error))?;
        Ok(self.memory.remove(tenant, MemoryCollection::Knowledge, name).await?)
    }

    async fn forget(&self, tenant: &TenantId, customer: &str) -> Result<ForgetResult, KnowledgeError> {
        let index = self.of_tenant(tenant).map_err(|error| index_failure(&error))?;
        let forgotten = self.memory.forget(tenant, customer).await?;
        index.forget(customer).await.map_err(|error| index_failure(&error))?;
        Ok(forgotten)
    }

    async fn identifiers(&self, tenant: &TenantId, customer: &str) -> Result<Vec<String>, KnowledgeError> {
        let known = baton_tools::identifiers_of(&self.store, tenant, customer).await;
        known.map_err(|error| KnowledgeError::Memory(error.into()))
    }
}
