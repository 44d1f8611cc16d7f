//! The outside world: services that act, and the ledger of all requests to them.

use std::collections::BTreeMap;
use std::time::Duration;

use baton_core::agent::{AgentStep, ProgramOutcome};
use baton_core::fault::Fault;
use baton_core::id::{RunId, TenantId};
use baton_core::model::{ModelReply, ModelRequest, TokenUsage};
use baton_core::money::Usd;
use baton_core::run::{CallOutcome, CallRole, EffectId, ModelCallError};
use baton_core::time::Time;
use baton_core::tool::{self, AuditRow, AuditStatus, EffectClass, ToolInvocation, ToolQuestion};
use baton_engine::owner::CallRequest;
use baton_ports::budget::{BudgetHolder, CallSpend, SpendAccount};
use serde_json::{Value, json};

use crate::model::{self, SimReply};
use crate::{sandbox, sim_thinker};

/// How a service handles one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RequestFate {
    Done,
    /// Done, and the answer takes nearly as long as the time-out.
    Slow,
    /// It does not act and reports it; the request may be repeated.
    Refused,
    /// It does not act, and repeating the request is useless.
    Declined,
    /// It acts and its answer is lost.
    AnswerLost,
    /// The request is lost before it acts.
    RequestLost,
    /// It acts, and its answer arrives after the call was given up.
    Late,
    /// A model returns nonsense.
    Garbled,
}

/// One request as the service saw it.
#[derive(Clone, Debug)]
pub struct ServiceRequest {
    pub at: Time,
    pub run: RunId,
    pub effect: EffectId,
    pub key: String,
    /// The tool's name; empty for a model.
    pub tool: String,
    pub class: EffectClass,
    pub arguments: Value,
    pub is_look_up: bool,
    /// The epoch of the owner that sent it.
    pub epoch: u64,
    /// Whether that owner still owned the run when the request was sent.
    pub was_owner: bool,
    /// It changed the world.
    pub acted: bool,
    /// The outcome that the sender received, once it did.
    pub reported: Option<ReportedOutcome>,
}

/// The outcome that a sender received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportedOutcome {
    Done,
    NotDone,
    /// It did not act, and will not: it knows of no earlier attempt under the key that did.
    Declined,
    Unknown,
    NotFound,
}

/// An answer in transit.
#[derive(Debug)]
pub struct ServiceAnswer {
    pub outcome: CallOutcome,
    pub after: Duration,
    /// The answer that arrives after the sender has given up.
    pub late: Option<(CallOutcome, Duration)>,
}

#[derive(Debug, Default)]
pub struct SimServices {
    pub ledger: Vec<ServiceRequest>,
    /// The answer to each key under which it acted.
    acted: BTreeMap<String, Value>,
}

/// The cost of every model reply.
pub const MODEL_COST: Usd = Usd::from_nanos(1_000);
/// The delay of a late answer after its sender has given up.
const LATE_ANSWER_DELAY: Duration = Duration::from_secs(6);

impl SimServices {
    /// A request reaches its service. A program reaches the sandbox of a process with this interpreter version.
    pub fn receive(
        &mut self,
        mut asked: ServiceRequest,
        what: &CallRequest,
        fate: RequestFate,
        quick: Duration,
        limit: Duration,
        version: u32,
    ) -> ServiceAnswer {
        match what {
            CallRequest::Step { task, seen, .. } => {
                self.ledger.push(asked);
                answer_of_thinker(sim_thinker::next_step(task, seen), fate, quick, limit)
            }
            CallRequest::Code { program, .. } => {
                self.ledger.push(asked);
                answer_of_code(sandbox::run(program, version), fate, quick, limit)
            }
            CallRequest::Model { request, .. } => {
                self.ledger.push(asked);
                answer_of_model(request, fate, quick, limit)
            }
            CallRequest::Tool(call) => {
                let known = self.acted.get(&call.key).filter(|_| call.class == EffectClass::Keyed).cloned();
                let does = service_acts(call, fate) && call.class.has_side_effects();
                asked.acted = does && known.is_none();
                if does {
                    self.acted.insert(call.key.clone(), output(&asked.effect, call));
                }
                let answer = answer_of_tool(&asked.effect, call, fate, known, quick, limit);
                self.ledger.push(asked);
                answer
            }
        }
    }

