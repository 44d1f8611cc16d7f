//! `query_database`: one SELECT against a database that the settings name, on a read-only connection.

mod config;
mod functions;
mod postgres;
mod rows;
mod sqlite;
pub(crate) mod statement;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::tool::{EffectClass, ToolContract};
use baton_expr::nearest;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

pub use config::{DatabaseConfig, DatabaseUrl};

use crate::catalogue::{ActionSpec, ToolEntry, ToolRisk};
use crate::code;
use crate::request::PreparedRequest;
use crate::tool::ToolHandler;
use crate::tool_error::ToolError;
use statement::{QUERY_BYTES_MAX, SqlStatement, StatementError, VALUES_MAX};

/// Time-out of one query.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Results are cached for five minutes.
const CACHE: Duration = Duration::from_secs(300);
/// Less than the time-out, so that the database ends a query and reports it before the caller gives up.
const STATEMENT_TIMEOUT: Duration = Duration::from_millis(9_500);
/// Maximum number of concurrent queries per database.
const QUERIES_MAX: usize = 8;

pub(crate) fn entry(databases: BTreeMap<String, DatabaseConfig>) -> ToolEntry {
    let mut database = json!({"type": "string", "description": "Which one; it may be left out where there is one"});
    // The schema lists database names only if all tenants may use all of them.
    if !databases.is_empty() && databases.values().all(|config| config.tenants.is_none()) {
        database["enum"] = json!(databases.keys().collect::<Vec<_>>());
    }
    let facts = ToolContract {
        description:
            "Asks a database with one SELECT that only reads. Values go into `params`, never into the text of \
                      the query"
                .to_owned(),
        output_fields: ["rows", "columns", "count", "truncated"].map(str::to_owned).into(),
        parameters: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["query"],
            "properties": {
                "query": {
                    "type": "string", "minLength": 1, "maxLength": QUERY_BYTES_MAX,
                    "description": "One SELECT, or WITH … SELECT. Holes for values are `$1` or `:name`",
                },
                "params": {
                    "description": "The values: a list for `$1`, `$2`, an object for `:name`",
                    "anyOf": [
                        {"type": "array", "maxItems": VALUES_MAX}, {"type": "object", "maxProperties": VALUES_MAX},
                    ],
                },
                "database": database,
            },
        }),
        ..ToolContract::new(EffectClass::Read, TIMEOUT)
    };
    // A database may contain anybody's data.
    let action = ActionSpec::new(facts, "tool_execution", ToolRisk::Medium);
    let databases = databases.into_iter().map(|(name, config)| (name, ConfiguredDatabase::new(config))).collect();
    ToolEntry::new("query_database", "data", "built-in", action, Arc::new(QueryDatabase { databases }))
        .with_cache(Some(CACHE))
}

struct QueryDatabase {
    databases: BTreeMap<String, ConfiguredDatabase>,
}

struct ConfiguredDatabase {
    config: DatabaseConfig,
    slots: Semaphore,
}

impl ConfiguredDatabase {
    fn new(config: DatabaseConfig) -> Self {
        Self { config, slots: Semaphore::new(QUERIES_MAX) }
    }
}

#[async_trait]
impl ToolHandler for QueryDatabase {
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let database = self.select_database(request)?;
        let config = &database.config;
        let turn = database.slots.acquire().await;
        // A query may be long and deeply nested, so parsing it may take a while: it runs outside the async threads.
        let (dialect, functions) = (config.dialect(), config.functions.clone());
        let (query, params) =
            (request.text("query").unwrap_or_default().to_owned(), request.argument("params").clone());
        let read = tokio::task::spawn_blocking(move || SqlStatement::read(dialect, &query, &params, &functions));
        let read = read.await.map_err(|_| ToolError::permanent(code::QUERY_REFUSED, "the query cannot be read"))?;
        let statement = read.map_err(statement_failure)?;
        let asked = match &config.url {
            DatabaseUrl::Sqlite(file) => sqlite::ask(file, config, statement).await,
            DatabaseUrl::Postgres(url) => postgres::ask(url, config, statement).await,
        };
        drop(turn);
        asked
    }

    /// Circuits are per database, because the failure of one says nothing about others.
    fn service<'a>(&'a self, request: &'a PreparedRequest) -> Option<Cow<'a, str>> {
        let name = request.text("database").or_else(|| self.only_database())?;
        Some(Cow::Owned(format!("database {name}")))
    }
}

impl QueryDatabase {
    fn only_database(&self) -> Option<&str> {
        let mut names = self.databases.keys();
        names.next().filter(|_| names.next().is_none()).map(String::as_str)
    }

    /// Returns the database of a call. A database of other tenants is reported as if it did not exist.
    fn select_database(&self, request: &PreparedRequest) -> Result<&ConfiguredDatabase, ToolError> {
        let is_theirs = |database: &ConfiguredDatabase| {
            database.config.tenants.as_ref().is_none_or(|tenants| tenants.contains(&request.call.tenant))
        };
        let theirs = self.databases.iter().filter(|(_, database)| is_theirs(database));
        let theirs: BTreeMap<&str, &ConfiguredDatabase> =
            theirs.map(|(name, database)| (name.as_str(), database)).collect();
        let names = || theirs.keys().copied();
        let not_configured = |message: String| ToolError::permanent(code::DATABASE_NOT_CONFIGURED, message);
        if theirs.is_empty() {
            let message = "no database is set up: name one under `[tools.databases.NAME]` with its `url`";
            return Err(not_configured(message.to_owned()));
        }
        match request.text("database") {
            Some(name) => theirs.get(name).copied().ok_or_else(|| {
                let hint = match nearest(name, names()) {
                    Some(nearest) => format!("did you mean `{nearest}`?"),
                    None => format!("there are `{}`", names().collect::<Vec<_>>().join("`, `")),
                };
                not_configured(format!("there is no database `{name}`; {hint}"))
            }),
            None => match theirs.len() {
                1 => theirs.into_values().next().ok_or_else(|| not_configured("no database is set up".to_owned())),
                _ => {
                    let names = names().collect::<Vec<_>>().join("`, `");
                    let message = format!("say which `database`: there are `{names}`");
                    Err(ToolError::permanent(code::INVALID_PARAMETERS, message))
                }
            },
        }
    }
}

fn statement_failure(refusal: StatementError) -> ToolError {
    match refusal {
        StatementError::NotAllowed(reason) => ToolError::permanent(code::QUERY_REFUSED, reason),
        StatementError::Unreadable(reason) => ToolError::permanent(code::QUERY_FAILED, reason),
        StatementError::Values(reason) => ToolError::permanent(code::INVALID_PARAMETERS, reason),
    }
}

#[cfg(test)]
mod tests;
