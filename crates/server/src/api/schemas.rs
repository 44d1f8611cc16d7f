//! Schemas of the responses. The responses are serialised by their own crates (`core`, `ports`); a test checks them
//! against these schemas.

#![expect(dead_code, reason = "only described, never made")]

pub(super) mod audit;
pub(super) mod composio;
pub(super) mod costs;
pub(super) mod keys;
pub(super) mod knowledge;
pub(super) mod models;
pub(super) mod sources;
pub(super) mod tools;

use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::openapi;

/// Why a request was said no to (RFC 9457).
#[derive(ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemSchema {
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
    /// All that is wrong with a document.
    findings: Option<Vec<DiagnosticSchema>>,
}

/// Something that is wrong with a document, and where.
#[derive(ToSchema)]
#[schema(as = Finding)]
pub(super) struct DiagnosticSchema {
    /// `error`, `draft` (it names what is not there), `warning` or `hint`. The first two keep it from running.
    severity: String,
    /// Stable, and documented by a page each.
    code: String,
    message: String,
    hint: Option<String>,
    /// 1 for the first; 0 where there is no place.
    line: u32,
    /// In characters, 1 for the first.
    column: u32,
    len: u32,
}

/// A run and what it came to.
#[derive(ToSchema)]
#[schema(as = Execution)]
pub(super) struct ExecutionSchema {
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
    waits_for: Vec<WaitSchema>,
    trace: ExecutionTrace,
    total_cost_usd: f64,
    duration_ms: u64,
    /// The version it is on, in words; where the execution is shown, and has begun.
    version: Option<String>,
    /// The same for programs.
    runs_on: Option<ExecutionVersion>,
    /// The most it may cost, as its workflow says.
    max_cost_usd: Option<f64>,
    /// What waits for people because of it; where it is shown.
    desk: Option<Vec<TaskItemSchema>>,
    /// What a rollback would undo now, newest first; where it is shown.
    rollback_plan: Option<Vec<RollbackStepSchema>>,
}

#[derive(ToSchema)]
#[schema(as = RunsOn)]
pub(super) struct ExecutionVersion {
    workflow: String,
    revision: Option<u32>,
    label: String,
    bundle: String,
}

/// What a rollback would do about an effect.
#[derive(ToSchema)]
#[schema(as = Planned)]
pub(super) struct RollbackStepSchema {
    node: String,
    tool: String,
    /// In words: the tool that is called, or why it is otherwise.
    undo: String,
    /// `call`, `irreversible`, `by_hand` or `child`.
    how: String,
    /// The tool that is called.
    calls: Option<String>,
    /// Why it is not undone by a call.
    reason: Option<String>,
    /// The run that is rolled back.
    run: Option<String>,
}

/// Something a run waits for.
#[derive(ToSchema)]
#[schema(as = Waits)]
pub(super) struct WaitSchema {
    /// `human`, `form`, `customer`, `approval`, `question`, `doubt`, `by_hand`, `budget`, `needs_key`, `signal`, `instant` or `resume`;
    /// of a call that goes out by itself at `at`: `rate`, `circuit`, `outage`, `retry` or `look_up`.
    kind: String,
    /// The run that waits: this one, or one it runs.
    run: String,
    node: Option<String>,
    effect: Option<String>,
    name: Option<String>,
    at: Option<String>,
    /// The tool of a call that goes out by itself.
    tool: Option<String>,
    /// What a call asks, and the schema of the answer.
    message: Option<String>,
    #[schema(value_type = Option<Object>)]
    form: Option<Value>,
    need: Option<u32>,
    approved_by: Option<Vec<String>>,
    from: Option<Vec<String>>,
}

#[derive(ToSchema)]
#[schema(as = Trace)]
pub(super) struct ExecutionTrace {
    workflow_id: Option<String>,
    started_at: Option<String>,
    completed_at: Option<String>,
    nodes: Vec<TracedNodeSchema>,
    costs: TraceCosts,
}

