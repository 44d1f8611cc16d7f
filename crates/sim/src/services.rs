//! The world outside: services that act, and the ledger of all they were ever asked.

use std::collections::BTreeMap;
use std::time::Duration;

use baton_core::agent::{Ran, Step};
use baton_core::fault::Fault;
use baton_core::id::{RunId, TenantId};
use baton_core::model::{Reply, Request, Usage};
use baton_core::money::Usd;
use baton_core::run::{EffectId, ModelFault, Outcome, Role};
use baton_core::time::Time;
use baton_core::tool::{self, AuditRow, AuditStatus, Call, Class, Question};
use baton_engine::owner::What;
use baton_ports::budget::{Account, Holder, Spend};
use serde_json::{Value, json};

use crate::model::{self, Said};
use crate::{sandbox, think};

/// What a service makes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    Done,
    /// Done, and the answer takes nearly as long as is waited for it.
    Slow,
    /// It does not act and says so; it may be asked again.
    Refused,
    /// It does not act, and asking again is no use.
    Declined,
    /// It acts and its answer is lost.
    AnswerLost,
    /// The request is lost before it acts.
    RequestLost,
    /// It acts, and its answer comes after it was given up.
    Late,
    /// A model answers nonsense.
    Garbled,
}

/// One request as the other side saw it.
#[derive(Clone, Debug)]
pub struct Asked {
    pub at: Time,
    pub run: RunId,
    pub effect: EffectId,
    pub key: String,
    /// The tool's name; empty for a model.
    pub tool: String,
    pub class: Class,
    pub arguments: Value,
    pub is_look_up: bool,
    /// The epoch of the owner that sent it.
    pub epoch: u64,
    /// Whether that owner still owned the run when the request left.
    pub was_owner: bool,
    /// It changed the world.
    pub acted: bool,
    /// What the sender was told, once it was told.
    pub told: Option<Told>,
}

/// What a sender heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Done,
    NotDone,
    /// It did not act, and will not: it knows of no earlier attempt under the key that did.
    Declined,
    Unknown,
    NotFound,
}

/// An answer on its way.
#[derive(Debug)]
pub struct Answer {
    pub outcome: Outcome,
    pub after: Duration,
    /// What still comes after the sender has given up.
    pub late: Option<(Outcome, Duration)>,
}

#[derive(Debug, Default)]
pub struct Services {
    pub ledger: Vec<Asked>,
    /// What each key was answered with, where it acted.
    acted: BTreeMap<String, Value>,
}

/// What every answer of a model costs.
pub const MODEL_COST: Usd = Usd::from_nanos(1_000);
/// How long after its sender has given up a late answer comes.
const LATE_BY: Duration = Duration::from_secs(6);

