//! Documents, stored in full so that a new generation can be built from them.

use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::index::{
    DocumentHeader, DocumentRevision, ForgetWatermark, MemoryCollection, SourceDocument, StoredDocument, scalars,
};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Map, Value};

use super::super::codec;
use super::super::session::WriterSession;
use super::super::sql::numbered;
use super::{forget_marks, generation};

/// Documents that one transaction deletes.
const FORGOTTEN_MAX: usize = 64;

/// The tenant and the collection of documents.
#[derive(Clone, Debug)]
pub(super) struct DocumentScope {
    pub(super) tenant: TenantId,
    pub(super) collection: MemoryCollection,
}

impl DocumentScope {
    pub(super) fn new(tenant: &TenantId, collection: MemoryCollection) -> Self {
        Self { tenant: tenant.clone(), collection }
    }

    pub(super) fn names(&self) -> [&str; 2] {
        [self.tenant.as_str(), self.collection.word()]
    }
}

/// The collection in a column.
pub(super) fn collection(row: &Row<'_>, column: usize) -> rusqlite::Result<MemoryCollection> {
    let found = row.get_ref(column)?.as_str()?;
    MemoryCollection::ALL.into_iter().find(|one| one.word() == found).ok_or_else(|| {
        let unknown = format!("`{found}` is no collection this program knows");
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, unknown.into())
    })
}

/// A document to be stored, with its JSON as text.
pub(super) struct DocumentPut {
    scope: DocumentScope,
    document: SourceDocument,
    metadata: String,
    body: String,
    since: ForgetWatermark,
    at: Time,
}

impl DocumentPut {
    pub(super) fn new(scope: DocumentScope, document: SourceDocument, since: ForgetWatermark, at: Time) -> Self {
        let metadata = Value::Object(document.metadata.clone()).to_string();
        let body = document.body.to_string();
        Self { scope, document, metadata, body, since, at }
    }

    pub(super) fn bytes(&self) -> usize {
        self.document.text.len() + self.body.len() + self.metadata.len()
    }

    pub(super) fn perform(&self, session: &mut WriterSession<'_>) -> rusqlite::Result<Option<DocumentRevision>> {
        let [tenant, collection] = self.scope.names();
        let SourceDocument { name, title, subject, metadata, text, .. } = &self.document;
        if let Some(subject) = subject
            && forget_marks::is_forgotten_since(session, &self.scope, &forget_marks::person_hash(subject), self.since)?
        {
            return Ok(None);
        }
        let mut find = session.statement(
            "SELECT id, revision, title = $4 AND subject IS $5 AND metadata = $6 AND body = $7 AND text = $8 \
             FROM memory_document WHERE tenant = $1 AND collection = $2 AND name = $3",
        )?;
        let values = params![tenant, collection, name, title, subject, self.metadata, self.body, text];
        let before: Option<(u64, u64, bool)> =
            find.query_row(values, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
        if let Some((number, revision, true)) = before {
            return Ok(Some(DocumentRevision { number, revision }));
        }
        let revision = before.map_or(0, |(_, revision, _)| revision) + 1;
        let mut put = session.statement(
            "INSERT INTO memory_document (tenant, collection, name, title, subject, metadata, body, text, revision, at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (tenant, collection, name) DO UPDATE SET \
             title = excluded.title, subject = excluded.subject, metadata = excluded.metadata, body = excluded.body, \
             text = excluded.text, revision = excluded.revision, at = excluded.at RETURNING id",
        )?;
        let values = params![
            tenant,
            collection,
            name,
            title,
            subject,
            self.metadata,
            self.body,
            text,
            revision,
            self.at.as_ms()
        ];
        let number: u64 = put.query_row(values, |row| row.get(0))?;
        self.tag(session, number, metadata)?;
        Ok(Some(DocumentRevision { number, revision }))
    }

    fn tag(&self, session: &WriterSession<'_>, document: u64, metadata: &Map<String, Value>) -> rusqlite::Result<()> {
        untag(session, document)?;
        let [tenant, collection] = self.scope.names();
        let mut tag = session.statement(
            "INSERT OR IGNORE INTO memory_tag (tenant, collection, key, value, document) VALUES ($1, $2, $3, $4, $5)",
        )?;
        for (key, value) in metadata {
            for scalar in scalars(value) {
                tag.execute(params![tenant, collection, key, tag_value(scalar), document])?;
            }
        }
        Ok(())
    }
}

/// A value as stored in tags. An integer has the same form however it was written.
pub(super) fn tag_value(scalar: &Value) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "checked to be a whole number of that size")]
    match scalar.as_f64() {
        Some(number) if number.fract() == 0.0 && number.abs() < 2f64.powi(53) => (number as i64).to_string(),
        _ => scalar.to_string(),
    }
}