    /// A request reaches its service, which asks a person a question before it acts.
    pub fn ask_person(
        &mut self,
        asked: ServiceRequest,
        question: ToolQuestion,
        within: Option<u64>,
        quick: Duration,
    ) -> ServiceAnswer {
        self.ledger.push(asked);
        let outcome = tool::ToolOutcome::Asks { question: Box::new(question), within };
        ServiceAnswer { outcome: CallOutcome::Tool(outcome), after: quick, late: None }
    }

    /// The outcome of a call, as the service knows it.
    pub fn look_up(&mut self, asked: ServiceRequest, is_reachable: bool, quick: Duration) -> ServiceAnswer {
        let outcome = match (is_reachable, self.acted.get(&asked.key)) {
            (false, _) => unknown("the service cannot be reached"),
            (true, Some(output)) => done(output.clone()),
            (true, None) => CallOutcome::NotFound,
        };
        self.ledger.push(asked);
        ServiceAnswer { outcome, after: quick, late: None }
    }

    /// The result under this key, for a person who checks.
    pub fn result_of(&self, key: &str) -> Option<&Value> {
        self.acted.get(key)
    }
}

fn service_acts(call: &ToolInvocation, fate: RequestFate) -> bool {
    let declines = call.arguments.get("fails").is_some_and(|fails| *fails == Value::Bool(true));
    !declines
        && matches!(
            fate,
            RequestFate::Done | RequestFate::Slow | RequestFate::AnswerLost | RequestFate::Late | RequestFate::Garbled
        )
}

/// A deterministic result, so that outcomes can be compared.
pub fn output(effect: &EffectId, call: &ToolInvocation) -> Value {
    let undone = effect.call.role == CallRole::Undo;
    json!({ "ref": format!("{}#{}", effect.call.node, effect.call.call), "n": call.arguments["n"], "undone": undone })
}

fn answer_of_tool(
    effect: &EffectId,
    call: &ToolInvocation,
    fate: RequestFate,
    known: Option<Value>,
    quick: Duration,
    limit: Duration,
) -> ServiceAnswer {
    // If the request or the answer is lost, or the service is busy, the key is not looked up.
    let is_looked_for = !matches!(fate, RequestFate::AnswerLost | RequestFate::RequestLost | RequestFate::Refused);
    if let Some(known) = known.filter(|_| is_looked_for) {
        return ServiceAnswer { outcome: done(known), after: quick, late: None };
    }
    let answer = |outcome, after| ServiceAnswer { outcome, after, late: None };
    match fate {
        RequestFate::RequestLost | RequestFate::AnswerLost => answer(unknown("no answer in time"), limit),
        RequestFate::Refused => answer(not_done("SERVICE_UNAVAILABLE", true), quick),
        RequestFate::Declined => answer(not_done("DECLINED", false), quick),
        _ if !service_acts(call, fate) => answer(not_done("DECLINED", false), quick),
        RequestFate::Late => ServiceAnswer {
            outcome: unknown("no answer in time"),
            after: limit,
            late: Some((done(output(effect, call)), limit + LATE_ANSWER_DELAY)),
        },
        RequestFate::Slow => answer(done(output(effect, call)), limit.mul_f64(0.9)),
        RequestFate::Done | RequestFate::Garbled => answer(done(output(effect, call)), quick),
    }
}

