//! The circuits port: one row per model, in which the last update counts.

use async_trait::async_trait;
use baton_core::time::Time;
use baton_ports::circuits::{ModelCircuit, ModelCircuitStore};
use baton_ports::journal::JournalError;
use rusqlite::params;

use super::{SqliteStore, codec};

/// Maximum size of a circuit's texts, in bytes.
const TEXT_BYTES_MAX: usize = 4_096;

#[async_trait]
impl ModelCircuitStore for SqliteStore {
    async fn set(&self, circuit: ModelCircuit) -> Result<(), JournalError> {
        let (size, limit) = (circuit.model.len().max(circuit.by.len()).max(circuit.reason.len()), TEXT_BYTES_MAX);
        if size > limit {
            return Err(JournalError::TooLarge { what: "a circuit's text", size, limit });
        }
        self.write(0, move |session| {
            let mut set = session.statement(
                "INSERT INTO model_circuit (model, state, open_until, since, told_by, reason) \
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (model) DO UPDATE SET state = excluded.state, \
                 open_until = excluded.open_until, since = excluded.since, told_by = excluded.told_by, \
                 reason = excluded.reason WHERE excluded.since >= model_circuit.since",
            )?;
            let columns = params![
                circuit.model,
                codec::circuit_word(circuit.state),
                circuit.until.map(Time::as_ms),
                circuit.since.as_ms(),
                circuit.by,
                circuit.reason,
            ];
            set.execute(columns).map(|_| Ok(()))
        })
        .await
    }

    async fn circuits(&self) -> Result<Vec<ModelCircuit>, JournalError> {
        self.read(|connection| {
            let mut all = connection.prepare_cached(
                "SELECT model, state, open_until, since, told_by, reason FROM model_circuit ORDER BY model",
            )?;
            let rows = all.query_map([], |row| {
                Ok(ModelCircuit {
                    model: row.get(0)?,
                    state: codec::circuit_state(row, 1)?,
                    until: codec::maybe_time(row, 2)?,
                    since: codec::time(row, 3)?,
                    by: row.get(4)?,
                    reason: row.get(5)?,
                })
            })?;
            rows.collect()
        })
        .await
    }
}