fn untag(session: &WriterSession<'_>, document: u64) -> rusqlite::Result<()> {
    session.statement("DELETE FROM memory_tag WHERE document = $1")?.execute([document]).map(drop)
}

const HEAD: &str = "name, title, subject, metadata, revision, at";

/// Decodes the columns of [`HEAD`], starting with this one.
pub(super) fn head(row: &Row<'_>, first: usize) -> rusqlite::Result<DocumentHeader> {
    let metadata = match codec::json(row, first + 3)? {
        Value::Object(fields) => fields,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    };
    Ok(DocumentHeader {
        name: row.get(first)?,
        title: row.get(first + 1)?,
        subject: row.get(first + 2)?,
        metadata,
        revision: row.get(first + 4)?,
        at: codec::time(row, first + 5)?,
    })
}

pub(super) fn get(
    connection: &Connection,
    scope: &DocumentScope,
    name: &str,
) -> rusqlite::Result<Option<StoredDocument>> {
    let mut one = connection.prepare_cached(&numbered(&format!(
        "SELECT {HEAD}, text, body, id FROM memory_document WHERE tenant = $1 AND collection = $2 AND name = $3"
    )))?;
    let [tenant, collection] = scope.names();
    one.query_row([tenant, collection, name], |row| {
        Ok(StoredDocument { number: row.get(8)?, head: head(row, 0)?, text: row.get(6)?, body: codec::json(row, 7)? })
    })
    .optional()
}

pub(super) fn list(
    connection: &Connection,
    scope: &DocumentScope,
    after: &str,
    limit: usize,
) -> rusqlite::Result<Vec<DocumentHeader>> {
    let mut all = connection.prepare_cached(&numbered(&format!(
        "SELECT {HEAD} FROM memory_document WHERE tenant = $1 AND collection = $2 AND name > $3 \
         ORDER BY name LIMIT $4"
    )))?;
    let [tenant, collection] = scope.names();
    all.query_map(params![tenant, collection, after, limit], |row| head(row, 0))?.collect()
}

pub(super) fn unindexed(
    connection: &Connection,
    tenant: &TenantId,
    generation: u64,
    after: &str,
    limit: usize,
) -> rusqlite::Result<Vec<DocumentHeader>> {
    let Some(found) = generation::one(connection, tenant, generation)? else { return Ok(Vec::new()) };
    let mut all = connection.prepare_cached(&numbered(&format!(
        "SELECT {HEAD} FROM memory_document WHERE tenant = $1 AND collection = $2 AND name > $3 AND {UNLAID} \
         ORDER BY name LIMIT $5"
    )))?;
    let [tenant, collection] = found.scope.names();
    all.query_map(params![tenant, collection, after, generation, limit], |row| head(row, 0))?.collect()
}

/// The condition that a document's newest revision is not indexed in generation `$4`.
pub(super) const UNLAID: &str = "NOT EXISTS (SELECT 1 FROM memory_laid WHERE generation = $4 \
     AND document = memory_document.id AND memory_laid.revision = memory_document.revision)";

pub(super) fn remove(session: &mut WriterSession<'_>, scope: &DocumentScope, name: &str) -> rusqlite::Result<bool> {
    let mut find =
        session.statement("SELECT id FROM memory_document WHERE tenant = $1 AND collection = $2 AND name = $3")?;
    let [tenant, collection] = scope.names();
    let Some(document) = find.query_row([tenant, collection, name], |row| row.get(0)).optional()? else {
        return Ok(false);
    };
    remove_one(session, document)?;
    Ok(true)
}

/// Deletes some documents about a person, and returns how many.
pub(super) fn forget(session: &mut WriterSession<'_>, scope: &DocumentScope, subject: &str) -> rusqlite::Result<u64> {
    let mut find = session
        .statement("SELECT id FROM memory_document WHERE tenant = $1 AND collection = $2 AND subject = $3 LIMIT $4")?;
    let [tenant, collection] = scope.names();
    let found = find.query_map(params![tenant, collection, subject, FORGOTTEN_MAX], |row| row.get(0))?;
    let documents: Vec<u64> = found.collect::<rusqlite::Result<_>>()?;
    documents.iter().try_for_each(|document| remove_one(session, *document))?;
    Ok(documents.len() as u64)
}

/// Nothing of the document is found from now on; its chunks are garbage.
fn remove_one(session: &mut WriterSession<'_>, document: u64) -> rusqlite::Result<()> {
    untag(session, document)?;
    generation::subtract_document(session, document)?;
    session.statement("DELETE FROM memory_laid WHERE document = $1")?.execute([document])?;
    session.statement("DELETE FROM memory_document WHERE id = $1")?.execute([document])?;
    let mut debris = session.statement("INSERT INTO memory_debris (document, below) VALUES ($1, $2)")?;
    debris.execute(params![document, i64::MAX]).map(drop)
}
