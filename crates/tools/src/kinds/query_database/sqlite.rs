//! Queries SQLite on a read-only connection. SQLite's own authorizer checks each statement again.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::{Value as Stored, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use serde_json::{Value, json};

use super::functions;
use super::rows::{ResultColumn, ResultRows};
use super::statement::{SqlDialect, SqlStatement};
use super::{DatabaseConfig, STATEMENT_TIMEOUT};
use crate::code;
use crate::reach_tracker;
use crate::tool_error::ToolError;

/// How long to wait for a writer's lock.
const BUSY: Duration = Duration::from_millis(1_000);
/// SQLite virtual machine steps between two checks of the clock: some hundred microseconds.
const STEPS: i32 = 10_000;
/// Page cache in KiB; sorting beyond it uses a temporary file.
const CACHE_KIB: i32 = 8 << 10;
/// Maximum number of virtual tables that can be queried, such as full-text search.
const VIRTUAL_TABLES_MAX: u32 = 100;
const DEPTH_MAX: i32 = 200;
const COLUMNS_MAX: i32 = 500;

/// Runs the query on a thread of its own, which ends soon after the future is dropped.
pub(super) async fn ask(file: &Path, config: &DatabaseConfig, statement: SqlStatement) -> Result<Value, ToolError> {
    let (file, config) = (file.to_owned(), config.clone());
    let wanted = CallerGuard(Arc::new(()));
    let still = Arc::downgrade(&wanted.0);
    let until = Instant::now() + STATEMENT_TIMEOUT;
    let is_over = move || still.strong_count() == 0 || Instant::now() > until;
    reach_tracker::mark_reached();
    let asked = tokio::task::spawn_blocking(move || on_thread(&file, &config, &statement, is_over)).await;
    drop(wanted);
    asked.unwrap_or_else(|_| Err(ToolError::transient(code::SERVICE_UNAVAILABLE, "the query's thread ended early")))
}

/// Held as long as a caller waits for the result.
struct CallerGuard(Arc<()>);

fn on_thread(
    file: &Path,
    config: &DatabaseConfig,
    statement: &SqlStatement,
    is_over: impl Fn() -> bool + Send + Sync + 'static,
) -> Result<Value, ToolError> {
    let mut connection = open(file, config).map_err(|error| open_failure(&error))?;
    let over = Arc::new(is_over);
    let handler = over.clone();
    connection.progress_handler(STEPS, Some(move || handler())).map_err(|error| open_failure(&error))?;
    read(&connection, config, statement, &*over).map_err(|error| failure(&error))
}

fn open(file: &Path, config: &DatabaseConfig) -> rusqlite::Result<Connection> {
    // Without URIs, a file name has no other meaning.
    let mut connection =
        Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    // Functions in the schema's views are restricted to those that queries may call.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, i32::try_from(config.bytes_max).unwrap_or(i32::MAX))?;
    connection.set_limit(Limit::SQLITE_LIMIT_EXPR_DEPTH, DEPTH_MAX)?;
    connection.set_limit(Limit::SQLITE_LIMIT_COLUMN, COLUMNS_MAX)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connect_virtual_tables(&connection)?;
    let own = config.functions.clone();
    connection.authorizer(Some(move |context: AuthContext<'_>| {
        let may = match context.action {
            AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => true,
            AuthAction::Function { function_name } => {
                functions::may_call(SqlDialect::Sqlite, &function_name.to_lowercase(), &own)
            }
            // Full-text search checks whether its table has changed.
            AuthAction::Pragma { pragma_name: "data_version", pragma_value: None } => true,
            // Everything else changes something, or accesses data beyond the database.
            _ => false,
        };
        if may { Authorization::Allow } else { Authorization::Deny }
    }))?;
    Ok(connection)
}

/// Connects full-text tables. SQLite does that when they are first named, by a statement that looks like a schema
/// change, so they are named here before the authorizer is set.
fn connect_virtual_tables(connection: &Connection) -> rusqlite::Result<()> {
    let find = "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL TABLE%' LIMIT ?1";
    let mut found = connection.prepare(find)?;
    let names = found.query_map([VIRTUAL_TABLES_MAX], |row| row.get::<_, String>(0))?;
    for name in names.collect::<rusqlite::Result<Vec<_>>>()? {
        // A table whose module is not built in cannot be queried, but does not prevent queries of other tables.
        let _ = connection.prepare(&format!("SELECT 1 FROM \"{}\"", name.replace('"', "\"\"")));
    }
    Ok(())
}