impl Services {
    /// A request reaches its service; a program, the sandbox of a process whose interpreter is of this version.
    pub fn receive(
        &mut self,
        mut asked: Asked,
        what: &What,
        fate: Fate,
        quick: Duration,
        limit: Duration,
        version: u32,
    ) -> Answer {
        match what {
            What::Step { task, seen, .. } => {
                self.ledger.push(asked);
                answer_of_thinker(think::next(task, seen), fate, quick, limit)
            }
            What::Code { program, .. } => {
                self.ledger.push(asked);
                answer_of_code(sandbox::run(program, version), fate, quick, limit)
            }
            What::Model { request, .. } => {
                self.ledger.push(asked);
                answer_of_model(request, fate, quick, limit)
            }
            What::Tool(call) => {
                let known = self.acted.get(&call.key).filter(|_| call.class == Class::Keyed).cloned();
                let does = acts(call, fate) && call.class.acts();
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

    /// A request reaches its service, which asks a person something before it acts.
    pub fn asks(&mut self, asked: Asked, question: Question, within: Option<u64>, quick: Duration) -> Answer {
        self.ledger.push(asked);
        let outcome = tool::Outcome::Asks { question: Box::new(question), within };
        Answer { outcome: Outcome::Tool(outcome), after: quick, late: None }
    }

    /// What became of a call, as the service knows it.
    pub fn look_up(&mut self, asked: Asked, is_reachable: bool, quick: Duration) -> Answer {
        let outcome = match (is_reachable, self.acted.get(&asked.key)) {
            (false, _) => unknown("the service cannot be reached"),
            (true, Some(output)) => done(output.clone()),
            (true, None) => Outcome::NotFound,
        };
        self.ledger.push(asked);
        Answer { outcome, after: quick, late: None }
    }

    /// What this key did, for a person who went and looked.
    pub fn did(&self, key: &str) -> Option<&Value> {
        self.acted.get(key)
    }
}

fn acts(call: &Call, fate: Fate) -> bool {
    let declines = call.arguments.get("fails").is_some_and(|fails| *fails == Value::Bool(true));
    !declines && matches!(fate, Fate::Done | Fate::Slow | Fate::AnswerLost | Fate::Late | Fate::Garbled)
}

/// The same whenever and however often it is asked, so that outcomes can be compared.
pub fn output(effect: &EffectId, call: &Call) -> Value {
    let undone = effect.call.role == Role::Undo;
    json!({ "ref": format!("{}#{}", effect.call.node, effect.call.call), "n": call.arguments["n"], "undone": undone })
}

fn answer_of_tool(
    effect: &EffectId,
    call: &Call,
    fate: Fate,
    known: Option<Value>,
    quick: Duration,
    limit: Duration,
) -> Answer {
    // What is lost on its way, or meets a busy service, comes to nobody who would look for the key.
    let is_looked_for = !matches!(fate, Fate::AnswerLost | Fate::RequestLost | Fate::Refused);
    if let Some(known) = known.filter(|_| is_looked_for) {
        return Answer { outcome: done(known), after: quick, late: None };
    }
    let answer = |outcome, after| Answer { outcome, after, late: None };
    match fate {
        Fate::RequestLost | Fate::AnswerLost => answer(unknown("no answer in time"), limit),
        Fate::Refused => answer(not_done("SERVICE_UNAVAILABLE", true), quick),
        Fate::Declined => answer(not_done("DECLINED", false), quick),
        _ if !acts(call, fate) => answer(not_done("DECLINED", false), quick),
        Fate::Late => Answer {
            outcome: unknown("no answer in time"),
            after: limit,
            late: Some((done(output(effect, call)), limit + LATE_BY)),
        },
        Fate::Slow => answer(done(output(effect, call)), limit.mul_f64(0.9)),
        Fate::Done | Fate::Garbled => answer(done(output(effect, call)), quick),
    }
}

fn answer_of_model(request: &Request, fate: Fate, quick: Duration, limit: Duration) -> Answer {
    let reply = |said: Said| {
        let Said { content, tool_calls, finish } = said;
        let usage = Usage { input_tokens: 10, output_tokens: 5, cached_tokens: 0, ..Usage::default() };
        let cost = MODEL_COST;
        let (model, provider) = ("sim".to_owned(), "sim".to_owned());
        Reply { content, tool_calls, thinking: None, finish, usage, model, provider, cost, latency_ms: 1 }
    };
    let failed = |code: &'static str, retryable| {
        Outcome::Model(Err(ModelFault { retryable, ..ModelFault::transient(Fault::new(code, "the model failed")) }))
    };
    let (outcome, after) = match fate {
        Fate::Refused => (failed("OVERLOADED", true), quick),
        Fate::Declined => (failed("FILTERED", false), quick),
        Fate::RequestLost | Fate::AnswerLost | Fate::Late => (failed("TIMEOUT", true), limit),
        Fate::Garbled => (Outcome::Model(Ok(reply(Said::text("%%% {\"")))), quick),
        Fate::Slow => (Outcome::Model(Ok(reply(model::say(request)))), limit.mul_f64(0.9)),
        Fate::Done => (Outcome::Model(Ok(reply(model::say(request)))), quick),
    };
    Answer { outcome, after, late: None }
}

fn answer_of_code(ran: Ran, fate: Fate, quick: Duration, limit: Duration) -> Answer {
    let raised = || Ran::Failed { fault: Fault::new("MEMORY_LIMIT", "it took too much"), printed: String::new() };
    let (outcome, after) = match fate {
        Fate::Refused | Fate::Declined => (Err(Fault::new("SANDBOX_FULL", "no child is free")), quick),
        Fate::RequestLost | Fate::AnswerLost | Fate::Late => (Err(Fault::new("TIMEOUT", "the child died")), limit),
        Fate::Garbled => (Ok(raised()), quick),
        Fate::Slow => (Ok(ran), limit.mul_f64(0.9)),
        Fate::Done => (Ok(ran), quick),
    };
    Answer { outcome: Outcome::Code(outcome), after, late: None }
}

/// Whoever thinks for an agent; what makes no sense there is a step that nobody can take.
fn answer_of_thinker(step: Step, fate: Fate, quick: Duration, limit: Duration) -> Answer {
    let failed = |code: &'static str, retryable| {
        Err(ModelFault { retryable, ..ModelFault::lasting(Fault::new(code, "nobody thinks")) })
    };
    let (outcome, after) = match fate {
        Fate::Refused => (failed("BUSY", true), quick),
        Fate::Declined => (failed("DECLINED", false), quick),
        Fate::RequestLost | Fate::AnswerLost | Fate::Late => (failed("TIMEOUT", true), limit),
        Fate::Garbled => (Ok(Step::AskEndpoint), quick),
        Fate::Slow => (Ok(step), limit.mul_f64(0.9)),
        Fate::Done => (Ok(step), quick),
    };
    Answer { outcome: Outcome::Step(outcome), after, late: None }
}

/// What a call asks for, whole: sent again under the same key, it asks for the same.
pub fn asks_for(what: &What) -> Value {
    let whole = match what {
        What::Tool(call) => return (*call.arguments).clone(),
        What::Model { request, .. } => serde_json::to_value(request),
        What::Code { program, .. } => serde_json::to_value(program),
        What::Step { endpoint, task, seen, .. } => serde_json::to_value((endpoint, task, seen)),
    };
    whole.unwrap_or_default()
}

fn done(output: Value) -> Outcome {
    Outcome::Tool(tool::Outcome::Done { output: output.into(), cost: Usd::ZERO, cached: false })
}

fn not_done(code: &'static str, retryable: bool) -> Outcome {
    let fault = Fault::new(code, "the service did not act");
    Outcome::Tool(tool::Outcome::NotDone { fault, retryable, retry_after: None })
}

fn unknown(message: &str) -> Outcome {
    Outcome::Tool(tool::Outcome::Unknown { fault: Fault::new(baton_core::fault::code::TIMEOUT, message) })
}

pub fn told(outcome: &Outcome) -> Option<Told> {
    match outcome {
        Outcome::Tool(tool::Outcome::Done { .. })
        | Outcome::Model(Ok(_))
        | Outcome::Code(Ok(_))
        | Outcome::Step(Ok(_)) => Some(Told::Done),
        Outcome::Tool(tool::Outcome::NotDone { retryable: false, .. }) => Some(Told::Declined),
        Outcome::Tool(tool::Outcome::NotDone { .. } | tool::Outcome::Asks { .. })
        | Outcome::Model(Err(_))
        | Outcome::Code(Err(_))
        | Outcome::Step(Err(_)) => Some(Told::NotDone),
        Outcome::Tool(tool::Outcome::Unknown { .. }) => Some(Told::Unknown),
        Outcome::NotFound => Some(Told::NotFound),
        Outcome::Stopped { .. }
        | Outcome::Dropped { .. }
        | Outcome::Blocked { .. }
        | Outcome::CircuitOpen { .. }
        | Outcome::NotSent => None,
    }
}

/// What a model's answer cost, as the process that asked charges it.
pub fn spend(tenant: &TenantId, outcome: &Outcome, at: Time) -> Vec<Spend> {
    let Outcome::Model(Ok(reply)) = outcome else { return Vec::new() };
    vec![Spend {
        tenant: tenant.clone(),
        key_id: None,
        account: Account { model: reply.model.clone(), ..Account::default() },
        at,
        holder: Some(Holder(1)),
        calls: 1,
        answered: 1,
        estimated: 0,
        cost: reply.cost,
        usage: reply.usage,
        latency_ms: reply.latency_ms,
        saved: Usd::ZERO,
    }]
}

/// What a model's answer cost that nobody took.
pub fn spend_on_nothing(tenant: &TenantId, cost: Usd, at: Time) -> Vec<Spend> {
    if cost == Usd::ZERO {
        return Vec::new();
    }
    vec![Spend {
        tenant: tenant.clone(),
        key_id: None,
        account: Account { model: "sim".to_owned(), ..Account::default() },
        at,
        holder: Some(Holder(1)),
        calls: 1,
        answered: 0,
        estimated: 1,
        cost,
        usage: Usage::default(),
        latency_ms: 0,
        saved: Usd::ZERO,
    }]
}

/// The row the audit keeps of one attempt.
pub fn audit_row(call: &Call, outcome: &Outcome, at: Time) -> AuditRow {
    let status = match told(outcome) {
        Some(Told::Done) => AuditStatus::Success,
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
