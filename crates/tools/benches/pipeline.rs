//! What the pipeline costs one call: check, permit, perform, audit row; not the journal. With every stage on: 1 KB of
//! arguments against a schema of ten properties, an approval that is not needed, an answer to keep, a rate, a circuit, and
//! 4 KB of result with personal data to redact. `cargo bench -p baton-tools -- [--json]`.

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
use baton_tools::{Config, Definition, Registry, Services};
use serde_json::{Value, json};

/// With those not counted, fewer than the largest rate there is lets through in a second: none is held back.
const CALLS: usize = 40_000;
/// Not counted: caches and the branch predictor settle.
const WARM: usize = 5_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let registry = registry()?;
    let smallest =
        measure(&registry, |_| call("calculator", Class::Pure, json!({"expression": "(2 + 3) * 4"}))).await?;
    let whole = measure(&registry, |n| call("find_customer", Class::Read, arguments(n))).await?;
    let mut out = std::io::stdout();
    if std::env::args().any(|argument| argument == "--json") {
        let figures = json!({
            "pipeline_p50_us": whole.half, "pipeline_p99_us": whole.tail,
            "calculator_p50_us": smallest.half, "calculator_p99_us": smallest.tail,
        });
        writeln!(out, "{figures}")?;
    } else {
        writeln!(out, "every stage  p50 {:.2} µs  p99 {:.2} µs", whole.half, whole.tail)?;
        writeln!(out, "calculator   p50 {:.2} µs  p99 {:.2} µs", smallest.half, smallest.tail)?;
    }
    Ok(())
}

/// Microseconds of one call.
struct Took {
    half: f64,
    tail: f64,
}

async fn measure(registry: &Registry, call: impl Fn(usize) -> Call) -> Result<Took, Box<dyn std::error::Error>> {
    let mut took = Vec::with_capacity(CALLS);
    for n in 0..WARM + CALLS {
        let call = call(n);
        let began = Instant::now();
        let Checked::Permitted(permit) = registry.check(&call, None).await else { return Err("not permitted".into()) };
        let performed = permit.perform(Duration::from_secs(1)).await;
        if n >= WARM {
            took.push(began.elapsed());
        }
        std::hint::black_box(performed);
    }
    took.sort_unstable();
    let at = |share: usize| took[took.len() * share / 100].as_secs_f64() * 1e6;
    Ok(Took { half: at(50), tail: at(99) })
}

fn registry() -> Result<Registry, Box<dyn std::error::Error>> {
    let config: Config = serde_json::from_value(json!({"approval_from": "high", "rate": "100000/s"}))?;
    let definitions = Definition::parse(json!([find_customer()]))?.tools;
    let services = Services::new(Arc::new(Nothing), Arc::new(SystemClock));
    Ok(Registry::with_defined(config, definitions, &services)?)
}

fn find_customer() -> Value {
    let text = json!({"type": "string", "maxLength": 200});
    let properties: serde_json::Map<_, _> = (0..9).map(|n| (format!("field_{n}"), text.clone())).collect();
    let mut parameters = json!({
        "type": "object", "additionalProperties": false, "required": ["n", "field_0"], "properties": properties,
    });
    parameters["properties"]["n"] = json!({"type": "integer", "minimum": 0});
    let person = |n: usize| {
        json!({
            "name": format!("Ana Pérez {n}"), "email": format!("ana.{n}@clinic.example"), "phone": "+34 612 345 678",
            "note": "asked for a later appointment, and to be called in the afternoon rather than in the morning",
        })
    };
    let people: Vec<_> = (0..20).map(person).collect();
    json!({
        "name": "find_customer", "kind": "script", "class": "read", "rate": "100000/s", "cache_seconds": 1, "cost_usd": 0.01,
        "parameters": parameters, "results": [{"output": {"people": people}}],
    })
}

/// About 1 KB, different each time, so that no answer is known.
fn arguments(n: usize) -> Value {
    let mut arguments = json!({"n": n});
    for field in 0..9 {
        arguments[format!("field_{field}")] =
            json!("somebody who came in spring and wrote from ana@clinic.example, twice, about an invoice");
    }
    arguments
}

fn call(tool: &str, class: Class, arguments: Value) -> Call {
    Call {
        tenant: TenantId::from("bench"),
        run: RunId::from("0193f0a4-7c1e-7000-8000-000000000000"),
        key: "0193f0a4-7c1e-7000-8000-000000000000/step_1/0/0".to_owned(),
        tool: tool.to_owned(),
        arguments,
        class,
        agent: None,
        attempt: 1,
        at: Time::EPOCH,
        caller: Caller::default(),
    }
}

/// What these tools do is not kept.
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
