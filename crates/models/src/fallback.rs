//! Calls the models of a choice, one after the other, until one answers or the time runs out.
//!
//! A failure of the model, of its provider or of the settings moves on to the next model; an error in the request does
//! not, since every model would fail. Once a part of a reply has reached a listener, another model may begin only if
//! the listener can discard that part.

use std::sync::Arc;
use std::time::Duration;

use baton_core::circuit::CircuitTransition;
use baton_core::fault::code::COST_LIMIT;
use baton_core::model::{ModelReply, ModelRequest};
use baton_core::money::{BudgetWindow, Usd};
use baton_core::run::ModelCallError;
use baton_core::time::Time;
use baton_ports::clock::Clock;
use baton_ports::models::{DeltaSender, ModelCaller, ReplyDelta};
use tokio::time::Instant;

use crate::attempt_budget;
use crate::budget::{BudgetLedger, ReserveError};
use crate::config::ProviderKind;
use crate::fault::{ErrorOrigin, code, error_origin, transient};
use crate::health::ModelAdmission;
use crate::providers::{ProviderError, ProviderReply, ProviderRequest};
use crate::record;
use crate::recorder::DecisionRecorder;
use crate::router::{ModelCandidate, ModelChoice, RoutableModel};
use crate::shared_circuits::SharedCircuits;

/// Maximum number of models that one call tries.
const ATTEMPTS_MAX: u32 = 4;
/// With less time left than this, no other model is tried.
const ATTEMPT_MIN: Duration = Duration::from_millis(50);
/// The share of the time that an attempt leaves for those after it, if half of it would be less than the model takes.
const FALLBACK_TIME_SHARE: f64 = 0.2;

/// The state that all calls share.
#[derive(Debug)]
pub(crate) struct FallbackChain {
    pub first_token: Option<Duration>,
    pub recorder: Option<DecisionRecorder>,
    pub shared_circuits: Option<Arc<SharedCircuits>>,
    pub budget: Option<BudgetLedger>,
}

/// One call in progress.
pub(crate) struct ModelCall<'a> {
    pub asker: &'a ModelCaller,
    pub request: &'a ModelRequest,
    pub pieces: Option<&'a DeltaSender>,
    pub deadline: Instant,
    pub clock: &'a dyn Clock,
    pub choice: Arc<ModelChoice>,
}

/// The outcome of one attempt.
enum FallbackOutcome {
    Reply(Box<ModelReply>),
    /// Another model may succeed.
    TryNext(ModelCallError),
    /// The budget does not cover this model; it may cover a cheaper one.
    OverBudget(ReserveError),
    /// No other model is tried.
    Stop(ModelCallError),
}

impl FallbackChain {
    pub async fn ask(&self, call: &ModelCall<'_>) -> Result<ModelReply, ModelCallError> {
        let mut failed = FailedAttempts::default();
        // The number of attempts recorded for the call, and the number of models called.
        let (mut number, mut asked) = (0, 0);
        // What all attempts together may still cost.
        let mut left_to_spend = call.asker.cost_limit;
        for (place, candidate) in call.choice.viable.iter().enumerate() {
            let left = call.deadline.saturating_duration_since(Instant::now());
            if asked >= ATTEMPTS_MAX || (asked > 0 && left < ATTEMPT_MIN) {
                break;
            }
            let Some(pass) = admit(candidate, call) else { continue };
            let others = call.choice.viable.len() - place - 1;
            let limit =
                if others == 0 || asked + 1 == ATTEMPTS_MAX { left } else { attempt_time_limit(left, candidate) };
            let (came, cost) = self.attempt(call, candidate, pass, number, limit, left_to_spend).await;
            left_to_spend = left_to_spend.map(|left| left - cost);
            failed.spent += cost;
            // A model that the budget does not cover is not called.
            asked += u32::from(!matches!(came, FallbackOutcome::OverBudget(_)));
            match came {
                FallbackOutcome::Reply(reply) => return Ok(*reply),
                FallbackOutcome::Stop(fault) => return Err(failed.with_earlier_failures(fault)),
                FallbackOutcome::TryNext(fault) => failed.push(&candidate.model, fault, None),
                FallbackOutcome::OverBudget(refused) => failed.push(&candidate.model, refused.fault, refused.window),
            }
            number += 1;
        }
        Err(failed.into_fault())
    }

