//! What the document says of answers. They are written by who knows them (`core`, `ports`); a test holds them against
//! these.

#![expect(dead_code, reason = "only described, never made")]

use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Why a request was said no to (RFC 9457).
#[derive(ToSchema)]
pub(super) struct Problem {
    r#type: String,
    title: String,
    status: u16,
    /// Stable, and documented by a page each.
    code: String,
    detail: String,
    /// What to do about it.
    hint: Option<String>,
    /// The run it is about.
    execution_id: Option<String>,
}

/// A run and what it came to.
#[derive(ToSchema)]
pub(super) struct Execution {
    execution_id: String,
    /// `pending`, `running`, `waiting`, `paused`, `compensating`, `completed`, `failed`, `cancelled` or `timeout`.
    status: String,
    /// As `status`, told apart: `compensated` and `timed_out` too.
    state: String,
    compensated: bool,
    /// Of the whole, once it has ended.
    output: Value,
    /// Of each completed node of the outer graph.
    #[schema(value_type = Object)]
    outputs: Map<String, Value>,
    error: Value,
    /// What a rollback undid, what it could not, and why.
    undone: Value,
    /// Who must say what before it goes on.
    waits_for: Vec<Waits>,
    trace: Trace,
    total_cost_usd: f64,
    duration_ms: u64,
}

/// Something a run waits for.
#[derive(ToSchema)]
pub(super) struct Waits {
    /// `human`, `form`, `customer`, `approval`, `question`, `doubt`, `by_hand`, `budget`, `needs_key`, `signal`, `instant` or `resume`.
    kind: String,
    /// The run that waits: this one, or one it runs.
    run: String,
    node: Option<String>,
    effect: Option<String>,
    name: Option<String>,
    at: Option<String>,
    /// What a call asks, and the schema of the answer.
    message: Option<String>,
    #[schema(value_type = Option<Object>)]
    form: Option<Value>,
    need: Option<u32>,
    approved_by: Option<Vec<String>>,
    from: Option<Vec<String>>,
}

#[derive(ToSchema)]
pub(super) struct Trace {
    workflow_id: Option<String>,
    started_at: Option<String>,
    completed_at: Option<String>,
    nodes: Vec<TracedNode>,
    costs: Costs,
}

#[derive(ToSchema)]
pub(super) struct TracedNode {
    node_id: String,
    kind: String,
    duration_ms: u64,
    success: bool,
    status: String,
    error: Option<String>,
}

#[derive(ToSchema)]
pub(super) struct Costs {
    total_usd: f64,
    #[schema(value_type = Object)]
    by_node: Map<String, Value>,
}

#[derive(ToSchema)]
pub(super) struct Executions {
    executions: Vec<Head>,
    /// Nothing on the last page.
    next_cursor: Option<String>,
}

/// A run as lists show it.
#[derive(ToSchema)]
pub(super) struct Head {
    execution_id: String,
    workflow_id: String,
    status: String,
    state: String,
    compensated: bool,
    /// The run that runs it.
    parent: Option<String>,
    created_at: String,
    started_at: Option<String>,
    completed_at: Option<String>,
    wakes_at: Option<String>,
    duration_ms: Option<u64>,
    total_cost_usd: f64,
    error: Option<String>,
    /// In its journal.
    entries: u64,
}

#[derive(ToSchema)]
pub(super) struct Timeline {
    steps: Vec<Step>,
}

/// A call.
#[derive(ToSchema)]
pub(super) struct Step {
    step_id: String,
    tool_name: String,
    /// It undid an earlier one's effect.
    undo: bool,
    started_at: String,
    completed_at: Option<String>,
    duration_ms: Option<u64>,
    success: bool,
    error: Option<String>,
}

#[derive(ToSchema)]
pub(super) struct Summary {
    workflow_id: Option<String>,
    total_steps: u64,
    successful: u64,
    failed: u64,
    in_progress: u64,
    total_duration_ms: u64,
    avg_step_duration_ms: u64,
    is_active: bool,
}

#[derive(ToSchema)]
pub(super) struct Journal {
    entries: Vec<Entry>,
    /// What `after` takes for the next page; nothing on the last.
    next_after: Option<u64>,
}

/// What became true together.
#[derive(ToSchema)]
pub(super) struct Entry {
    /// 1 for the first.
    seq: u64,
    at: String,
    events: Vec<Value>,
}

/// Nodes, and the edges between them.
#[derive(ToSchema)]
pub(super) struct Graph {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
}

#[derive(ToSchema)]
pub(super) struct Node {
    id: String,
    kind: String,
    /// Its name where it has one, else what it runs.
    label: String,
    /// Graphs inside it: a loop's body, the branches of a parallel node.
    #[schema(value_type = Option<Vec<Object>>)]
    bodies: Option<Vec<Value>>,
}

#[derive(ToSchema)]
pub(super) struct Edge {
    from: String,
    to: String,
    label: Option<String>,
    on_error: bool,
}

#[derive(ToSchema)]
pub(super) struct Workflows {
    workflows: Vec<Version>,
}

#[derive(ToSchema)]
pub(super) struct Versions {
    versions: Vec<Version>,
}

/// An immutable version of a workflow.
#[derive(ToSchema)]
pub(super) struct Version {
    workflow: String,
    /// 1 for the first.
    revision: u32,
    /// The version that its text names.
    label: String,
    /// The hash of its text.
    bundle: String,
    active: bool,
    created_at: String,
}

/// A workflow's active version.
#[derive(ToSchema)]
pub(super) struct Workflow {
    workflow: String,
    revision: u32,
    label: String,
    bundle: String,
    active: bool,
    created_at: String,
    graph: Graph,
    /// The text of the bundle: the definition and what it pins.
    definition: Value,
}

#[derive(ToSchema)]
pub(super) struct Desk {
    items: Vec<DeskItem>,
}

/// Something that waits for a person.
#[derive(ToSchema)]
pub(super) struct DeskItem {
    id: String,
    /// `approval`, `tool_approval`, `form`, `question`, `doubt`, `not_undone`, `over_budget`, `needs_key`, `budget` or
    /// `connection`.
    kind: String,
    /// Nothing where it is no run's.
    run: Option<String>,
    title: String,
    details: Value,
    opened_at: String,
    deadline: Option<String>,
}

/// A request for a yes or a no.
#[derive(ToSchema)]
pub(super) struct Request {
    id: String,
    kind: String,
    run: String,
    title: String,
    /// Among them, exactly what would be sent.
    details: Value,
    opened_at: String,
    deadline: Option<String>,
    tool: Option<String>,
    approved_by: Vec<String>,
    /// Who asked, and may not decide.
    asked_by: Option<String>,
}
