//! Settings of the databases that may be queried.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use baton_core::id::TenantId;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::statement::SqlDialect;
use crate::config::SecretString;

/// A database, under the name that calls use.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `sqlite:data/shop.db`, relative to the project's folder, or `postgres://user:password@host/name`.
    pub url: DatabaseUrl,
    /// Maximum number of rows in one result; further rows are dropped, and the result says so.
    #[serde(default = "rows_max")]
    pub rows_max: usize,
    /// Approximate maximum size of one result, in bytes.
    #[serde(default = "bytes_max")]
    pub bytes_max: usize,
    /// Functions that queries may call besides those known to be free of side effects, such as your own.
    #[serde(default)]
    pub functions: BTreeSet<String>,
    /// Tenants whose calls may query it. Default: all tenants.
    #[serde(default)]
    pub tenants: Option<BTreeSet<TenantId>>,
    /// PostgreSQL: a PEM file with the certificate authorities that verify the server's certificate, instead of the
    /// public ones. Relative to the project's folder.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

/// Default maximum number of rows.
const ROWS: usize = 1_000;
const BYTES: usize = 1 << 20;
/// Upper limit of `rows_max`: results go into the journal.
const ROWS_MAX: usize = 100_000;
const BYTES_MAX: usize = 3 << 20;

fn rows_max() -> usize {
    ROWS
}

fn bytes_max() -> usize {
    BYTES
}

impl DatabaseConfig {
    /// Resolves relative paths against this folder.
    pub(crate) fn within(&mut self, folder: &Path) {
        if let DatabaseUrl::Sqlite(file) = &mut self.url {
            *file = folder.join(&*file);
        }
        if let Some(ca) = &mut self.ca {
            *ca = folder.join(&*ca);
        }
    }

    /// Checks the settings beyond their syntax.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.rows_max == 0 || self.rows_max > ROWS_MAX {
            return Err(format!("`rows_max` is 1 to {ROWS_MAX}"));
        }
        if self.bytes_max == 0 || self.bytes_max > BYTES_MAX {
            return Err(format!("`bytes_max` is 1 to {BYTES_MAX}"));
        }
        if let Some(name) = self.functions.iter().find(|name| **name != name.to_lowercase()) {
            return Err(format!("`functions` are written in lower case, unlike `{name}`"));
        }
        Ok(())
    }

    pub(super) fn dialect(&self) -> SqlDialect {
        match self.url {
            DatabaseUrl::Sqlite(_) => SqlDialect::Sqlite,
            DatabaseUrl::Postgres(_) => SqlDialect::Postgres,
        }
    }
}

/// The location of a database. It may contain a password, so it is never shown.
#[derive(Clone, Debug)]
pub enum DatabaseUrl {
    Sqlite(PathBuf),
    Postgres(SecretString),
}

impl<'de> Deserialize<'de> for DatabaseUrl {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        // The error does not repeat the input, which may contain a password.
        let wrong = || D::Error::custom("`url` is `sqlite:FILE` or `postgres://USER:PASSWORD@HOST/DATABASE`");
        match text.split_once(':') {
            Some(("sqlite", file)) => {
                let file = file.strip_prefix("//").unwrap_or(file);
                if file.is_empty() { Err(wrong()) } else { Ok(Self::Sqlite(PathBuf::from(file))) }
            }
            Some(("postgres" | "postgresql", _)) => match text.parse::<tokio_postgres::Config>() {
                Ok(_) => Ok(Self::Postgres(SecretString::new(text))),
                Err(_) => Err(wrong()),
            },
            Some(_) | None => Err(wrong()),
        }
    }
}
