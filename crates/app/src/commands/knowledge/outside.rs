//! Documents in an index outside, where the project's settings name one: what is kept or taken away here is there too.

use std::sync::Arc;

use anyhow::{Context, anyhow};
use async_trait::async_trait;
use baton_core::fault::Fault;
use baton_core::id::TenantId;
use baton_memory::Memory;
use baton_ports::index::{Collection, Document, Index as _};
use baton_ports::memory::{Added, Forgotten, Knowledge, Memory as _, Unkept};
use baton_store::sqlite::Store;
use baton_tools::{KnowledgeOutside, KnowledgePiece};

use crate::Misuse;
use crate::project::Project;
use crate::wire::System;

/// A tenant's index outside; none where its knowledge is in Baton's own memory.
pub struct Outside {
    memory: Arc<Memory>,
    tenant: TenantId,
    index: Option<KnowledgeOutside>,
    /// How a command line begins that speaks of this project.
    command: String,
}

impl Outside {
    /// Asks nobody.
    pub fn of(project: &Project, system: &System) -> anyhow::Result<Self> {
        Shelf::of(project, system).of_tenant(&system.tenant)
    }

    /// Keeps what memory has just kept, unless that was taken away meanwhile.
    pub async fn keep(&self, document: &Document) -> anyhow::Result<()> {
        let Some(index) = &self.index else { return Ok(()) };
        let piece = |(heading, range): (String, std::ops::Range<usize>)| KnowledgePiece {
            heading,
            begins: range.start,
            ends: range.end,
        };
        let pieces: Vec<KnowledgePiece> = self.memory.cut(document).into_iter().map(piece).collect();
        let kept = index.keep(document, &pieces).await;
        kept.map_err(|fault| told(index, &fault))
            .with_context(|| format!("`{}` is not in {}", document.name, index.name()))?;
        let (tenant, of) = (&self.tenant, Collection::Knowledge);
        if self.memory.holds(tenant, of, &document.name).await? {
            return Ok(());
        }
        self.remove(&document.name).await
    }

    pub async fn remove(&self, name: &str) -> anyhow::Result<()> {
        let Some(index) = &self.index else { return Ok(()) };
        let removed = index.remove(name).await;
        removed
            .map_err(|fault| told(index, &fault))
            .with_context(|| format!("`{name}` may still be in {}: remove it again", index.name()))
    }

    /// Never says that a person is forgotten where they are not.
    pub async fn forget(&self, customer: &str) -> anyhow::Result<()> {
        let Some(index) = &self.index else { return Ok(()) };
        let forgotten = index.forget(customer).await;
        forgotten.map_err(|fault| told(index, &fault)).with_context(|| {
            format!(
                "{customer} is gone from Baton's own memory, and NOT from {}: `{} knowledge forget` again",
                index.name(),
                self.command
            )
        })
    }
}

/// Why it could not be done.
fn told(index: &KnowledgeOutside, fault: &Fault) -> anyhow::Error {
    anyhow!("{}: {} ({})", index.name(), fault.message, fault.code)
}

/// Knowledge of every tenant of a process, wherever it is kept.
pub struct Shelf {
    memory: Arc<Memory>,
    store: Store,
    settings: baton_tools::Config,
    command: String,
}

impl Shelf {
    pub fn of(project: &Project, system: &System) -> Self {
        Self {
            memory: system.memory.clone(),
            store: system.store.clone(),
            settings: project.settings.tools.clone().within(&project.root),
            command: system.command.clone(),
        }
    }

    fn of_tenant(&self, tenant: &TenantId) -> anyhow::Result<Outside> {
        let index = KnowledgeOutside::of(&self.settings, tenant, self.memory.embedder());
        let index = index.map_err(|error| Misuse::new(error.to_string()))?;
        Ok(Outside { memory: self.memory.clone(), tenant: tenant.clone(), index, command: self.command.clone() })
    }
}

fn outside(error: &anyhow::Error) -> Unkept {
    Unkept::Outside { reason: format!("{error:#}") }
}

#[async_trait]
impl Knowledge for Shelf {
    async fn keep(&self, tenant: &TenantId, document: Document) -> Result<Added, Unkept> {
        let kept = self.store.document(tenant, Collection::Knowledge, &document.name).await;
        if let Some(kept) = kept.map_err(|error| Unkept::Memory(error.into()))? {
            Unkept::other_owner(&document.name, kept.head.subject.as_deref(), document.subject.as_deref())?;
        }
        let index = self.of_tenant(tenant).map_err(|error| outside(&error))?;
        let added = self.memory.add(tenant, Collection::Knowledge, document.clone()).await?;
        // One that is unchanged here may not have come to be there.
        index.keep(&document).await.map_err(|error| outside(&error))?;
        Ok(added)
    }

    async fn remove(&self, tenant: &TenantId, name: &str) -> Result<bool, Unkept> {
        let index = self.of_tenant(tenant).map_err(|error| outside(&error))?;
        index.remove(name).await.map_err(|error| outside(&error))?;
        Ok(self.memory.remove(tenant, Collection::Knowledge, name).await?)
    }

    async fn forget(&self, tenant: &TenantId, customer: &str) -> Result<Forgotten, Unkept> {
        let index = self.of_tenant(tenant).map_err(|error| outside(&error))?;
        let forgotten = self.memory.forget(tenant, customer).await?;
        index.forget(customer).await.map_err(|error| outside(&error))?;
        Ok(forgotten)
    }

    async fn identifiers(&self, tenant: &TenantId, customer: &str) -> Result<Vec<String>, Unkept> {
        let known = baton_tools::identifiers_of(&self.store, tenant, customer).await;
        known.map_err(|error| Unkept::Memory(error.into()))
    }
}
