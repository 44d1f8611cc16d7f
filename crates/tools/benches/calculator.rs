//! What one `calculator` call costs: check, permit, perform, audit row. `cargo bench -p baton-tools`.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use baton_core::id::{RunId, TenantId};
use baton_core::time::Time;
use baton_core::tool::{Call, Caller, Class};
use baton_ports::clock::SystemClock;
use baton_ports::records::{Error, Op, Record, Records};
use baton_ports::tools::{Checked, Tools};
use baton_tools::{Config, Registry, Services};
use serde_json::json;

const CALLS: u32 = 200_000;
const ROUNDS: usize = 5;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let registry = Registry::new(Config::default(), &Services::new(Arc::new(Nothing), Arc::new(SystemClock)))?;
    let call = Call {
        tenant: TenantId::from("bench"),
        run: RunId::from("0193f0a4-7c1e-7000-8000-000000000000"),
        key: "0193f0a4-7c1e-7000-8000-000000000000/step_1/0/0".to_owned(),
        tool: "calculator".to_owned(),
        arguments: json!({"expression": "(2 + 3) * 4"}),
        class: Class::Pure,
        agent: None,
        attempt: 1,
        at: Time::EPOCH,
        caller: Caller::default(),
    };
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        for _ in 0..CALLS {
            let Checked::Permitted(permit) = registry.check(&call, None).await else {
                return Err("not permitted".into());
            };
            std::hint::black_box(permit.perform(Duration::from_secs(1)).await);
        }
        rounds.push(began.elapsed() / CALLS);
    }
    rounds.sort_unstable();
    writeln!(std::io::stdout(), "calculator: {} ns a call (median of {ROUNDS})", rounds[ROUNDS / 2].as_nanos())?;
    Ok(())
}

/// The calculator keeps nothing.
struct Nothing;

#[async_trait]
impl Records for Nothing {
    async fn commit(&self, _: &TenantId, _: Vec<Op>, _: Time) -> Result<(), Error> {
        Ok(())
    }

    async fn get(&self, _: &TenantId, _: &str, _: &str) -> Result<Option<Record>, Error> {
        Ok(None)
    }

    async fn list(&self, _: &TenantId, _: &str, _: &str, _: Option<&str>, _: usize) -> Result<Vec<Record>, Error> {
        Ok(Vec::new())
    }

    async fn ranges(&self, _: &TenantId, _: &str, _: &str, _: i64, _: i64) -> Result<Vec<(i64, i64, String)>, Error> {
        Ok(Vec::new())
    }
}
