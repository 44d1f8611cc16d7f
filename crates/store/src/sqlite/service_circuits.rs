//! The circuits of services that tools call: one row per service of a tenant, in which the last update counts. An
//! update made under a clock that has been set back since is ignored.

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::circuits::{
    SERVICE_BYTES_MAX, SERVICE_CIRCUIT_KEPT_FOR, SERVICE_CIRCUITS_MAX, ServiceCircuit, ServiceCircuitStore,
};
use baton_ports::journal::JournalError;
use baton_ports::rate_limits::SET_BACK;
use rusqlite::params;

use super::session::WriterSession;
use super::sql::numbered;
use super::writer_task::ReadAnswer;
use super::{SqliteStore, codec};

/// Obsolete rows that are deleted with one update.
const TIDIED: usize = 16;

#[async_trait]
impl ServiceCircuitStore for SqliteStore {
    async fn record_failure(&self, tenant: &TenantId, service: &str, now: Time) -> Result<u32, JournalError> {
        check_name(service)?;
        let (tenant, service) = (tenant.clone(), service.to_owned());
        let failures = self.write_relaxed(0, move |session| {
            tidy(session, now)?;
            let mut count = session.statement(
                "INSERT INTO service_circuit (tenant, service, failures, since) VALUES ($1, $2, 1, $3) \
                 ON CONFLICT (tenant, service) DO UPDATE SET failures = min(failures + 1, 1000000), \
                 since = CASE WHEN open_until IS NULL THEN max(since, excluded.since) ELSE since END \
                 RETURNING failures",
            )?;
            let row = params![tenant.as_str(), service, now.as_ms()];
            Ok(Ok::<_, JournalError>(ReadAnswer(count.query_row(row, |row| row.get::<_, u32>(0))?)))
        });
        failures.await.map(|found| found.0)
    }

    async fn set_service_circuit(
        &self,
        tenant: &TenantId,
        service: &str,
        open_until: Option<Time>,
        now: Time,
    ) -> Result<(), JournalError> {
        check_name(service)?;
        let (tenant, service) = (tenant.clone(), service.to_owned());
        self.write_relaxed(0, move |session| {
            tidy(session, now)?;
            let mut tell = session.statement(
                "INSERT INTO service_circuit (tenant, service, failures, open_until, since) VALUES ($1, $2, 0, $3, $4) \
                 ON CONFLICT (tenant, service) DO UPDATE SET failures = 0, open_until = excluded.open_until, \
                 since = excluded.since WHERE excluded.since >= service_circuit.since OR service_circuit.since > $5",
            )?;
            let row =
                params![tenant.as_str(), service, open_until.map(Time::as_ms), now.as_ms(), (now + SET_BACK).as_ms()];
            tell.execute(row).map(|_| Ok(()))
        })
        .await
    }

    async fn service_circuits(&self, now: Time) -> Result<Vec<ServiceCircuit>, JournalError> {
        self.read(move |connection| {
            let mut all = connection.prepare_cached(&numbered(&format!(
                "SELECT tenant, service, failures, open_until, since FROM service_circuit WHERE since BETWEEN $1 AND $2 \
                 ORDER BY since DESC, tenant, service LIMIT {SERVICE_CIRCUITS_MAX}"
            )))?;
            let rows = all.query_map([oldest(now), (now + SET_BACK).as_ms()], |row| {
                Ok(ServiceCircuit {
                    tenant: row.get::<_, String>(0)?.into(),
                    service: row.get(1)?,
                    failures: row.get(2)?,
                    open_until: codec::maybe_time(row, 3)?,
                    since: codec::time(row, 4)?,
                })
            })?;
            rows.collect()
        })
        .await
    }
}

fn check_name(service: &str) -> Result<(), JournalError> {
    let (size, limit) = (service.len(), SERVICE_BYTES_MAX);
    if size > limit { Err(JournalError::TooLarge { what: "a service's name", size, limit }) } else { Ok(()) }
}

fn tidy(session: &WriterSession<'_>, now: Time) -> rusqlite::Result<()> {
    let mut forget = session.statement(&format!(
        "DELETE FROM service_circuit WHERE (tenant, service) IN \
         (SELECT tenant, service FROM service_circuit WHERE since < $1 LIMIT {TIDIED})"
    ))?;
    forget.execute([oldest(now)]).map(drop)
}

fn oldest(now: Time) -> i64 {
    let kept = i64::try_from(SERVICE_CIRCUIT_KEPT_FOR.as_millis()).unwrap_or(i64::MAX);
    now.as_ms().saturating_sub(kept)
}
