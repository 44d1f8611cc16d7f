//! Named definitions of a tenant, stored as records.

use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::records::{self, RecordOp, RecordStore, StoredRecord};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::TriggerError;

/// Maximum length of a name, in bytes.
pub const NAME_BYTES_MAX: usize = 60;
/// Maximum number of definitions per page.
pub const PAGE_MAX: usize = 200;

/// A definition that is stored under its name.
pub trait NamedDefinition: Serialize + DeserializeOwned + Send + Sync {
    /// The kind, for messages.
    const KIND: &'static str;
    /// The record space.
    const SPACE: &'static str;
    /// Maximum number of definitions per tenant.
    const MAX: usize;

    fn name(&self) -> &str;
}

/// A name has 1 to 60 letters, digits, `.`, `_` and `-`.
pub fn check_name(name: &str) -> Result<(), TriggerError> {
    let is_one = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(is_one) {
        let why = format!("it has 1 to {NAME_BYTES_MAX} letters, digits, `.`, `_` and `-`");
        return Err(TriggerError::invalid("name", why));
    }
    Ok(())
}

fn read<T: NamedDefinition>(record: StoredRecord) -> Option<(u64, T)> {
    serde_json::from_value(record.value).ok().map(|named| (record.version, named))
}

/// The definition and the version of its record.
pub async fn find<T: NamedDefinition>(
    records: &dyn RecordStore,
    tenant: &TenantId,
    name: &str,
) -> Result<(u64, T), TriggerError> {
    let found = match name.len() {
        1..=NAME_BYTES_MAX => records.get(tenant, T::SPACE, name).await?,
        _ => None,
    };
    found
        .and_then(read)
        .ok_or_else(|| TriggerError::Unknown { kind: T::KIND, name: name.chars().take(NAME_BYTES_MAX).collect() })
}

/// Definitions ordered by name, after `after`.
pub async fn list<T: NamedDefinition>(
    records: &dyn RecordStore,
    tenant: &TenantId,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<T>, TriggerError> {
    let page = records.list(tenant, T::SPACE, "", after, limit.min(PAGE_MAX)).await?;
    Ok(page.into_iter().filter_map(read).map(|(_, named)| named).collect())
}

/// Saves a definition with its related records: creates it if `version` is `None`, otherwise replaces that version.
pub async fn save<T: NamedDefinition>(
    records: &dyn RecordStore,
    tenant: &TenantId,
    version: Option<u64>,
    named: &T,
    beside: Vec<RecordOp>,
    now: Time,
) -> Result<(), TriggerError> {
    let (space, key, value) = (T::SPACE.to_owned(), named.name().to_owned(), json!(named));
    let op = match version {
        Some(version) => RecordOp::CompareAndSet { space, key, version, value },
        None => {
            if records.list(tenant, T::SPACE, "", None, T::MAX).await?.len() >= T::MAX {
                return Err(TriggerError::TooMany { max: T::MAX });
            }
            RecordOp::Insert { space, key, value }
        }
    };
    let ops = std::iter::once(op).chain(beside).collect();
    match records.commit(tenant, ops, now).await {
        Err(records::RecordError::Conflict { index: 0, .. }) => {
            Err(TriggerError::Taken { kind: T::KIND, name: named.name().to_owned() })
        }
        done => Ok(done?),
    }
}

/// Deletes a definition, with its records in other spaces.
pub async fn delete<T: NamedDefinition>(
    records: &dyn RecordStore,
    tenant: &TenantId,
    name: &str,
    beside: &[&str],
    now: Time,
) -> Result<T, TriggerError> {
    let (version, named) = find::<T>(records, tenant, name).await?;
    let gone = |space: &str| RecordOp::Delete { space: space.to_owned(), key: name.to_owned() };
    let expect = RecordOp::Expect { space: T::SPACE.to_owned(), key: name.to_owned(), version: Some(version) };
    let ops = [expect, gone(T::SPACE)].into_iter().chain(beside.iter().map(|space| gone(space))).collect();
    match records.commit(tenant, ops, now).await {
        Err(records::RecordError::Conflict { .. }) => Err(TriggerError::Taken { kind: T::KIND, name: name.to_owned() }),
        done => done.map(|()| named).map_err(TriggerError::from),
    }
}
