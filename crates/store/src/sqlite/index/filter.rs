//! Which documents a search is about.

use std::collections::HashSet;

use baton_ports::index::{Filter, scalars};
use rusqlite::{Connection, params};
use serde_json::Value;

use super::super::sql::numbered;
use super::document::{Scope, tag_value};

/// The documents that meet every condition; none of it where there is no condition.
pub(super) fn documents(
    connection: &Connection,
    scope: &Scope,
    filter: &Filter,
) -> rusqlite::Result<Option<HashSet<i64>>> {
    let mut met: Option<HashSet<i64>> = None;
    let mut and = |found: HashSet<i64>| match &mut met {
        Some(met) => met.retain(|document| found.contains(document)),
        None => met = Some(found),
    };
    if let Some(subject) = &filter.subject {
        and(about(connection, scope, subject)?);
    }
    for (key, value) in &filter.metadata {
        and(tagged(connection, scope, key, value)?);
    }
    Ok(met)
}

fn about(connection: &Connection, scope: &Scope, subject: &str) -> rusqlite::Result<HashSet<i64>> {
    let mut all = connection.prepare_cached(&numbered(
        "SELECT id FROM memory_document WHERE tenant = $1 AND collection = $2 AND subject = $3",
    ))?;
    let [tenant, collection] = scope.names();
    all.query_map([tenant, collection, subject], |row| row.get(0))?.collect()
}

fn tagged(connection: &Connection, scope: &Scope, key: &str, value: &Value) -> rusqlite::Result<HashSet<i64>> {
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
