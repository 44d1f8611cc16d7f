//! Measures what the pipeline costs one call: check, permit, perform and audit row, without the journal. Every stage
//! is on: 1 KB of arguments against a schema of ten properties, an approval that is not needed, a cacheable result, a
//! rate limit, a circuit, and a 4 KB result with personal data to redact. Also measures a large catalogue: listing,
//! searching and finding among 10,000 tools.
//!
//! Run with `cargo bench -p baton-tools -- [--json]`. `--calls N` makes N of the large calls and nothing else, for a
//! tool that counts instructions.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use baton_core::id::{RunId, TenantId};
use baton_core::time::Time;
use baton_core::tool::{Caller, EffectClass, ToolInvocation};
use baton_ports::catalogue::{ToolCatalogue as _, ToolFilter};
use baton_ports::clock::SystemClock;
use baton_ports::records::{RecordError, RecordOp, RecordStore, StoredRecord};
use baton_ports::tools::{CheckResult, ToolGateway};
use baton_tools::{ToolDefinition, ToolRegistry, ToolServices, ToolsConfig};
use serde_json::{Value, json};

/// The allocator that the binary uses.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Together with the warm-up calls, fewer than the highest possible rate admits in one second, so no call is
/// throttled.
const CALLS: usize = 40_000;
/// Warm-up calls, not counted: caches and the branch predictor settle.
const WARM: usize = 5_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let registry = registry()?;
    let large = |n| call("find_customer", EffectClass::Read, arguments(n));
    if let Some(calls) = std::env::args().skip_while(|argument| argument != "--calls").nth(1) {
        measure(&registry, calls.parse()?, 0, large).await?;
        return Ok(());
    }
    let small = |_| call("calculator", EffectClass::Pure, json!({"expression": "(2 + 3) * 4"}));
    let smallest = measure(&registry, CALLS, WARM, small).await?;
    let whole = measure(&registry, CALLS, WARM, large).await?;
    let large = LargeCatalogue::measure().await?;
    let mut out = std::io::stdout();
    if std::env::args().any(|argument| argument == "--json") {
        let figures = json!({
            "pipeline_p50_us": whole.half, "pipeline_p99_us": whole.tail,
            "calculator_p50_us": smallest.half, "calculator_p99_us": smallest.tail,
            "catalogue_tools": large.tools, "catalogue_list_ms": large.list, "catalogue_search_ms": large.search,
            "catalogue_first_ranking_ms": large.first_ranking, "catalogue_ranking_ms": large.ranking,
            "catalogue_facts_ms": large.facts, "catalogue_call_p50_us": large.call,
        });
        writeln!(out, "{figures}")?;
    } else {
        writeln!(out, "every stage  p50 {:.2} µs  p99 {:.2} µs", whole.half, whole.tail)?;
        writeln!(out, "calculator   p50 {:.2} µs  p99 {:.2} µs", smallest.half, smallest.tail)?;
        writeln!(
            out,
            "{} tools  list {:.2} ms  search {:.2} ms  the first ranked search {:.2} ms, each other {:.2} ms  facts of \
             all {:.2} ms  a call p50 {:.2} µs",
            large.tools, large.list, large.search, large.first_ranking, large.ranking, large.facts, large.call
        )?;
    }
    Ok(())
}

/// Latency of one call, in microseconds.
struct CallLatency {
    half: f64,
    tail: f64,
}

async fn measure(
    registry: &ToolRegistry,
    calls: usize,
    warm: usize,
    call: impl Fn(usize) -> ToolInvocation,
) -> Result<CallLatency, Box<dyn std::error::Error>> {
    let mut took = Vec::with_capacity(calls);
    for n in 0..warm + calls {
        let call = call(n);
        let began = Instant::now();
        let CheckResult::Permitted(permit) = registry.check(&call, None).await else {
            return Err("not permitted".into());
        };
        let performed = permit.perform(Duration::from_secs(1)).await;
        if n >= warm {
            took.push(began.elapsed());
        }
        std::hint::black_box(performed);
    }
    took.sort_unstable();
    let at = |share: usize| took.get(took.len() * share / 100).map_or(0.0, Duration::as_secs_f64) * 1e6;
    Ok(CallLatency { half: at(50), tail: at(99) })
}

/// A catalogue of the size of a large import. Each figure in milliseconds has a limit of 20 ms and is the median of
/// several runs, except the first ranked search, which happens only once.
struct LargeCatalogue {
    tools: usize,
    list: f64,
    search: f64,
    /// Time of the first ranked search, and of each one after it.
    first_ranking: f64,
    ranking: f64,
    /// Collects the facts of every tool, as the check of a definition or an agent's tool selection does.
    facts: f64,
    call: f64,
}

impl LargeCatalogue {
    const TOOLS: usize = 10_000;
    const TIMES: usize = 21;