    /// Calls one model once and returns the cost. Costs are reserved before and settled after, only here.
    async fn attempt(
        &self,
        call: &ModelCall<'_>,
        candidate: &ModelCandidate,
        pass: CallAdmission,
        number: u32,
        limit: Duration,
        left: Option<Usd>,
    ) -> (FallbackOutcome, Usd) {
        let model = &candidate.model;
        let Some(served) = &model.served else {
            let fault = transient(code::NO_MODEL, format!("no provider `{}` is set up", model.provider));
            return (FallbackOutcome::TryNext(fault), Usd::ZERO);
        };
        let began = Instant::now();
        let funded =
            match attempt_budget::reserve_attempt(self.budget.as_ref(), call, candidate, served, left, began + limit)
                .await
            {
                Ok(funded) => funded,
                Err(refused) => return (self.record_over_budget(call, candidate, number, refused), Usd::ZERO),
            };
        let waited = began.elapsed();
        let ask = ProviderRequest {
            asker: call.asker,
            request: &funded.request,
            // Scripts know models by the catalogue's names.
            model: if served.kind == ProviderKind::Script { &model.name } else { &model.upstream },
            spec: model.spec.as_ref(),
            limit: limit.saturating_sub(waited),
            first_token: self.first_token,
            key: call.asker.api_key.as_ref(),
            pieces: call.pieces,
        };
        let mut answer = served.provider.ask(&ask).await;
        let took = began.elapsed().saturating_sub(waited);
        let now = call.clock.now();
        self.record_outcome(call, candidate, pass, &answer, took, limit, now);
        let cost = funded.settle(call, candidate, &mut answer, took);
        if let Some(recorder) = &self.recorder {
            recorder.record(record::of_attempt(call, candidate, number, &answer, cost, took, now));
        }
        let came = match answer {
            Ok(ProviderReply { reply, .. }) => FallbackOutcome::Reply(Box::new(reply)),
            Err(failure) => after_failure(call, failure).await,
        };
        (came, cost)
    }

    fn record_over_budget(
        &self,
        call: &ModelCall<'_>,
        candidate: &ModelCandidate,
        number: u32,
        refused: ReserveError,
    ) -> FallbackOutcome {
        let is_over = matches!(refused.fault.fault.code.as_ref(), code::BUDGET_EXCEEDED | COST_LIMIT);
        let answer = Err(ProviderError::from(refused.fault.clone()));
        if let Some(recorder) = &self.recorder {
            let now = call.clock.now();
            recorder.record(record::of_attempt(call, candidate, number, &answer, Usd::ZERO, Duration::ZERO, now));
        }
        if is_over { FallbackOutcome::OverBudget(refused) } else { FallbackOutcome::Stop(refused.fault) }
    }

    /// Records what the answer shows about the model, for later routing.
    #[expect(clippy::too_many_arguments, reason = "each is a fact of the attempt")]
    fn record_outcome(
        &self,
        call: &ModelCall<'_>,
        candidate: &ModelCandidate,
        pass: CallAdmission,
        answer: &Result<ProviderReply, ProviderError>,
        took: Duration,
        limit: Duration,
        now: Time,
    ) {
        let (CallAdmission::Counted(attempt), model) = (pass, &candidate.model) else { return };
        let expected = model.expected();
        let turn = match answer {
            Ok(answered) => {
                // The remaining quota of a consumer's own key does not apply to other callers.
                let full_for = answered.exhausted_for.filter(|_| call.asker.api_key.is_none());
                attempt.succeeded(took, expected, full_for, now)
            }
            Err(failure) if is_models_fault(call, &failure.fault, limit, expected) => {
                attempt.failed(expected, failure.fault.retry_after.map(Duration::from_millis), now)
            }
            Err(_) => None,
        };
        if let Some(turn) = turn {
            self.report_circuit_change(model, turn, answer, now);
        }
    }

    fn report_circuit_change(
        &self,
        model: &RoutableModel,
        turn: CircuitTransition,
        answer: &Result<ProviderReply, ProviderError>,
        now: Time,
    ) {
        let reason = match answer {
            Ok(_) => "it answers again".to_owned(),
            Err(failure) => failure.fault.fault.to_string(),
        };
        match turn {
            CircuitTransition::Opened { until } => {
                tracing::warn!(model = model.name, %until, reason, "a model is left alone")
            }
            CircuitTransition::Closed => tracing::info!(model = model.name, "a model answers again"),
        }
        if let Some(neighbours) = &self.shared_circuits {
            neighbours.publish(&model.name, turn, reason, now);
        }
    }
}

