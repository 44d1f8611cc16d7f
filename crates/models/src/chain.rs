//! Asking the models of a choice, one after the other, until one answers or nothing is left of the time.
//!
//! A failure of the model, its provider or our settings moves on to the next; a fault of the request does not, for every
//! model would have it. Once a piece of a reply has reached a listener, another model may only begin where the listener
//! can take back what it was told.

use std::sync::Arc;
use std::time::Duration;

use baton_core::circuit::Turn;
use baton_core::fault::code::COST_LIMIT;
use baton_core::model::{Reply, Request};
use baton_core::money::{Usd, Window};
use baton_core::run::ModelFault;
use baton_core::time::Time;
use baton_ports::clock::Clock;
use baton_ports::models::{Asker, Piece, Pieces};
use tokio::time::Instant;

use crate::budget::{Purse, Refused};
use crate::config::Kind;
use crate::fault::{Blame, blame, code, transient};
use crate::health::Attempt;
use crate::neighbours::Neighbours;
use crate::providers::{Answered, Ask, Failure};
use crate::record;
use crate::recorder::Recorder;
use crate::router::{Candidate, Choice, Model};
use crate::till;

/// Models one call asks at the most.
const ATTEMPTS_MAX: u32 = 4;
/// With less time than this no other model is begun.
const ATTEMPT_MIN: Duration = Duration::from_millis(50);
/// What an attempt leaves of the time for those after it, where half would be less than the model takes.
const LEFT_FOR_OTHERS: f64 = 0.2;

/// What all calls share.
#[derive(Debug)]
pub(crate) struct Chain {
    pub first_token: Option<Duration>,
    pub recorder: Option<Recorder>,
    pub neighbours: Option<Arc<Neighbours>>,
    pub purse: Option<Purse>,
}

/// One call on its way.
pub(crate) struct Call<'a> {
    pub asker: &'a Asker,
    pub request: &'a Request,
    pub pieces: Option<&'a Pieces>,
    pub deadline: Instant,
    pub clock: &'a dyn Clock,
    pub choice: Arc<Choice>,
}

/// What one attempt came to.
enum Came {
    Reply(Box<Reply>),
    /// Another model may do better.
    Next(ModelFault),
    /// There is no money for this model; there may be for a cheaper one.
    Unfunded(Refused),
    /// No other model is to be asked.
    End(ModelFault),
}

impl Chain {
    pub async fn ask(&self, call: &Call<'_>) -> Result<Reply, ModelFault> {
        let mut failed = Failures::default();
        // Of what is recorded of the call, and of those that were asked.
        let (mut number, mut asked) = (0, 0);
        // What all attempts together may still cost.
        let mut left_to_spend = call.asker.most;
        for (place, candidate) in call.choice.viable.iter().enumerate() {
            let left = call.deadline.saturating_duration_since(Instant::now());
            if asked >= ATTEMPTS_MAX || (asked > 0 && left < ATTEMPT_MIN) {
                break;
            }
            let Some(pass) = admit(candidate, call) else { continue };
            let others = call.choice.viable.len() - place - 1;
            let limit = if others == 0 || asked + 1 == ATTEMPTS_MAX { left } else { share(left, candidate) };
            let (came, cost) = self.attempt(call, candidate, pass, number, limit, left_to_spend).await;
            left_to_spend = left_to_spend.map(|left| left - cost);
            failed.spent += cost;
            // Who cannot be paid is not asked.
            asked += u32::from(!matches!(came, Came::Unfunded(_)));
            match came {
                Came::Reply(reply) => return Ok(*reply),
                Came::End(fault) => return Err(failed.before(fault)),
                Came::Next(fault) => failed.push(&candidate.model, fault, None),
                Came::Unfunded(refused) => failed.push(&candidate.model, refused.fault, refused.window),
            }
            number += 1;
        }
        Err(failed.all())
    }