#[derive(ToSchema)]
#[schema(as = TracedNode)]
pub(super) struct TracedNodeSchema {
    node_id: String,
    kind: String,
    duration_ms: u64,
    success: bool,
    status: String,
    error: Option<String>,
}

#[derive(ToSchema)]
#[schema(as = Costs)]
pub(super) struct TraceCosts {
    total_usd: f64,
    #[schema(value_type = Object)]
    by_node: Map<String, Value>,
}

#[derive(ToSchema)]
#[schema(as = Executions)]
pub(super) struct ExecutionListSchema {
    executions: Vec<ExecutionHead>,
    /// Nothing on the last page.
    next_cursor: Option<String>,
}

/// A run as lists show it.
#[derive(ToSchema)]
#[schema(as = Head)]
pub(super) struct ExecutionHead {
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
    /// Since when nothing is left of it but what lists show.
    erased_at: Option<String>,
}

#[derive(ToSchema)]
#[schema(as = Timeline)]
pub(super) struct ExecutionTimeline {
    steps: Vec<TimelineStep>,
}

/// A call.
#[derive(ToSchema)]
#[schema(as = Step)]
pub(super) struct TimelineStep {
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
#[schema(as = Summary)]
pub(super) struct ExecutionSummary {
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
#[schema(as = Journal)]
pub(super) struct JournalSchema {
    entries: Vec<JournalEntrySchema>,
    /// What `after` takes for the next page; nothing on the last.
    next_after: Option<u64>,
}

/// What became true together.
#[derive(ToSchema)]
#[schema(as = Entry)]
pub(super) struct JournalEntrySchema {
    /// 1 for the first.
    seq: u64,
    at: String,
    events: Vec<Value>,
}

/// Nodes, and the edges between them.
#[derive(ToSchema)]
#[schema(as = Graph)]
pub(super) struct GraphSchema {
    nodes: Vec<GraphNodeSchema>,
    edges: Vec<GraphEdgeSchema>,
}

#[derive(ToSchema)]
#[schema(as = Node)]
pub(super) struct GraphNodeSchema {
    id: String,
    kind: String,
    /// Its name where it has one, else what it runs.
    label: String,
    /// As its author calls it, where that is not its id.
    name: Option<String>,
    /// The tool, the agent or the workflow that it runs.
    calls: Option<String>,
    /// Graphs inside it: a loop's body, the branches of a parallel node.
    #[schema(value_type = Option<Vec<Object>>)]
    bodies: Option<Vec<Value>>,
}

#[derive(ToSchema)]
#[schema(as = Edge)]
pub(super) struct GraphEdgeSchema {
    from: String,
    to: String,
    label: Option<String>,
    on_error: bool,
}

#[derive(ToSchema)]
#[schema(as = Workflows)]
pub(super) struct WorkflowListSchema {
    workflows: Vec<WorkflowVersionSchema>,
}

#[derive(ToSchema)]
#[schema(as = Versions)]
pub(super) struct VersionListSchema {
    versions: Vec<WorkflowVersionSchema>,
}

/// An immutable version of a workflow.
#[derive(ToSchema)]
#[schema(as = Version)]
pub(super) struct WorkflowVersionSchema {
    workflow: String,
    /// 1 for the first.
    revision: u32,
    /// The version that its text names.
    label: String,
    /// The hash of its text.
    bundle: String,
    active: bool,
    created_at: String,
    /// Who made it; nothing where it came from the project's files.
    made_by: Option<String>,
    /// When it last became the active one; nothing where it never was.
    activated_at: Option<String>,
}

/// A version that was kept, and what is still to be said of it.
#[derive(ToSchema)]
#[schema(as = Kept)]
pub(super) struct SavedVersionSchema {
    #[serde(flatten)]
    version: WorkflowVersionSchema,
    /// Warnings and hints.
    diagnostics: Vec<DiagnosticSchema>,
}

/// What was found in a document.
#[derive(ToSchema)]
#[schema(as = Validated)]
pub(super) struct ValidationSchema {
    /// It may run.
    ok: bool,
    /// Its name, where it is a workflow.
    workflow: Option<String>,
    diagnostics: Vec<DiagnosticSchema>,
    graph: Option<GraphSchema>,
    /// A JSON Schema of what a run must bring; nothing where anything will do.
    #[schema(value_type = Option<Object>)]
    input: Option<Value>,
}

/// What a model made of a goal.
#[derive(ToSchema)]
#[schema(as = Generated)]
pub(super) struct GeneratedWorkflow {
    /// It may run.
    ok: bool,
    /// Its name, where it may run.
    workflow: Option<String>,
    /// The draft in YAML; empty where the last reply holds none.
    document: String,
    /// The same as JSON.
    #[schema(value_type = Option<Object>)]
    definition: Option<Value>,
    diagnostics: Vec<DiagnosticSchema>,
    /// Why the last reply holds no draft.
    problem: Option<String>,
    /// A JSON Schema of what a run must bring; nothing where anything will do.
    #[schema(value_type = Option<Object>)]
    input: Option<Value>,
    /// Of the model: one a draft.
    replies: usize,
    cost_usd: f64,
}

/// A version of a workflow.
#[derive(ToSchema)]
#[schema(as = Workflow)]
pub(super) struct WorkflowSchema {
    #[serde(flatten)]
    version: WorkflowVersionSchema,
    graph: GraphSchema,
    /// A JSON Schema of what a run must bring; nothing where anything will do.
    #[schema(value_type = Option<Object>)]
    input: Option<Value>,
    /// The definition, as people write it.
    yaml: String,
    /// The text of the bundle: the definition and what it pins.
    definition: Value,
    /// Who shares its runs; empty: all are the active version's.
    traffic: Vec<TrafficShareSchema>,
    /// When it was put away.
    archived_at: Option<String>,
}

/// A version's part of a workflow's runs.
#[derive(ToSchema)]
#[schema(as = Share)]
pub(super) struct TrafficShareSchema {
    revision: u32,
    /// 1 to 100.
    percent: u32,
}

#[derive(ToSchema)]
#[schema(as = Traffic)]
pub(super) struct TrafficSplitSchema {
    /// Empty: all runs are the active version's.
    traffic: Vec<TrafficShareSchema>,
    /// The active version's revision.
    active: Option<u32>,
}

#[derive(ToSchema)]
#[schema(as = Differences)]
pub(super) struct VersionDiff {
    from: u32,
    to: u32,
    /// At most 500.
    differences: Vec<VersionDifference>,
    /// All there are.
    count: u64,
}

#[derive(ToSchema)]
#[schema(as = Difference)]
pub(super) struct VersionDifference {
    /// Where, such as `definition.nodes[book].parameters.day`.
    path: String,
    /// `added`, `removed` or `changed`.
    how: String,
    from: Option<Value>,
    to: Option<Value>,
}

#[derive(ToSchema)]
#[schema(as = Templates)]
pub(super) struct TemplateListSchema {
    templates: Vec<TemplateSchema>,
}

/// A workflow to begin from.
#[derive(ToSchema)]
#[schema(as = Template)]
pub(super) struct TemplateSchema {
    name: String,
    description: Option<String>,
    yaml: String,
}

#[derive(ToSchema)]
#[schema(as = Agents)]
pub(super) struct AgentListSchema {
    agents: Vec<AgentCardSchema>,
}

/// An agent, and how it has done.
#[derive(ToSchema)]
#[schema(as = Card)]
pub(super) struct AgentCardSchema {
    name: String,
    /// `simple`, `reasoning`, `code` or `custom`.
    r#type: String,
    description: String,
    capabilities: Vec<String>,
    supported_models: Vec<String>,
    /// The model it is asked with by name, else its profile.
    default_model: String,
    /// `low`, `medium` or `high`.
    cost_tier: String,
    /// Of its own tasks; nothing before the first.
    avg_latency_ms: Option<u64>,
    is_healthy: bool,
    error_rate: f64,
    tasks: u64,
    fallback: Option<String>,
}

#[derive(ToSchema)]
#[schema(as = Agent)]
pub(super) struct AgentSchema {
    #[serde(flatten)]
    card: AgentCardSchema,
    /// What defines it, as a file in `agents/` does.
    #[schema(value_type = Object)]
    definition: Value,
    /// It was made known over the API or the command line, and may be changed and forgotten.
    is_registered: bool,
}

#[derive(ToSchema)]
#[schema(as = ExecutionCosts)]
pub(super) struct ExecutionCostSchema {
    execution_id: String,
    total_cost_usd: f64,
    /// The most it may cost, as its workflow says.
    max_cost_usd: Option<f64>,
    by_node: Vec<NodeCost>,
    by_model: Vec<ModelCost>,
}

#[derive(ToSchema)]
pub(super) struct NodeCost {
    node_id: String,
    kind: String,
    cost_usd: f64,
}

/// Attempts at one model.
#[derive(ToSchema)]
pub(super) struct ModelCost {
    selected_model: String,
    selected_provider: String,
    calls: u64,
    total_tokens: u64,
    cost_usd: f64,
    avg_latency_ms: u64,
}

#[derive(ToSchema)]
#[schema(as = Desk)]
pub(super) struct TaskListSchema {
    items: Vec<TaskItemSchema>,
    /// Nothing on the last page.
    next_cursor: Option<String>,
}

/// Something that waits for a person.
#[derive(ToSchema)]
#[schema(as = DeskItem)]
pub(super) struct TaskItemSchema {
    id: String,
    /// `approval`, `tool_approval`, `form`, `question`, `doubt`, `not_undone`, `over_budget`, `needs_key`, `budget`,
    /// `connection` or `late`.
    kind: String,
    /// Nothing where it is no run's.
    run: Option<String>,
    title: String,
    details: Value,
    opened_at: String,
    deadline: Option<String>,
    /// Of the run; in lists.
    workflow_id: Option<String>,
    /// Of a request: the tool, the class of its effect, why it cannot be undone, who has said yes, and who asked.
    tool: Option<String>,
    effect_class: Option<String>,
    irreversible: Option<String>,
    approved_by: Option<Vec<String>>,
    asked_by: Option<String>,
    /// What this key may do about it now: some of `approve`, `reject`, `fill`, `signal` and `resolve`.
    may: Option<Vec<String>>,
    /// Why this key may not do more, where that is so.
    why_not: Option<String>,
}

/// A request for a yes or a no.
#[derive(ToSchema)]
#[schema(as = Request)]
pub(super) struct ApprovalSchema {
    id: String,
    kind: String,
    run: String,
    title: String,
    /// Among them, exactly what would be sent.
    details: Value,
    opened_at: String,
    deadline: Option<String>,
    workflow_id: Option<String>,
    tool: Option<String>,
    effect_class: Option<String>,
    irreversible: Option<String>,
    approved_by: Vec<String>,
    /// Who asked, and may not decide.
    asked_by: Option<String>,
    /// What this key may do about it now: some of `approve`, `reject`, `fill`, `signal` and `resolve`.
    may: Vec<String>,
    /// Why this key may not do more, where that is so.
    why_not: Option<String>,
}

#[derive(ToSchema)]
#[schema(as = Conversations)]
pub(super) struct ConversationListSchema {
    conversations: Vec<ConversationSchema>,
    /// `cursor` of the next page; nothing at the end.
    next_cursor: Option<String>,
}

/// A conversation. Lists leave out what is known of one alone.
#[derive(ToSchema)]
#[schema(as = Conversation)]
pub(super) struct ConversationSchema {
    conversation_id: String,
    workflow_id: String,
    /// `new`, `ai_processing`, `finished`, `handover`, `pending_human`, `human_active`, `resolved` or `back_to_ai`.
    state: String,
    /// `active`, `closed` or `escalated`.
    status: String,
    /// Whether people handle it.
    is_hil: bool,
    hil_reason: Option<String>,
    /// `ai`, `person` or `nobody`.
    owner: String,
    assigned_agent_id: Option<String>,
    /// What its owner owns it under; a post quotes it.
    number: u64,
    user_id: Option<String>,
    channel: String,
    confidence_score: Option<f64>,
    created_at: String,
    updated_at: String,
    ended_at: Option<String>,
    /// The customer's.
    messages: u64,
    runs: u64,
    total_cost_usd: f64,
    rating: Option<u8>,
    last_message: Option<String>,
    /// Since when nothing is left of it but what lists show.
    erased_at: Option<String>,
    /// What went along when it was handed over.
    handover_context: Option<Value>,
    /// The run that thinks about it, or waits for the customer.
    execution_id: Option<String>,
    waiting_since: Option<String>,
    first_response_at: Option<String>,
    reopened: Option<u64>,
    /// Not in lists.
    service_level: Option<ServiceLevelSchema>,
}

/// What is promised of a conversation.
#[derive(ToSchema)]
#[schema(as = ConversationServiceLevel)]
pub(super) struct ServiceLevelSchema {
    /// `low`, `normal`, `high` or `urgent`.
    priority: String,
    /// Nothing: as the desk's settings say.
    first_response_ms: Option<u64>,
    resolution_ms: Option<u64>,
}

#[derive(ToSchema)]
#[schema(as = Messages)]
pub(super) struct MessageListSchema {
    messages: Vec<MessageSchema>,
    /// `after` of the next page; nothing at the end.
    next_after: Option<u64>,
}

/// One line of what was said.
#[derive(ToSchema)]
#[schema(as = Message)]
pub(super) struct MessageSchema {
    number: u64,
    at: String,
    /// `customer`, `ai`, `person`, `note` or `suggestion`.
    from: String,
    /// The person's.
    name: Option<String>,
    execution_id: Option<String>,
    text: String,
    /// The number its author owned the conversation under.
    owned: Option<u64>,
    /// The customer does not see it.
    internal: bool,
    message_id: Option<String>,
    source: Option<String>,
    sequence: Option<u64>,
    after_gap: bool,
}

/// What a service is measured by.
#[derive(ToSchema)]
#[schema(as = Kpis)]
pub(super) struct KpiReport {
    /// What was begun from here on is counted.
    since: String,
    until: String,
    /// Whether all of the time that was asked for is counted; of a busy tenant only the newest 10,000 runs are.
    complete: bool,
    kpis: Vec<KpiFigure>,
}

/// One figure.
#[derive(ToSchema)]
#[schema(as = Kpi)]
pub(super) struct KpiFigure {
    /// `automation_rate`, `csat`, `escalation_rate`, `resolution_time`, `cost_per_conversation`, `reopen_rate`,
    /// `success_rate`, `error_rate` or `cache_hit_rate`.
    name: String,
    /// What it is, in words.
    definition: String,
    /// `share` (0 to 1), `seconds`, `usd` or `stars` (1 to 5).
    unit: String,
    /// Nothing where nothing was counted.
    value: Option<f64>,
    /// Of how many.
    of: u64,
    /// One of `at_least`, `above` and `below`, with a number; nothing where it has no target.
    target: Value,
    /// `met`, `missed`, `no_data` or `no_target`.
    verdict: String,
    /// Shares of it by why, where it has reasons.
    reasons: Option<std::collections::BTreeMap<String, f64>>,
}

/// The people of the desk.
#[derive(ToSchema)]
#[schema(as = HumanAgents)]
pub(super) struct HumanAgentListSchema {
    human_agents: Vec<HumanAgentSchema>,
}

/// Somebody who takes conversations over.
#[derive(ToSchema)]
#[schema(as = HumanAgent)]
pub(super) struct HumanAgentSchema {
    /// The name of their key.
    id: String,
    name: String,
    email: String,
    /// `online`, `away` or `offline`.
    status: String,
    skills: Vec<String>,
    /// What they are besides `human_agent`, for approvals that ask for a role.
    roles: Vec<String>,
    languages: Vec<String>,
    current_load: u32,
    max_capacity: u32,
    /// Those that are theirs now.
    conversations: Vec<String>,
    last_active: String,
    created_at: String,
}

/// The desk's limits and chains, by which conversations are given out and escalated.
#[derive(ToSchema)]
#[schema(as = DeskSettings)]
pub(super) struct RoutingSettingsSchema {
    /// Who gives no sign of life for so long is offline; 300000 unless told.
    #[schema(value_type = u64, required = false, minimum = 1000)]
    unheard_after_ms: Option<u64>,
    /// Within which a person must have answered; 300000 unless told.
    #[schema(value_type = u64, required = false, minimum = 1000)]
    first_response_ms: Option<u64>,
    /// Within which it must be resolved; 14400000 unless told.
    #[schema(value_type = u64, required = false, minimum = 1000)]
    resolution_ms: Option<u64>,
    /// How long what asks for skills that nobody has waits before the chain `nobody` begins; 120000 unless told.
    #[schema(value_type = u64, required = false, minimum = 1000)]
    nobody_for_ms: Option<u64>,
    /// Steps from a missed first response on.
    #[schema(value_type = Vec<EscalationStepSchema>, required = false, max_items = 10)]
    late_response: Option<Vec<EscalationStepSchema>>,
    /// Steps from a missed resolution on.
    #[schema(value_type = Vec<EscalationStepSchema>, required = false, max_items = 10)]
    late_resolution: Option<Vec<EscalationStepSchema>>,
    /// Steps where nobody has the skills; one of them must be `drop_skills`.
    #[schema(value_type = Vec<EscalationStepSchema>, required = false, max_items = 10)]
    nobody: Option<Vec<EscalationStepSchema>>,
}

/// A step of a chain; the steps of a chain come one after another, 10 at the most.
#[derive(ToSchema)]
#[schema(as = DeskStep)]
pub(super) struct EscalationStepSchema {
    /// After the breach.
    after_ms: u64,
    /// `raise_priority`, `tell` or `drop_skills`.
    #[schema(schema_with = openapi::desk_act)]
    act: String,
}

/// Something that happened at the desk, or how it stands.
#[derive(ToSchema)]
#[schema(as = DeskEvent)]
pub(super) struct RoutingEventSchema {
    at: String,
    conversation_id: Option<String>,
    number: Option<u64>,
    /// Whose it is from here on, or was till now.
    assigned_agent_id: Option<String>,
    /// Of whom it is told.
    human_agent_id: Option<String>,
    /// `online`, `away` or `offline`.
    status: Option<String>,
}

/// The line.
#[derive(ToSchema)]
#[schema(as = Queue)]
pub(super) struct RoutingQueueSchema {
    waiting: Vec<QueuedConversationSchema>,
    /// Of all, not of this page alone.
    total: usize,
    next_after: Option<usize>,
}

/// A conversation that waits for a person.
#[derive(ToSchema)]
#[schema(as = Waiting)]
pub(super) struct QueuedConversationSchema {
    conversation_id: String,
    number: u64,
    /// From 1.
    place: usize,
    skills: Vec<String>,
    language: Option<String>,
    /// `low`, `normal`, `high` or `urgent`.
    priority: String,
    waiting_since: String,
    first_response_by: Option<String>,
    resolve_by: String,
    /// `nobody_has_the_skills`, `nobody_is_online`, `nobody_has_room` or `being_assigned`.
    waits_for: String,
}

/// Whose a conversation is now.
#[derive(ToSchema)]
#[schema(as = Transferred)]
pub(super) struct TransferSchema {
    conversation_id: String,
    /// Nothing where it waits.
    assigned_agent_id: Option<String>,
    number: Option<u64>,
}