fn answer_of_model(request: &ModelRequest, fate: RequestFate, quick: Duration, limit: Duration) -> ServiceAnswer {
    let reply = |said: SimReply| {
        let SimReply { content, tool_calls, finish } = said;
        let usage = TokenUsage { input_tokens: 10, output_tokens: 5, cached_tokens: 0, ..TokenUsage::default() };
        let cost = MODEL_COST;
        let (model, provider) = ("sim".to_owned(), "sim".to_owned());
        ModelReply { content, tool_calls, thinking: None, finish, usage, model, provider, cost, latency_ms: 1 }
    };
    let failed = |code: &'static str, retryable| {
        CallOutcome::Model(Err(ModelCallError {
            retryable,
            ..ModelCallError::transient(Fault::new(code, "the model failed"))
        }))
    };
    let (outcome, after) = match fate {
        RequestFate::Refused => (failed("OVERLOADED", true), quick),
        RequestFate::Declined => (failed("FILTERED", false), quick),
        RequestFate::RequestLost | RequestFate::AnswerLost | RequestFate::Late => (failed("TIMEOUT", true), limit),
        RequestFate::Garbled => (CallOutcome::Model(Ok(reply(SimReply::text("%%% {\"")))), quick),
        RequestFate::Slow => (CallOutcome::Model(Ok(reply(model::reply_to(request)))), limit.mul_f64(0.9)),
        RequestFate::Done => (CallOutcome::Model(Ok(reply(model::reply_to(request)))), quick),
    };
    ServiceAnswer { outcome, after, late: None }
}

fn answer_of_code(ran: ProgramOutcome, fate: RequestFate, quick: Duration, limit: Duration) -> ServiceAnswer {
    let raised =
        || ProgramOutcome::Failed { fault: Fault::new("MEMORY_LIMIT", "it took too much"), printed: String::new() };
    let (outcome, after) = match fate {
        RequestFate::Refused | RequestFate::Declined => (Err(Fault::new("SANDBOX_FULL", "no child is free")), quick),
        RequestFate::RequestLost | RequestFate::AnswerLost | RequestFate::Late => {
            (Err(Fault::new("TIMEOUT", "the child died")), limit)
        }
        RequestFate::Garbled => (Ok(raised()), quick),
        RequestFate::Slow => (Ok(ran), limit.mul_f64(0.9)),
        RequestFate::Done => (Ok(ran), quick),
    };
    ServiceAnswer { outcome: CallOutcome::Code(outcome), after, late: None }
}

/// The answer of a remote agent; a garbled one is a step that cannot be taken.
fn answer_of_thinker(step: AgentStep, fate: RequestFate, quick: Duration, limit: Duration) -> ServiceAnswer {
    let failed = |code: &'static str, retryable| {
        Err(ModelCallError { retryable, ..ModelCallError::permanent(Fault::new(code, "nobody thinks")) })
    };
    let (outcome, after) = match fate {
        RequestFate::Refused => (failed("BUSY", true), quick),
        RequestFate::Declined => (failed("DECLINED", false), quick),
        RequestFate::RequestLost | RequestFate::AnswerLost | RequestFate::Late => (failed("TIMEOUT", true), limit),
        RequestFate::Garbled => (Ok(AgentStep::AskEndpoint), quick),
        RequestFate::Slow => (Ok(step), limit.mul_f64(0.9)),
        RequestFate::Done => (Ok(step), quick),
    };
    ServiceAnswer { outcome: CallOutcome::Step(outcome), after, late: None }
}

/// The complete request of a call: sent again under the same key, it must be the same.
pub fn requested_value(what: &CallRequest) -> Value {
    let whole = match what {
        CallRequest::Tool(call) => return (*call.arguments).clone(),
        CallRequest::Model { request, .. } => serde_json::to_value(request),
        CallRequest::Code { program, .. } => serde_json::to_value(program),
        CallRequest::Step { endpoint, task, seen, .. } => serde_json::to_value((endpoint, task, seen)),
    };
    whole.unwrap_or_default()
}

fn done(output: Value) -> CallOutcome {
    CallOutcome::Tool(tool::ToolOutcome::Done { output: output.into(), cost: Usd::ZERO, cached: false })
}