    /// Asks one model, once, and says what that cost. What is spent is reserved before and settled after, here and
    /// nowhere else.
    async fn attempt(
        &self,
        call: &Call<'_>,
        candidate: &Candidate,
        pass: Pass,
        number: u32,
        limit: Duration,
        left: Option<Usd>,
    ) -> (Came, Usd) {
        let model = &candidate.model;
        let Some(served) = &model.served else {
            let fault = transient(code::NO_MODEL, format!("no provider `{}` is set up", model.provider));
            return (Came::Next(fault), Usd::ZERO);
        };
        let began = Instant::now();
        let funded = match till::fund(self.purse.as_ref(), call, candidate, served, left, began + limit).await {
            Ok(funded) => funded,
            Err(refused) => return (self.refused(call, candidate, number, refused), Usd::ZERO),
        };
        let waited = began.elapsed();
        let ask = Ask {
            asker: call.asker,
            request: &funded.request,
            // Files know models by our names.
            model: if served.kind == Kind::Script { &model.name } else { &model.upstream },
            spec: model.spec.as_ref(),
            limit: limit.saturating_sub(waited),
            first_token: self.first_token,
            key: call.asker.api_key.as_ref(),
            pieces: call.pieces,
        };
        let mut answer = served.provider.ask(&ask).await;
        let took = began.elapsed().saturating_sub(waited);
        let now = call.clock.now();
        self.learn(call, candidate, pass, &answer, took, limit, now);
        let cost = funded.settle(call, candidate, &mut answer, took);
        if let Some(recorder) = &self.recorder {
            recorder.record(record::of_attempt(call, candidate, number, &answer, cost, took, now));
        }
        let came = match answer {
            Ok(Answered { reply, .. }) => Came::Reply(Box::new(reply)),
            Err(failure) => came(call, failure).await,
        };
        (came, cost)
    }

    fn refused(&self, call: &Call<'_>, candidate: &Candidate, number: u32, refused: Refused) -> Came {
        let is_over = matches!(refused.fault.fault.code.as_ref(), code::BUDGET_EXCEEDED | COST_LIMIT);
        let answer = Err(Failure::from(refused.fault.clone()));
        if let Some(recorder) = &self.recorder {
            let now = call.clock.now();
            recorder.record(record::of_attempt(call, candidate, number, &answer, Usd::ZERO, Duration::ZERO, now));
        }
        if is_over { Came::Unfunded(refused) } else { Came::End(refused.fault) }
    }

    /// What the answer says of the model, for those who choose next.
    #[expect(clippy::too_many_arguments, reason = "each is a fact of the attempt")]
    fn learn(
        &self,
        call: &Call<'_>,
        candidate: &Candidate,
        pass: Pass,
        answer: &Result<Answered, Failure>,
        took: Duration,
        limit: Duration,
        now: Time,
    ) {
        let (Pass::Counted(attempt), model) = (pass, &candidate.model) else { return };
        let expected = model.expected();
        let turn = match answer {
            Ok(answered) => {
                // What a consumer's own key has left says nothing of anybody else's.
                let full_for = answered.full_for.filter(|_| call.asker.api_key.is_none());
                attempt.succeeded(took, expected, full_for, now)
            }
            Err(failure) if is_models_fault(call, &failure.fault, limit, expected) => {
                attempt.failed(expected, failure.fault.retry_after.map(Duration::from_millis), now)
            }
            Err(_) => None,
        };
        if let Some(turn) = turn {
            self.turned(model, turn, answer, now);
        }
    }

    fn turned(&self, model: &Model, turn: Turn, answer: &Result<Answered, Failure>, now: Time) {
        let reason = match answer {
            Ok(_) => "it answers again".to_owned(),
            Err(failure) => failure.fault.fault.to_string(),
        };
        match turn {
            Turn::Opened { until } => tracing::warn!(model = model.name, %until, reason, "a model is left alone"),
            Turn::Closed => tracing::info!(model = model.name, "a model answers again"),
        }
        if let Some(neighbours) = &self.neighbours {
            neighbours.tell(&model.name, turn, reason, now);
        }
    }
}

