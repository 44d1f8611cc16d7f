//! Deletes circuits of services whose host may contain a person's name.

use baton_core::id::TenantId;
use baton_core::identifier::{IDENTIFIER_CHARS_MIN, fold};
use baton_ports::audit::ErasureSubject;
use baton_ports::journal::JournalError;
use rusqlite::params;

use super::super::SqliteStore;
use super::super::sql::numbered;

pub(super) async fn clear(
    store: &SqliteStore,
    tenant: &TenantId,
    person: &ErasureSubject,
) -> Result<u64, JournalError> {
    let names: Vec<String> =
        person.names().map(plain).filter(|name| name.chars().count() >= IDENTIFIER_CHARS_MIN).collect();
    let of = tenant.clone();
    let carrying: Result<Vec<String>, JournalError> = store
        .read(move |connection| {
            let mut all =
                connection.prepare_cached(&numbered("SELECT service FROM service_circuit WHERE tenant = $1"))?;
            let services = all.query_map([of.as_str()], |row| row.get::<_, String>(0))?;
            let carries = |service: &String| {
                let service = plain(service);
                names.iter().any(|name| service.contains(name))
            };
            services.filter(|service| service.as_ref().map_or(true, carries)).collect()
        })
        .await;
    let (carrying, of) = (carrying?, tenant.clone());
    if carrying.is_empty() {
        return Ok(0);
    }
    let forget = store.write(0, move |session| {
        let mut forget = session.statement("DELETE FROM service_circuit WHERE tenant = $1 AND service = $2")?;
        let mut forgotten = 0;
        for service in &carrying {
            forgotten += forget.execute(params![of.as_str(), service])? as u64;
        }
        Ok(Ok::<u64, JournalError>(forgotten))
    });
    forget.await
}

/// Only letters and digits: a host has dashes where a name has spaces.
fn plain(name: &str) -> String {
    fold(name).chars().filter(|c| c.is_alphanumeric()).collect()
}
