//! Selects the documents of a search.

use std::collections::HashSet;

use baton_ports::index::{DocumentFilter, SubjectFilter, scalars};
use rusqlite::{Connection, params};
use serde_json::Value;

use super::super::sql::numbered;
use super::document::{DocumentScope, tag_value};

/// The documents that meet every condition.
#[derive(Default)]
pub(super) struct DocumentSelection {
    /// `None` means all documents.
    only: Option<HashSet<i64>>,
    but: HashSet<i64>,
}

impl DocumentSelection {
    pub(super) fn contains(&self, document: i64) -> bool {
        !self.but.contains(&document) && self.only.as_ref().is_none_or(|only| only.contains(&document))
    }

    fn and(&mut self, found: HashSet<i64>) {
        match &mut self.only {
            Some(only) => only.retain(|document| found.contains(document)),
            None => self.only = Some(found),
        }
    }
}

pub(super) fn chosen(
    connection: &Connection,
    scope: &DocumentScope,
    filter: &DocumentFilter,
) -> rusqlite::Result<DocumentSelection> {
    let mut chosen = DocumentSelection::default();
    match &filter.subject {
        SubjectFilter::Anyone => {}
        SubjectFilter::Person(person) => chosen.and(about(connection, scope, "subject = $3", person)?),
        // Documents about other people are few compared with shared ones.
        SubjectFilter::SharedWith(Some(person)) => {
            chosen.but = about(connection, scope, "subject IS NOT NULL AND subject <> $3", person)?;
        }
        SubjectFilter::SharedWith(None) => {
            chosen.but = about(connection, scope, "subject IS NOT NULL AND $3 = ''", "")?
        }
    }
    for (key, value) in &filter.metadata {
        chosen.and(tagged(connection, scope, key, value)?);
    }
    Ok(chosen)
}

fn about(connection: &Connection, scope: &DocumentScope, whose: &str, person: &str) -> rusqlite::Result<HashSet<i64>> {
    let mut all = connection.prepare_cached(&numbered(&format!(
        "SELECT id FROM memory_document WHERE tenant = $1 AND collection = $2 AND {whose}"
    )))?;
    let [tenant, collection] = scope.names();
    all.query_map([tenant, collection, person], |row| row.get(0))?.collect()
}

fn tagged(connection: &Connection, scope: &DocumentScope, key: &str, value: &Value) -> rusqlite::Result<HashSet<i64>> {
    let mut all = connection.prepare_cached(&numbered(
        "SELECT document FROM memory_tag WHERE tenant = $1 AND collection = $2 AND key = $3 AND value = $4",
    ))?;
    let [tenant, collection] = scope.names();
    let mut found = HashSet::new();
    for scalar in scalars(value) {
        let rows = all.query_map(params![tenant, collection, key, tag_value(scalar)], |row| row.get(0))?;
        for document in rows {
            found.insert(document?);
        }
    }
    Ok(found)
}
