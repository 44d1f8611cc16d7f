//! `similar_executions` and `record_execution`: how similar goals were pursued, and with what result.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::redact::{self, RedactionBounds};
use baton_core::tool::{EffectClass, ToolContract};
use baton_ports::clock::Clock;
use baton_ports::index::BODY_BYTES_MAX;
use baton_ports::memory::{
    AgentExecution, MemoryStore, QUERY_BYTES_MAX, SIMILAR_DEFAULT, SIMILAR_MAX, SimilarExecution,
};
use serde_json::{Value, json};

use super::{AUDIT_TYPE, CATEGORY, PROVIDER, count, failure};
use crate::catalogue::{ActionSpec, ToolEntry, ToolRisk};
use crate::request::PreparedRequest;
use crate::tool::ToolHandler;
use crate::tool_error::ToolError;
use crate::tool_set::TIMEOUT;

const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// How much of a plan or of results is shown to the next planner.
const SHOWN: RedactionBounds = RedactionBounds { bytes: 16 << 10, string_bytes: 1 << 10, items: 50, depth: 12 };

pub(super) fn similar_entry(memory: Arc<dyn MemoryStore>) -> ToolEntry {
    let facts = ToolContract {
        description: "Finds past executions whose goal was like this one, with their plans and outcomes".to_owned(),
        output_fields: ["goal", "executions", "count", "provider"].map(str::to_owned).into(),
        parameters: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["goal"],
            "properties": {
                "goal": {"type": "string", "minLength": 1, "maxLength": QUERY_BYTES_MAX},
                "limit": {"type": "integer", "minimum": 1, "maximum": SIMILAR_MAX, "default": SIMILAR_DEFAULT},
                "success_only": {"type": "boolean", "default": false},
            },
        }),
        ..ToolContract::new(EffectClass::Read, READ_TIMEOUT)
    };
    let action = ActionSpec::new(facts, AUDIT_TYPE, ToolRisk::Low);
    ToolEntry::new("similar_executions", CATEGORY, PROVIDER, action, Arc::new(SimilarExecutions { memory }))
}

pub(super) fn record_entry(memory: Arc<dyn MemoryStore>, clock: Arc<dyn Clock>) -> ToolEntry {
    let facts = ToolContract {
        description: "Remembers what was to be done, how it was gone about, and whether it worked".to_owned(),
        irreversible: Some("what was tried was tried; forgetting is an operator's".to_owned()),
        output_fields: ["execution_id", "id", "success", "provider"].map(str::to_owned).into(),
        parameters: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["goal", "success"],
            "properties": {
                "goal": {"type": "string", "minLength": 1, "maxLength": QUERY_BYTES_MAX},
                "plan": {"description": format!("Any JSON; with the results at most {BODY_BYTES_MAX} bytes")},
                "results": {"description": "Any JSON: what each step of the plan came to"},
                "success": {"type": "boolean"},
                "agent_type": {"type": ["string", "null"], "maxLength": 200},
                "cost_usd": {"type": ["number", "null"], "minimum": 0},
                "duration_ms": {"type": ["integer", "null"], "minimum": 0},
                "iterations": {"type": ["integer", "null"], "minimum": 0, "maximum": 1_000_000},
            },
        }),
        ..ToolContract::new(EffectClass::Keyed, TIMEOUT)
    };
    let action = ActionSpec::new(facts, AUDIT_TYPE, ToolRisk::Low);
    ToolEntry::new("record_execution", CATEGORY, PROVIDER, action, Arc::new(RecordExecution { memory, clock }))
}

struct SimilarExecutions {
    memory: Arc<dyn MemoryStore>,
}

#[async_trait]
impl ToolHandler for SimilarExecutions {
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let goal = request.text("goal").unwrap_or_default();
        let limit = count(request, "limit", SIMILAR_DEFAULT);
        let success_only = request.argument("success_only").as_bool().unwrap_or(false);
        let found = self.memory.similar_executions(&request.call.tenant, goal, limit, success_only).await;
        let executions: Vec<Value> = found.map_err(|error| failure(&error))?.iter().map(shown).collect();
        Ok(json!({"goal": goal, "count": executions.len(), "executions": executions, "provider": PROVIDER}))
    }
}

/// Removes data that belongs to another person.
fn shown(similar: &SimilarExecution) -> Value {
    let SimilarExecution { execution, score } = similar;
    json!({
        "goal": redact::text(&execution.goal), "plan": redact::value(&execution.plan, SHOWN),
        "results": redact::value(&execution.results, SHOWN), "success": execution.success,
        "agent_type": execution.agent, "cost_usd": execution.cost_usd, "duration_ms": execution.duration_ms,
        "iterations": execution.iterations, "at": execution.at.to_string(), "score": score,
    })
}

struct RecordExecution {
    memory: Arc<dyn MemoryStore>,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl ToolHandler for RecordExecution {
    /// The id derives from the key, so a repeated call records the same execution.
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let id = request.id("ex");
        let number = |name: &str| request.argument(name).as_u64();
        let success = request.argument("success").as_bool().unwrap_or(false);
        let execution = AgentExecution {
            id: id.clone(),
            goal: request.text("goal").unwrap_or_default().to_owned(),
            plan: request.argument("plan").clone(),
            results: request.argument("results").clone(),
            success,
            agent: request.text("agent_type").or(request.call.agent.as_deref()).map(str::to_owned),
            user: request.call.caller.user_id.clone(),
            cost_usd: request.argument("cost_usd").as_f64(),
            duration_ms: number("duration_ms"),
            iterations: number("iterations").and_then(|count| u32::try_from(count).ok()),
            at: self.clock.now(),
        };
        let recorded = self.memory.record_execution(&request.call.tenant, execution).await;
        recorded.map_err(|error| failure(&error))?;
        Ok(json!({"execution_id": id, "id": id, "success": success, "provider": PROVIDER}))
    }
}