fn read(
    connection: &Connection,
    config: &DatabaseConfig,
    statement: &SqlStatement,
    is_over: &dyn Fn() -> bool,
) -> rusqlite::Result<Value> {
    let mut prepared = connection.prepare(&statement.sql)?;
    if !prepared.readonly() {
        return Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_AUTH), None));
    }
    let columns = prepared.columns().map(|column| ResultColumn {
        name: column.name().to_owned(),
        kind: column.decl_type().map(str::to_lowercase).unwrap_or_default(),
        written: None,
    });
    let mut answer = ResultRows::new(columns.collect(), config.rows_max, config.bytes_max);
    for (index, value) in statement.values.iter().enumerate() {
        prepared.raw_bind_parameter(index + 1, to_sqlite(value))?;
    }
    let mut found = prepared.raw_query();
    let mut has_bytes = false;
    while let Some(row) = found.next()? {
        let mut values = Vec::with_capacity(answer.width());
        for index in 0..answer.width() {
            let value = row.get_ref(index)?;
            has_bytes |= matches!(value, ValueRef::Blob(_));
            values.push(to_json(value));
        }
        // A row may take fewer steps than the interval between clock checks.
        if !answer.push(values) || is_over() {
            break;
        }
    }
    let mut output = answer.output();
    if has_bytes {
        output["bytes_as"] = json!("base64 under `$base64`");
    }
    if is_over() {
        return Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_INTERRUPT), None));
    }
    Ok(output)
}

/// Runs a query as if the statement checker had accepted it.
#[cfg(test)]
pub(super) fn ask_unchecked(file: &Path, sql: &str) -> Result<Value, ToolError> {
    let config = serde_json::from_value(json!({"url": "sqlite:unused"})).expect("settings");
    on_thread(file, &config, &SqlStatement { sql: sql.to_owned(), values: Vec::new() }, || false)
}

/// Converts an argument to an SQLite value: lists and objects become JSON.
fn to_sqlite(value: &Value) -> Stored {
    match value {
        Value::Null => Stored::Null,
        Value::Bool(is_so) => Stored::Integer(i64::from(*is_so)),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Stored::Integer(whole),
            None => Stored::Real(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => Stored::Text(text.clone()),
        Value::Array(_) | Value::Object(_) => Stored::Text(value.to_string()),
    }
}

/// Converts a value to JSON: integers exactly, and text with invalid UTF-8 replaced.
fn to_json(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(whole) => json!(whole),
        ValueRef::Real(real) if real.is_finite() => json!(real),
        ValueRef::Real(real) => json!(if real > 0.0 { "Infinity" } else { "-Infinity" }),
        ValueRef::Text(text) => json!(String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => json!({"$base64": STANDARD.encode(bytes)}),
    }
}

fn open_failure(error: &rusqlite::Error) -> ToolError {
    // The path is the operator's and may be shown; SQLite's message contains nothing else.
    ToolError::transient(code::SERVICE_UNAVAILABLE, format!("the database cannot be opened: {error}"))
}

fn failure(error: &rusqlite::Error) -> ToolError {
    let says = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => {
            let seconds = STATEMENT_TIMEOUT.as_secs_f32();
            ToolError::permanent(code::TIMEOUT, format!("the query was stopped after {seconds} s"))
        }
        Some(ErrorCode::AuthorizationForStatementDenied | ErrorCode::ReadOnly) => {
            ToolError::permanent(code::QUERY_REFUSED, format!("the database does not let a query do this: {says}"))
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            ToolError::transient(code::SERVICE_UNAVAILABLE, says)
        }
        Some(
            ErrorCode::CannotOpen
            | ErrorCode::NotADatabase
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::SystemIoFailure
            | ErrorCode::DiskFull
            | ErrorCode::OutOfMemory,
        ) => ToolError::transient(code::SERVICE_UNAVAILABLE, says),
        Some(_) | None => ToolError::permanent(code::QUERY_FAILED, says),
    }
}