    async fn measure() -> Result<Self, Box<dyn std::error::Error>> {
        let mut definitions = Vec::new();
        for first in (0..Self::TOOLS).step_by(1_000) {
            let tools: Vec<Value> = (first..first + 1_000)
                .map(|number| {
                    let mut tool = find_customer();
                    tool["name"] = json!(format!("app_{}.action_{number}", number % 100));
                    tool["description"] = json!(format!(
                        "Does the thing number {number} with what it is given, and says what came of it"
                    ));
                    tool
                })
                .collect();
            definitions.extend(ToolDefinition::parse(json!(tools))?.tools);
        }
        let services = ToolServices::new(Arc::new(BenchRecords), Arc::new(SystemClock));
        let registry = ToolRegistry::with_defined(ToolsConfig::default(), definitions, &services)?;
        let tenant = TenantId::from("bench");
        let search = || registry.list(&tenant, &ToolFilter::with_words("number 9999")).len();
        let found = search();
        if found != 1 {
            return Err(format!("{found} tools were found in place of one").into());
        }
        let began = Instant::now();
        let (ranked, _) = registry.search(&tenant, "does number 9999", 10).await;
        let first_ranking = began.elapsed().as_secs_f64() * 1e3;
        if ranked.first().is_none_or(|tool| !tool.name.ends_with("9999")) {
            return Err("the tool that was meant is not the first".into());
        }
        let mut ranking = Vec::new();
        for number in 0..Self::TIMES {
            let began = Instant::now();
            std::hint::black_box(registry.search(&tenant, &format!("does number {number}"), 10).await);
            ranking.push(began.elapsed());
        }
        let facts = || registry.names().iter().filter_map(|name| registry.facts(name)).count();
        Ok(Self {
            tools: registry.names().len(),
            list: Self::half(|| registry.all(&tenant).len()),
            search: Self::half(search),
            first_ranking,
            ranking: Self::middle(ranking),
            facts: Self::half(facts),
            call: Self::half(|| registry.describe(&tenant, "app_99.action_9999").map_or(0, |tool| tool.name.len()))
                * 1e3,
        })
    }

    /// Median time, in milliseconds.
    fn half(of: impl Fn() -> usize) -> f64 {
        let took = (0..Self::TIMES).map(|_| {
            let began = Instant::now();
            std::hint::black_box(of());
            began.elapsed()
        });
        Self::middle(took.collect())
    }

    fn middle(mut took: Vec<Duration>) -> f64 {
        took.sort_unstable();
        took[took.len() / 2].as_secs_f64() * 1e3
    }
}

fn registry() -> Result<ToolRegistry, Box<dyn std::error::Error>> {
    let config: ToolsConfig = serde_json::from_value(json!({"approval_from": "high", "rate": "100000/s"}))?;
    let definitions = ToolDefinition::parse(json!([find_customer()]))?.tools;
    let services = ToolServices::new(Arc::new(BenchRecords), Arc::new(SystemClock));
    Ok(ToolRegistry::with_defined(config, definitions, &services)?)
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

/// Returns about 1 KB of arguments, different each time, so that no result comes from the cache.
fn arguments(n: usize) -> Value {
    let mut arguments = json!({"n": n});
    for field in 0..9 {
        arguments[format!("field_{field}")] =
            json!("somebody who came in spring and wrote from ana@clinic.example, twice, about an invoice");
    }
    arguments
}

fn call(tool: &str, class: EffectClass, arguments: Value) -> ToolInvocation {
    ToolInvocation {
        tenant: TenantId::from("bench"),
        run: RunId::from("0193f0a4-7c1e-7000-8000-000000000000"),
        workflow: String::new(),
        key: "0193f0a4-7c1e-7000-8000-000000000000/step_1/0/0".to_owned(),
        tool: tool.to_owned(),
        arguments: arguments.into(),
        class,
        agent: None,
        attempt: 1,
        provider: None,
        at: Time::EPOCH,
        replies: Vec::new(),
        caller: Caller::default(),
    }
}

/// A record store that discards every write.
struct BenchRecords;

#[async_trait]
impl RecordStore for BenchRecords {
    async fn commit(&self, _: &TenantId, _: Vec<RecordOp>, _: Time) -> Result<(), RecordError> {
        Ok(())
    }

    async fn get(&self, _: &TenantId, _: &str, _: &str) -> Result<Option<StoredRecord>, RecordError> {
        Ok(None)
    }

    async fn list(
        &self,
        _: &TenantId,
        _: &str,
        _: &str,
        _: Option<&str>,
        _: usize,
    ) -> Result<Vec<StoredRecord>, RecordError> {
        Ok(Vec::new())
    }

    async fn ranges(
        &self,
        _: &TenantId,
        _: &str,
        _: &str,
        _: i64,
        _: i64,
    ) -> Result<Vec<(i64, i64, String)>, RecordError> {
        Ok(Vec::new())
    }
}
