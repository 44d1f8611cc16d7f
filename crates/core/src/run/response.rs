//! A run as JSON for programs.

use serde_json::{Value, json};

use super::{OpenWait, Run, api_status};

/// Returns a run as the API returns it, with what it and its children wait for.
pub fn response(run: &Run, open: &[OpenWait]) -> Value {
    let (status, compensated) = api_status(run.state());
    let nodes = run.nodes();
    let by_node: serde_json::Map<String, Value> =
        nodes.iter().filter(|row| row.cost_usd > 0.0).map(|row| (row.node.to_string(), row.cost_usd.into())).collect();
    let trace: Vec<Value> = nodes
        .iter()
        .filter(|row| row.duration_ms.is_some())
        .map(|row| {
            json!({
                "node_id": row.node, "kind": row.kind, "duration_ms": row.duration_ms,
                "success": row.status == "completed", "status": row.status, "error": row.error,
            })
        })
        .collect();
    let end = run.finished();
    let duration = run.now().since(run.started_at()).as_millis();
    json!({
        "execution_id": run.id(),
        "status": status,
        "state": run.state(),
        "compensated": compensated,
        "output": end.map(|end| (*end.output).clone()),
        "outputs": run.outputs(),
        "error": run.fault(),
        // The current state: a person may have undone by hand what was left at the end.
        "undone": end.and_then(|end| end.undone.as_ref()).map(|_| run.saga().report()),
        "waits_for": open.iter().map(OpenWait::as_json).collect::<Vec<_>>(),
        "trace": {
            "workflow_id": run.workflow().map(|workflow| workflow.name.clone()),
            "started_at": run.started().map(|_| run.started_at().to_string()),
            "completed_at": run.state().is_end().then(|| run.now().to_string()),
            "nodes": trace,
            "costs": { "total_usd": run.cost().as_f64(), "by_node": by_node },
        },
        "total_cost_usd": run.cost().as_f64(),
        "duration_ms": u64::try_from(duration).unwrap_or(u64::MAX),
    })
}

/// Returns the full details of a run: [`response`], and data for inspection.
pub fn detail(run: &Run, open: &[OpenWait]) -> Value {
    let mut shown = response(run, open);
    let plan = run.saga().plan();
    let plan: Vec<Value> = plan.into_iter().map(|(node, tool, planned)| planned.as_json(&node, &tool)).collect();
    shown["variables"] = json!(run.variables());
    shown["nodes"] = json!(run.nodes());
    shown["undone"] = run.saga().report();
    shown["rollback_plan"] = json!(plan);
    shown
}
