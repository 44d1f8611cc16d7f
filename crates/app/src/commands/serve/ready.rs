//! What this process leans on, for whoever asks whether it is ready.

use std::sync::Arc;

use baton_models::CircuitState;
use baton_ports::records::{Op, Records as _};
use baton_server::{Check, Unready};
use futures::FutureExt as _;
use serde_json::json;

use crate::wire::System;

/// Where it is tried whether the database can be written: one row, which stays one.
const SPACE: &str = "ready";

/// In the seeds' names.
pub fn checks(system: &System) -> Vec<Check> {
    vec![database(system), llm(system)]
}

fn database(system: &System) -> Check {
    let (store, tenant, clock) = (system.store.clone(), system.tenant.clone(), system.clock.clone());
    let ask = move || {
        let (store, tenant, now) = (store.clone(), tenant.clone(), clock.now());
        let written = async move {
            let probe = Op::Put { space: SPACE.to_owned(), key: "probe".to_owned(), value: json!(null) };
            store.commit(&tenant, vec![probe], now).await.map_err(|error| match store.outage() {
                Some(outage) => Unready { why: outage.code().to_owned(), outage: Some(outage) },
                None => {
                    tracing::warn!(%error, "the database cannot be written");
                    "it cannot be written".to_owned().into()
                }
            })
        };
        written.boxed()
    };
    Check { name: "database", ask: Arc::new(ask) }
}

fn llm(system: &System) -> Check {
    let models = system.models.clone();
    let ask = move || {
        let fares = models.fares();
        let is_there = fares.is_empty() || fares.iter().any(|fare| fare.circuit != CircuitState::Open);
        let said = if is_there { Ok(()) } else { Err("every model failed too often of late".to_owned().into()) };
        async move { said }.boxed()
    };
    Check { name: "llm", ask: Arc::new(ask) }
}