fn not_done(code: &'static str, retryable: bool) -> CallOutcome {
    let fault = Fault::new(code, "the service did not act");
    CallOutcome::Tool(tool::ToolOutcome::NotDone { fault, retryable, retry_after: None })
}

fn unknown(message: &str) -> CallOutcome {
    CallOutcome::Tool(tool::ToolOutcome::Unknown { fault: Fault::new(baton_core::fault::code::TIMEOUT, message) })
}

pub fn reported_outcome(outcome: &CallOutcome) -> Option<ReportedOutcome> {
    match outcome {
        CallOutcome::Tool(tool::ToolOutcome::Done { .. })
        | CallOutcome::Model(Ok(_))
        | CallOutcome::Code(Ok(_))
        | CallOutcome::Step(Ok(_)) => Some(ReportedOutcome::Done),
        CallOutcome::Tool(tool::ToolOutcome::NotDone { retryable: false, .. }) => Some(ReportedOutcome::Declined),
        CallOutcome::Tool(tool::ToolOutcome::NotDone { .. } | tool::ToolOutcome::Asks { .. })
        | CallOutcome::Model(Err(_))
        | CallOutcome::Code(Err(_))
        | CallOutcome::Step(Err(_)) => Some(ReportedOutcome::NotDone),
        CallOutcome::Tool(tool::ToolOutcome::Unknown { .. }) => Some(ReportedOutcome::Unknown),
        CallOutcome::NotFound => Some(ReportedOutcome::NotFound),
        CallOutcome::Stopped { .. }
        | CallOutcome::Dropped { .. }
        | CallOutcome::Blocked { .. }
        | CallOutcome::CircuitOpen { .. }
        | CallOutcome::NotSent => None,
    }
}

/// The cost of a model reply, as the calling process charges it.
pub fn spend(tenant: &TenantId, outcome: &CallOutcome, at: Time) -> Vec<CallSpend> {
    let CallOutcome::Model(Ok(reply)) = outcome else { return Vec::new() };
    vec![CallSpend {
        tenant: tenant.clone(),
        key_id: None,
        account: SpendAccount { model: reply.model.clone(), ..SpendAccount::default() },
        at,
        holder: Some(BudgetHolder(1)),
        calls: 1,
        answered: 1,
        estimated: 0,
        cost: reply.cost,
        usage: reply.usage,
        latency_ms: reply.latency_ms,
        saved: Usd::ZERO,
    }]
}

/// The cost of a model reply that was not consumed.
pub fn spend_unanswered(tenant: &TenantId, cost: Usd, at: Time) -> Vec<CallSpend> {
    if cost == Usd::ZERO {
        return Vec::new();
    }
    vec![CallSpend {
        tenant: tenant.clone(),
        key_id: None,
        account: SpendAccount { model: "sim".to_owned(), ..SpendAccount::default() },
        at,
        holder: Some(BudgetHolder(1)),
        calls: 1,
        answered: 0,
        estimated: 1,
        cost,
        usage: TokenUsage::default(),
        latency_ms: 0,
        saved: Usd::ZERO,
    }]
}

/// The audit row of one attempt.
pub fn audit_row(call: &ToolInvocation, outcome: &CallOutcome, at: Time) -> AuditRow {
    let status = match reported_outcome(outcome) {
        Some(ReportedOutcome::Done) => AuditStatus::Success,
        _ => AuditStatus::Error,
    };
    AuditRow {
        at,
        company_id: call.tenant.clone(),
        run: Some(call.run.clone()),
        call: None,
        changes: false,
        user_id: None,
        agent_name: call.agent.clone(),
        conversation_id: None,
        action_type: "tool_execution".to_owned(),
        action: call.tool.clone(),
        details: json!({ "key": call.key, "attempt": call.attempt }).into(),
        status,
        sent: true,
        error_code: None,
        cost: Usd::ZERO,
        duration_ms: 1,
        erases: Vec::new(),
    }
}
