//! Documents in an index outside, where the project's settings name one: what is kept or taken away here is there too.

use anyhow::{Context, anyhow};
use baton_core::fault::Fault;
use baton_ports::index::{Collection, Document};
use baton_tools::{KnowledgeOutside, KnowledgePiece};

use crate::Misuse;
use crate::project::Project;
use crate::wire::System;

/// The index outside; none where the tenant's knowledge is in Baton's own memory.
pub struct Outside<'s> {
    system: &'s System,
    index: Option<KnowledgeOutside>,
}

impl<'s> Outside<'s> {
    /// Asks nobody.
    pub fn of(project: &Project, system: &'s System) -> anyhow::Result<Self> {
        let settings = project.settings.tools.clone().within(&project.root);
        let index = KnowledgeOutside::of(&settings, &system.tenant, system.memory.embedder());
        Ok(Self { system, index: index.map_err(|error| Misuse::new(error.to_string()))? })
    }

    /// Keeps what memory has just kept, unless that was taken away meanwhile.
    pub async fn keep(&self, document: &Document) -> anyhow::Result<()> {
        let Some(index) = &self.index else { return Ok(()) };
        let piece = |(heading, range): (String, std::ops::Range<usize>)| KnowledgePiece {
            heading,
            begins: range.start,
            ends: range.end,
        };
        let pieces: Vec<KnowledgePiece> = self.system.memory.cut(document).into_iter().map(piece).collect();
        let kept = index.keep(document, &pieces).await;
        kept.map_err(|fault| told(index, &fault))
            .with_context(|| format!("`{}` is not in {}", document.name, index.name()))?;
        let (tenant, of) = (&self.system.tenant, Collection::Knowledge);
        if self.system.memory.holds(tenant, of, &document.name).await? {
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
                self.system.command
            )
        })
    }
}

/// Why it could not be done.
fn told(index: &KnowledgeOutside, fault: &Fault) -> anyhow::Error {
    anyhow!("{}: {} ({})", index.name(), fault.message, fault.code)
}
