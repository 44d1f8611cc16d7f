//! The index port. Pieces lie in ordinary tables and are found by two structures of their generation: packed signs of
//! their vectors, looked through whole and then compared exactly, and a full-text table (FTS5).

pub(super) mod code;
mod debris;
mod document;
mod filter;
mod forgotten;
mod generation;
mod laying;
mod matching;
mod nearest;
mod passage;
mod place;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::index::{
    self, Collection, Document, Error, Filter, Generation, HITS_MAX, Head, Hit, Index, Kept, Laid, Laying, PAGE_MAX,
    Passage, Recipe, Since, Stored, Switched,
};

use super::Store;
use super::session::Session;
use super::task::Answer;
use document::{Put, Scope};

impl Answer for u64 {}
impl Answer for Option<Kept> {}
impl Answer for Laid {}
impl Answer for Switched {}
impl Answer for Generation {}

#[async_trait]
impl Index for Store {
    async fn put(
        &self,
        tenant: &TenantId,
        collection: Collection,
        document: Document,
        since: Since,
        at: Time,
    ) -> Result<Option<Kept>, Error> {
        index::check(&document)?;
        let put = Put::new(Scope::new(tenant, collection), document, since, at);
        self.keep(put.bytes(), move |session| put.perform(session).map(Ok)).await
    }

    async fn document(&self, tenant: &TenantId, collection: Collection, name: &str) -> Result<Option<Stored>, Error> {
        let (scope, name) = (Scope::new(tenant, collection), name.to_owned());
        self.read(move |connection| document::get(connection, &scope, &name)).await
    }

    async fn documents(
        &self,
        tenant: &TenantId,
        collection: Collection,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Head>, Error> {
        let (scope, after) = (Scope::new(tenant, collection), after.unwrap_or_default().to_owned());
        self.read(move |connection| document::list(connection, &scope, &after, limit.min(PAGE_MAX))).await
    }

    async fn remove(&self, tenant: &TenantId, collection: Collection, name: &str) -> Result<bool, Error> {
        let (scope, name) = (Scope::new(tenant, collection), name.to_owned());
        let was_there = self.keep(0, move |session| document::remove(session, &scope, &name).map(Ok)).await?;
        self.sweep().await?;
        Ok(was_there)
    }

    async fn forget(&self, tenant: &TenantId, collection: Collection, subject: &str, at: Time) -> Result<u64, Error> {
        // The mark comes first: what is put before it is removed below, and what comes after it is refused.
        let (scope, person) = (Scope::new(tenant, collection), forgotten::person(subject));
        self.keep(0, move |session| forgotten::mark(session, &scope, &person, at).map(Ok)).await?;
        let mut removed = 0;
        loop {
            let (scope, subject) = (Scope::new(tenant, collection), subject.to_owned());
            let some = self.keep(0, move |session| document::forget(session, &scope, &subject).map(Ok)).await?;
            if some == 0 {
                break;
            }
            removed += some;
        }
        self.sweep().await?;
        for generation in self.generations(tenant, collection).await? {
            let mut is_first = true;
            while self.keep(0, move |session| debris::merge(session, generation.id, is_first).map(Ok)).await? {
                is_first = false;
            }
        }
        Ok(removed)
    }

    async fn forgettings(&self, tenant: &TenantId, collection: Collection) -> Result<u64, Error> {
        let scope = Scope::new(tenant, collection);
        self.read(move |connection| forgotten::count(connection, &scope)).await
    }

    async fn generations(&self, tenant: &TenantId, collection: Collection) -> Result<Vec<Generation>, Error> {
        let scope = Scope::new(tenant, collection);
        self.read(move |connection| generation::all(connection, &scope)).await
    }

    async fn begin(
        &self,
        tenant: &TenantId,
        collection: Collection,
        recipe: &Recipe,
        at: Time,
    ) -> Result<Generation, Error> {
        let (scope, recipe) = (Scope::new(tenant, collection), recipe.clone());
        let begun = self.keep(0, move |session| generation::begin(session, &scope, &recipe, at).map(Ok)).await?;
        self.sweep().await?;
        Ok(begun)
    }

    async fn unlaid(
        &self,
        tenant: &TenantId,
        generation: u64,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Head>, Error> {
        let (tenant, after) = (tenant.clone(), after.unwrap_or_default().to_owned());
        self.read(move |connection| document::unlaid(connection, &tenant, generation, &after, limit.min(PAGE_MAX)))
            .await
    }

    async fn lay(&self, tenant: &TenantId, generation: u64, laying: Laying) -> Result<Laid, Error> {
        let (is_last, lay) = (laying.is_last, laying::Lay::new(tenant.clone(), generation, laying)?);
        let laid = self.keep(lay.bytes(), move |session| lay.perform(session)).await?;
        if is_last && laid == Laid::Done {
            self.sweep().await?;
        }
        Ok(laid)
    }

    async fn switch(&self, tenant: &TenantId, generation: u64) -> Result<Switched, Error> {
        let tenant = tenant.clone();
        let switched = self.keep(0, move |session| generation::switch(session, &tenant, generation).map(Ok)).await?;
        self.sweep().await?;
        Ok(switched)
    }

    async fn discard(&self, tenant: &TenantId, generation: u64) -> Result<(), Error> {
        let tenant = tenant.clone();
        self.keep(0, move |session| generation::discard_building(session, &tenant, generation).map(Ok)).await?;
        self.sweep().await
    }

    async fn nearest(
        &self,
        tenant: &TenantId,
        generation: u64,
        vector: &[f32],
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<Hit>, Error> {
        let (tenant, vector, filter) = (tenant.clone(), vector.to_vec(), filter.clone());
        let limit = limit.min(HITS_MAX);
        self.read(move |connection| {
            let Some(found) = generation::one(connection, &tenant, generation)? else { return Ok(Vec::new()) };
            let chosen = filter::chosen(connection, &found.scope, &filter)?;
            nearest::search(connection, &found.generation, &vector, &chosen, limit)
        })
        .await
    }

    async fn matching(
        &self,
        tenant: &TenantId,
        generation: u64,
        words: &[String],
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<Hit>, Error> {
        let (tenant, words, filter) = (tenant.clone(), words.to_vec(), filter.clone());
        let limit = limit.min(HITS_MAX);
        self.read(move |connection| {
            let Some(found) = generation::one(connection, &tenant, generation)? else { return Ok(Vec::new()) };
            let chosen = filter::chosen(connection, &found.scope, &filter)?;
            matching::search(connection, generation, &words, &chosen, limit)
        })
        .await
    }

    async fn passages(&self, tenant: &TenantId, generation: u64, pieces: &[u64]) -> Result<Vec<Passage>, Error> {
        let (tenant, pieces) = (tenant.clone(), pieces.to_vec());
        self.read(move |connection| {
            let Some(found) = generation::one(connection, &tenant, generation)? else { return Ok(Vec::new()) };
            passage::read(connection, &found, pieces.get(..HITS_MAX).unwrap_or(&pieces))
        })
        .await
    }
}

impl Store {
    /// A write of the index.
    async fn keep<A, T>(&self, bytes: usize, act: A) -> Result<T, Error>
    where
        A: FnMut(&mut Session<'_>) -> rusqlite::Result<Result<T, Error>> + Send + 'static,
        T: Answer + 'static,
    {
        self.write(bytes, act).await
    }

    /// Clears away what cannot be found any more, a little in each transaction: nobody waits for all of it.
    async fn sweep(&self) -> Result<(), Error> {
        while self.keep(0, |session| debris::some(session).map(Ok)).await? {}
        Ok(())
    }
}