/// How a call goes out.
enum Pass {
    /// What comes of it counts for the model's circuit.
    Counted(Attempt),
    /// Files neither fail nor recover.
    Free,
}

fn admit(candidate: &Candidate, call: &Call<'_>) -> Option<Pass> {
    let model = &candidate.model;
    if model.served.as_ref().is_some_and(|served| served.kind == Kind::Script) {
        return Some(Pass::Free);
    }
    model.health.admit(call.clock.now()).map(Pass::Counted)
}

/// Half of what is left; more where the model is known to take longer than that.
fn share(left: Duration, candidate: &Candidate) -> Duration {
    let half = left / 2;
    if half >= candidate.latency { half } else { left.mul_f64(1.0 - LEFT_FOR_OTHERS) }
}

/// Whether a failure counts against the model. What a consumer's own key may not do, or a time no model could keep,
/// does not.
fn is_models_fault(call: &Call<'_>, fault: &ModelFault, limit: Duration, expected: Duration) -> bool {
    let is_ours = call.asker.api_key.is_none();
    match blame(fault) {
        Blame::Provider => fault.fault.code != code::TIMEOUT || limit >= expected,
        Blame::Limit | Blame::Settings => is_ours,
        Blame::Request => false,
    }
}

/// Whether another model may answer instead.
async fn came(call: &Call<'_>, failure: Failure) -> Came {
    let Failure { fault, told, .. } = failure;
    let is_elsewhere = blame(&fault) != Blame::Request || fault.fault.code == code::CONTEXT_TOO_LONG;
    let is_scripted = call
        .choice
        .viable
        .iter()
        .any(|candidate| candidate.model.served.as_ref().is_some_and(|served| served.kind == Kind::Script));
    if !is_elsewhere || is_scripted {
        return Came::End(fault);
    }
    if told {
        if !call.asker.reads_along {
            return Came::End(fault);
        }
        if let Some(pieces) = call.pieces {
            // Whoever has stopped listening needs no reset.
            let _ = pieces.send(Piece::Reset).await;
        }
    }
    Came::Next(fault)
}

/// Failures of one call, in order.
#[derive(Default)]
struct Failures {
    each: Vec<(String, ModelFault)>,
    /// The window that is used up, where the last of them was for want of money.
    unfunded: Option<Window>,
    /// What all attempts have cost.
    spent: Usd,
}

impl Failures {
    fn push(&mut self, model: &Model, fault: ModelFault, unfunded: Option<Window>) {
        self.each.push((model.name.clone(), fault));
        self.unfunded = unfunded;
    }

    /// A fault, with what was tried before it.
    fn before(self, mut fault: ModelFault) -> ModelFault {
        if !self.each.is_empty() {
            let each: Vec<String> =
                self.each.iter().map(|(model, fault)| format!("`{model}`: {}", fault.fault.code)).collect();
            fault.fault.message.push_str(&format!(" (before it, {})", each.join(", ")));
        }
        fault.cost = self.spent;
        fault
    }

    /// The last fault, told with those before it; to be tried again where any of them may be. A call that fails for want
    /// of money is counted here, once, however many models there was none for.
    fn all(mut self) -> ModelFault {
        let Some((_, last)) = self.each.pop() else {
            let message = "every model that may be asked is being tried by another call; try again";
            return ModelFault { retry_after: Some(1_000), ..transient(code::NO_MODEL, message) };
        };
        if let Some(window) = self.unfunded {
            metrics::counter!("budget_refusals_total", "window" => window.word()).increment(1);
        }
        let waits = |fault: &ModelFault| fault.retryable.then_some(fault.retry_after.unwrap_or(0));
        let soonest = self.each.iter().map(|(_, fault)| fault).chain([&last]).filter_map(waits).min();
        let retry_after = soonest.map_or(last.retry_after, |wait| Some(wait).filter(|wait| *wait > 0));
        let fault = ModelFault { retryable: soonest.is_some(), retry_after, ..last };
        self.before(fault)
    }
}
