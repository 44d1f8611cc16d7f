//! Long-term memory: documents, found by meaning and by word.

mod laying;
mod search;

use std::ops::Range;
use std::sync::Arc;

use baton_core::id::TenantId;
use baton_ports::clock::Clock;
use baton_ports::embed::Embedder;
use baton_ports::index::{Collection, Document, Generation, Head, Index, Kept, Recipe, Since, Stored, Switched};
use baton_ports::memory::{Added, Error, Reindexed};
use futures::StreamExt;

use crate::chunk::Chunking;
use crate::embed::Embedders;
use laying::Outcome;

/// Documents that are embedded side by side while a collection is built: an endpoint answers one slowly and several as
/// slowly.
const BUILT_AT_ONCE: usize = 8;
/// Documents looked up at once.
const PAGE: usize = 200;

/// All documents, of every tenant.
pub(crate) struct Long {
    index: Arc<dyn Index>,
    embedders: Embedders,
    chunking: Chunking,
    clock: Arc<dyn Clock>,
}

impl Long {
    pub(crate) fn new(index: Arc<dyn Index>, embedders: Embedders, chunking: Chunking, clock: Arc<dyn Clock>) -> Self {
        Self { index, embedders, chunking, clock }
    }

    /// The one that the settings name.
    pub(crate) fn embedder_of_new(&self) -> Arc<dyn Embedder> {
        self.embedders.current().clone()
    }

    pub(crate) fn cut(&self, document: &Document) -> Vec<(String, Range<usize>)> {
        let chunks = self.chunking.cut(&document.title, &document.text);
        chunks.into_iter().map(|chunk| (chunk.heading, chunk.range)).collect()
    }

    #[cfg(test)]
    pub(crate) fn use_embedder(&mut self, embedder: Arc<dyn Embedder>) {
        self.embedders.replace_current(embedder, self.clock.clone());
    }

    /// When a work begins that will keep documents about persons: to be asked before it reads anything.
    pub(crate) async fn begin(&self, tenant: &TenantId, of: Collection) -> Result<Since, Error> {
        let at = self.clock.now();
        Ok(Since { forgettings: self.index.forgettings(tenant, of).await?, at })
    }

    pub(crate) async fn add(&self, tenant: &TenantId, of: Collection, document: Document) -> Result<Added, Error> {
        let since = self.begin(tenant, of).await?;
        self.add_since(tenant, of, document, since).await
    }

    /// By the recipe of what answers, so that the document is found with its like. Refused where the person it is about
    /// was forgotten since.
    pub(crate) async fn add_since(
        &self,
        tenant: &TenantId,
        of: Collection,
        document: Document,
        since: Since,
    ) -> Result<Added, Error> {
        let generation = match self.live(tenant, of).await? {
            Some(live) => live,
            None => self.index.begin(tenant, of, &self.recipe(), self.clock.now()).await?,
        };
        // Asked before anything is kept: a document that cannot be made findable is refused.
        let embedder = self.embedder(of, &generation)?;
        let (name, subject) = (document.name.clone(), document.subject.clone());
        let Some(Kept { revision, .. }) = self.index.put(tenant, of, document, since, self.clock.now()).await? else {
            return Err(Error::Forgotten { person: subject.unwrap_or_default() });
        };
        match self.lay_newest(tenant, of, &generation, embedder, &name).await? {
            Outcome::Laid { pieces } => Ok(Added { revision, pieces, unchanged: false }),
            Outcome::Nothing => Ok(Added { revision, pieces: 0, unchanged: true }),
        }
    }

    pub(crate) async fn remove(&self, tenant: &TenantId, of: Collection, name: &str) -> Result<bool, Error> {
        Ok(self.index.remove(tenant, of, name).await?)
    }

    pub(crate) async fn forget(&self, tenant: &TenantId, of: Collection, subject: &str) -> Result<u64, Error> {
        Ok(self.index.forget(tenant, of, subject, self.clock.now()).await?)
    }

    pub(crate) async fn documents(
        &self,
        tenant: &TenantId,
        of: Collection,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Head>, Error> {
        Ok(self.index.documents(tenant, of, after, limit).await?)
    }

    pub(crate) async fn document(
        &self,
        tenant: &TenantId,
        of: Collection,
        name: &str,
    ) -> Result<Option<Stored>, Error> {
        Ok(self.index.document(tenant, of, name).await?)
    }

    /// Until every document is in, those included that come or change meanwhile.
    pub(crate) async fn reindex(&self, tenant: &TenantId, of: Collection) -> Result<Reindexed, Error> {
        let generation = self.index.begin(tenant, of, &self.recipe(), self.clock.now()).await?;
        let embedder = self.embedder(of, &generation)?;
        loop {
            self.lay_all(tenant, of, &generation, embedder).await?;
            match self.index.switch(tenant, generation.id).await? {
                Switched::Done => break,
                Switched::Behind { .. } => {}
                Switched::Gone => {
                    let reason = "another build of it has begun; wait for that, or begin again".to_owned();
                    return Err(Error::Invalid { what: format!("the build of `{of}`"), reason });
                }
            }
        }
        let now = self.live(tenant, of).await?;
        let (documents, pieces) = now.map_or((0, 0), |live| (live.documents, live.pieces));
        Ok(Reindexed { collection: of, embedder: embedder.space().to_string(), documents, pieces })
    }

    async fn lay_all(
        &self,
        tenant: &TenantId,
        of: Collection,
        generation: &Generation,
        embedder: &Arc<dyn Embedder>,
    ) -> Result<(), Error> {
        let mut after: Option<String> = None;
        loop {
            let page = self.index.unlaid(tenant, generation.id, after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.name.clone());
            let laying = page
                .into_iter()
                .map(|head| async move { self.lay_newest(tenant, of, generation, embedder, &head.name).await });
            let mut laying = futures::stream::iter(laying).buffer_unordered(BUILT_AT_ONCE);
            while let Some(laid) = laying.next().await {
                laid?;
            }
        }
    }

    /// What answers.
    async fn live(&self, tenant: &TenantId, of: Collection) -> Result<Option<Generation>, Error> {
        let generations = self.index.generations(tenant, of).await?;
        Ok(generations.into_iter().find(|generation| generation.live))
    }

    pub(crate) fn recipe(&self) -> Recipe {
        Recipe { space: self.embedders.current().space().clone(), chunking: self.chunking.name() }
    }

    /// The embedder that made a generation.
    fn embedder(&self, of: Collection, generation: &Generation) -> Result<&Arc<dyn Embedder>, Error> {
        let space = &generation.recipe.space;
        self.embedders.of(space).ok_or_else(|| Error::OtherEmbedder { collection: of, space: space.to_string() })
    }
}