/// How a call is admitted.
enum CallAdmission {
    /// Its outcome counts for the model's circuit.
    Counted(ModelAdmission),
    /// Scripts neither fail nor recover.
    Uncounted,
}

fn admit(candidate: &ModelCandidate, call: &ModelCall<'_>) -> Option<CallAdmission> {
    let model = &candidate.model;
    if model.served.as_ref().is_some_and(|served| served.kind == ProviderKind::Script) {
        return Some(CallAdmission::Uncounted);
    }
    model.health.admit(call.clock.now()).map(CallAdmission::Counted)
}

/// Half of the time that is left; more if the model is known to take longer.
fn attempt_time_limit(left: Duration, candidate: &ModelCandidate) -> Duration {
    let half = left / 2;
    if half >= candidate.latency { half } else { left.mul_f64(1.0 - FALLBACK_TIME_SHARE) }
}

/// Whether a failure counts against the model. It does not if a consumer's own key lacks permission, or if no model
/// could meet the time limit.
fn is_models_fault(call: &ModelCall<'_>, fault: &ModelCallError, limit: Duration, expected: Duration) -> bool {
    let is_ours = call.asker.api_key.is_none();
    match error_origin(fault) {
        ErrorOrigin::Provider => fault.fault.code != code::TIMEOUT || limit >= expected,
        ErrorOrigin::Limit | ErrorOrigin::Settings => is_ours,
        ErrorOrigin::Request => false,
    }
}

/// Decides whether another model may answer instead.
async fn after_failure(call: &ModelCall<'_>, failure: ProviderError) -> FallbackOutcome {
    let ProviderError { fault, has_streamed: told, .. } = failure;
    let is_elsewhere = error_origin(&fault) != ErrorOrigin::Request || fault.fault.code == code::CONTEXT_TOO_LONG;
    let is_scripted = call
        .choice
        .viable
        .iter()
        .any(|candidate| candidate.model.served.as_ref().is_some_and(|served| served.kind == ProviderKind::Script));
    if !is_elsewhere || is_scripted {
        return FallbackOutcome::Stop(fault);
    }
    if told {
        if !call.asker.accepts_reset {
            return FallbackOutcome::Stop(fault);
        }
        if let Some(pieces) = call.pieces {
            // A listener that has gone needs no reset.
            let _ = pieces.send(ReplyDelta::Reset).await;
        }
    }
    FallbackOutcome::TryNext(fault)
}

/// The failures of one call, in order.
#[derive(Default)]
struct FailedAttempts {
    attempts: Vec<(String, ModelCallError)>,
    /// The window that is used up, if the last failure was for lack of budget.
    exhausted_window: Option<BudgetWindow>,
    /// The cost of all attempts.
    spent: Usd,
}

impl FailedAttempts {
    fn push(&mut self, model: &RoutableModel, fault: ModelCallError, unfunded: Option<BudgetWindow>) {
        self.attempts.push((model.name.clone(), fault));
        self.exhausted_window = unfunded;
    }

    /// Returns an error together with the failures before it.
    fn with_earlier_failures(self, mut fault: ModelCallError) -> ModelCallError {
        if !self.attempts.is_empty() {
            let each: Vec<String> =
                self.attempts.iter().map(|(model, fault)| format!("`{model}`: {}", fault.fault.code)).collect();
            fault.fault.message.push_str(&format!(" (before it, {})", each.join(", ")));
        }
        fault.cost = self.spent;
        fault
    }

    /// Returns the last error together with those before it; retryable if any of them is. A call that fails for lack of
    /// budget is counted here, once, however many models were too expensive.
    fn into_fault(mut self) -> ModelCallError {
        let Some((_, last)) = self.attempts.pop() else {
            let message = "every model that may be asked is being tried by another call; try again";
            return ModelCallError { retry_after: Some(1_000), ..transient(code::NO_MODEL, message) };
        };
        if let Some(window) = self.exhausted_window {
            metrics::counter!("budget_refusals_total", "window" => window.word()).increment(1);
        }
        let waits = |fault: &ModelCallError| fault.retryable.then_some(fault.retry_after.unwrap_or(0));
        let soonest = self.attempts.iter().map(|(_, fault)| fault).chain([&last]).filter_map(waits).min();
        let retry_after = soonest.map_or(last.retry_after, |wait| Some(wait).filter(|wait| *wait > 0));
        let fault = ModelCallError { retryable: soonest.is_some(), retry_after, ..last };
        self.with_earlier_failures(fault)
    }
}
