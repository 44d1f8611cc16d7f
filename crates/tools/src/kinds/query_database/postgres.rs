//! Queries PostgreSQL: one connection per query, in a read-only transaction.
//!
//! Values are returned as text that the server writes, so that no digit is lost. A value that is too large is cut by
//! the server and never sent.

mod tls;
mod value;

use std::net::IpAddr;
use std::time::Duration;

use futures::TryStreamExt as _;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::{CancelToken, Client, Error};

use super::rows::{ResultColumn, ResultRows};
use super::statement::SqlStatement;
use super::{DatabaseConfig, STATEMENT_TIMEOUT};
use crate::code;
use crate::config::SecretString;
use crate::reach_tracker;
use crate::tool_error::ToolError;
use tls::PostgresTls;
use value::{ColumnDecoding, QueryArgument};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time-out of the request that cancels a query.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(3);
const COLUMNS_MAX: usize = 500;
/// Maximum size of the values of one row together, in bytes.
const ROW_BYTES_MAX: usize = 16 << 20;

pub(super) async fn ask(
    url: &SecretString,
    config: &DatabaseConfig,
    statement: SqlStatement,
) -> Result<Value, ToolError> {
    let tls = PostgresTls::new(config.ca.as_deref())
        .map_err(|reason| ToolError::permanent(code::DATABASE_NOT_CONFIGURED, reason))?;
    let session = PostgresSession::open(url, &tls).await?;
    let answer = read(&session.client, config, statement).await.map_err(|unread| match unread {
        PostgresError::Error(error) => failure(&error),
        PostgresError::TooWide(columns) => {
            let message = format!("the answer has {columns} columns; there may be 1 to {COLUMNS_MAX}");
            ToolError::permanent(code::QUERY_FAILED, message)
        }
    });
    session.close();
    Ok(answer?.output())
}

/// A connection. If dropped before it is closed, it cancels the query on the server.
struct PostgresSession {
    client: Client,
    tasks: Option<(CancelToken, PostgresTls)>,
    connection: JoinHandle<()>,
}

impl PostgresSession {
    async fn open(url: &SecretString, tls: &PostgresTls) -> Result<Self, ToolError> {
        // The settings have already been validated.
        let mut options: tokio_postgres::Config = url.expose().parse().map_err(|_| {
            ToolError::permanent(code::DATABASE_NOT_CONFIGURED, "the `url` of the database cannot be read")
        })?;
        // By default, connections that leave this machine require encryption.
        if !url.expose().contains("sslmode=") && !is_local(&options) {
            options.ssl_mode(SslMode::Require);
        }
        options.connect_timeout(CONNECT_TIMEOUT).application_name("baton");
        reach_tracker::mark_reached();
        let opened = tokio::time::timeout(CONNECT_TIMEOUT, options.connect(tls.clone())).await;
        let (client, connection) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => return Err(connect_failure(&error)),
            Err(_elapsed) => {
                let message = format!("the database did not answer within {} s", CONNECT_TIMEOUT.as_secs());
                return Err(ToolError::transient(code::SERVICE_UNAVAILABLE, message));
            }
        };
        // Errors of the connection are reported by the query.
        let connection = tokio::spawn(async move { drop(connection.await) });
        let tasks = Some((client.cancel_token(), tls.clone()));
        Ok(Self { client, tasks, connection })
    }

    fn close(mut self) {
        self.tasks = None;
    }
}

impl Drop for PostgresSession {
    fn drop(&mut self) {
        self.connection.abort();
        let (Some((token, tls)), Ok(runtime)) = (self.tasks.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        // If the cancel request fails, the server's own time limit ends the query.
        runtime.spawn(async move { drop(tokio::time::timeout(CANCEL_TIMEOUT, token.cancel_query(tls)).await) });
    }
}

enum PostgresError {
    Error(Error),
    TooWide(usize),
}

impl From<Error> for PostgresError {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

fn is_local(options: &tokio_postgres::Config) -> bool {
    options.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback()),
        #[cfg(unix)]
        Host::Unix(_) => true,
    })
}

