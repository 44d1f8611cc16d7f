//! The dependencies of this process, for readiness probes.

use std::sync::Arc;

use baton_models::CircuitState;
use baton_ports::records::{RecordOp, RecordStore as _};
use baton_server::{ReadinessCheck, ReadinessError};
use futures::FutureExt as _;
use serde_json::json;

use crate::wiring::ProjectSystem;

/// The record space for the write test of the database. It holds a single row.
const SPACE: &str = "ready";

/// The checks, with the names that the seeds define.
pub fn checks(system: &ProjectSystem) -> Vec<ReadinessCheck> {
    vec![database(system), llm(system)]
}

fn database(system: &ProjectSystem) -> ReadinessCheck {
    let (store, tenant, clock) = (system.store.clone(), system.tenant.clone(), system.clock.clone());
    let ask = move || {
        let (store, tenant, now) = (store.clone(), tenant.clone(), clock.now());
        let written = async move {
            let probe = RecordOp::Put { space: SPACE.to_owned(), key: "probe".to_owned(), value: json!(null) };
            store.commit(&tenant, vec![probe], now).await.map_err(|error| match store.outage() {
                Some(outage) => ReadinessError { reason: outage.code().to_owned(), outage: Some(outage) },
                None => {
                    tracing::warn!(%error, "the database cannot be written");
                    "it cannot be written".to_owned().into()
                }
            })
        };
        written.boxed()
    };
    ReadinessCheck { name: "database", ask: Arc::new(ask) }
}

fn llm(system: &ProjectSystem) -> ReadinessCheck {
    let models = system.models.clone();
    let ask = move || {
        let fares = models.model_health();
        let is_there = fares.is_empty() || fares.iter().any(|fare| fare.circuit != CircuitState::Open);
        let said = if is_there { Ok(()) } else { Err("every model failed too often of late".to_owned().into()) };
        async move { said }.boxed()
    };
    ReadinessCheck { name: "llm", ask: Arc::new(ask) }
}
