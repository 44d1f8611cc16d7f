//! [`Stacks`] behind the index port.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::index::{
    self, Collection, Document, Error, Filter, Generation, Head, Hit, Kept, Laid, Laying, Passage, Recipe, Since,
    Stored, Switched,
};

use super::Stacks;

/// An index in memory. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Index {
    stacks: Arc<Mutex<Stacks>>,
}

impl Index {
    pub fn new() -> Self {
        Self::default()
    }

    fn with<T>(&self, act: impl FnOnce(&mut Stacks) -> T) -> T {
        act(&mut self.stacks.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl index::Index for Index {
    async fn put(
        &self,
        tenant: &TenantId,
        of: Collection,
        document: Document,
        since: Since,
        at: Time,
    ) -> Result<Option<Kept>, Error> {
        self.with(|stacks| stacks.put(tenant, of, document, since, at))
    }

    async fn document(&self, tenant: &TenantId, of: Collection, name: &str) -> Result<Option<Stored>, Error> {
        Ok(self.with(|stacks| stacks.document(tenant, of, name)))
    }

    async fn documents(
        &self,
        tenant: &TenantId,
        of: Collection,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Head>, Error> {
        Ok(self.with(|stacks| stacks.documents(tenant, of, after, limit)))
    }

    async fn remove(&self, tenant: &TenantId, of: Collection, name: &str) -> Result<bool, Error> {
        Ok(self.with(|stacks| stacks.remove(tenant, of, name)))
    }

    async fn forget(&self, tenant: &TenantId, of: Collection, subject: &str, at: Time) -> Result<u64, Error> {
        Ok(self.with(|stacks| stacks.forget(tenant, of, subject, at)))
    }

    async fn forgettings(&self, tenant: &TenantId, of: Collection) -> Result<u64, Error> {
        Ok(self.with(|stacks| stacks.forgettings(tenant, of)))
    }

    async fn generations(&self, tenant: &TenantId, of: Collection) -> Result<Vec<Generation>, Error> {
        Ok(self.with(|stacks| stacks.generations(tenant, of)))
    }

    async fn begin(&self, tenant: &TenantId, of: Collection, recipe: &Recipe, at: Time) -> Result<Generation, Error> {
        Ok(self.with(|stacks| stacks.begin(tenant, of, recipe, at)))
    }

    async fn unlaid(
        &self,
        tenant: &TenantId,
        generation: u64,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Head>, Error> {
        Ok(self.with(|stacks| stacks.unlaid(tenant, generation, after, limit)))
    }

    async fn lay(&self, tenant: &TenantId, generation: u64, laying: Laying) -> Result<Laid, Error> {
        self.with(|stacks| stacks.lay(tenant, generation, laying))
    }

    async fn switch(&self, tenant: &TenantId, generation: u64) -> Result<Switched, Error> {
        Ok(self.with(|stacks| stacks.switch(tenant, generation)))
    }

    async fn discard(&self, tenant: &TenantId, generation: u64) -> Result<(), Error> {
        self.with(|stacks| stacks.discard(tenant, generation));
        Ok(())
    }

    async fn nearest(
        &self,
        tenant: &TenantId,
        generation: u64,
        vector: &[f32],
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<Hit>, Error> {
        Ok(self.with(|stacks| stacks.nearest(tenant, generation, vector, filter, limit)))
    }

    async fn matching(
        &self,
        tenant: &TenantId,
        generation: u64,
        words: &[String],
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<Hit>, Error> {
        Ok(self.with(|stacks| stacks.matching(tenant, generation, words, filter, limit)))
    }

    async fn passages(&self, tenant: &TenantId, generation: u64, pieces: &[u64]) -> Result<Vec<Passage>, Error> {
        Ok(self.with(|stacks| stacks.passages(tenant, generation, pieces)))
    }
}