async fn read(client: &Client, config: &DatabaseConfig, statement: SqlStatement) -> Result<ResultRows, PostgresError> {
    let limit = STATEMENT_TIMEOUT.as_millis();
    client
        .batch_execute(&format!(
            "BEGIN TRANSACTION READ ONLY; SET LOCAL statement_timeout = {limit}; SET LOCAL lock_timeout = {limit}; \
             SET LOCAL idle_in_transaction_session_timeout = {limit}; SET LOCAL standard_conforming_strings = on"
        ))
        .await?;
    // The extended protocol prepares exactly one statement. This one only describes the columns.
    let described = client.prepare(&statement.sql).await?;
    let columns = described.columns();
    if columns.is_empty() || columns.len() > COLUMNS_MAX {
        return Err(PostgresError::TooWide(columns.len()));
    }
    let value_max = config.bytes_max.min(ROW_BYTES_MAX / columns.len());
    let readings: Vec<ColumnDecoding> = columns.iter().map(|column| ColumnDecoding::of(column.type_())).collect();
    let told = columns.iter().zip(&readings).map(|(column, reading)| ResultColumn {
        name: column.name().to_owned(),
        kind: column.type_().name().to_owned(),
        written: reading.written(),
    });
    let mut answer = ResultRows::new(told.collect(), config.rows_max, config.bytes_max);
    let sql = wrapped(&statement.sql, &readings, value_max, config.rows_max);
    let prepared = client.prepare(&sql).await?;
    let arguments: Vec<QueryArgument> = statement.values.into_iter().map(QueryArgument).collect();
    let mut found = std::pin::pin!(client.query_raw(&prepared, &arguments).await?);
    while let Some(row) = found.try_next().await? {
        let mut values = Vec::with_capacity(readings.len());
        for (index, reading) in readings.iter().enumerate() {
            let text: Option<&str> = row.try_get(index)?;
            values.push(match text {
                None => Value::Null,
                Some(text) if text.chars().nth(value_max).is_some() => answer.too_large(),
                Some(text) => reading.value(text),
            });
        }
        if !answer.push(values) {
            break;
        }
    }
    Ok(answer)
}

/// Wraps the query so that its values are text and cut to size, and fetches one row more than is returned.
fn wrapped(sql: &str, readings: &[ColumnDecoding], value_max: usize, rows_max: usize) -> String {
    let names: Vec<String> = (1..=readings.len()).map(|number| format!("c{number}")).collect();
    let values = readings.iter().zip(&names).map(|(reading, name)| {
        let text = reading.sql(&format!("baton.{name}"));
        format!("pg_catalog.left({text}, {})", value_max + 1)
    });
    let values = values.collect::<Vec<_>>().join(", ");
    format!("SELECT {values} FROM ({sql}) AS baton({}) LIMIT {}", names.join(", "), rows_max + 1)
}

/// Returns the server's message if there is one. Messages of the client library omit the address, which stands next
/// to the password.
fn server_message(error: &Error) -> String {
    match error.as_db_error() {
        Some(told) => {
            let hint = told.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
            format!("{}{hint}", told.message())
        }
        None => error.to_string(),
    }
}

fn connect_failure(error: &Error) -> ToolError {
    let message = format!("the database cannot be reached: {}", server_message(error));
    match error.code().map(SqlState::code) {
        // Wrong password or unknown database: a retry cannot help.
        Some(code) if code.starts_with("28") || code.starts_with("3D") => {
            ToolError::permanent(code::SERVICE_REJECTED, message)
        }
        Some(_) | None => ToolError::transient(code::SERVICE_UNAVAILABLE, message),
    }
}

fn failure(error: &Error) -> ToolError {
    let message = server_message(error);
    let Some(code) = error.code() else { return ToolError::transient(code::SERVICE_UNAVAILABLE, message) };
    match code {
        &SqlState::QUERY_CANCELED | &SqlState::LOCK_NOT_AVAILABLE => {
            let seconds = STATEMENT_TIMEOUT.as_secs_f32();
            ToolError::permanent(code::TIMEOUT, format!("the query was stopped after {seconds} s: {message}"))
        }
        &SqlState::READ_ONLY_SQL_TRANSACTION | &SqlState::INSUFFICIENT_PRIVILEGE => {
            ToolError::permanent(code::QUERY_REFUSED, message)
        }
        // Connection errors, lack of resources, or a server that is shutting down.
        code if ["08", "53", "57", "58"].iter().any(|class| code.code().starts_with(class)) => {
            ToolError::transient(code::SERVICE_UNAVAILABLE, message)
        }
        _ => ToolError::permanent(code::QUERY_FAILED, message),
    }
}
