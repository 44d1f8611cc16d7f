//! The cost of one attempt: reserved before the request is sent, settled afterwards, and counted in the metrics.

use std::borrow::Cow;
use std::time::Duration;

use baton_core::fault::code::COST_LIMIT;
use baton_core::model::ModelRequest;
use baton_core::money::{PriceQuote, Usd};
use baton_ports::budget::SpendAccount;
use tokio::time::Instant;

use crate::budget::{AttemptCharge, BudgetLedger, CostBound, Reservation, ReserveError};
use crate::fallback::ModelCall;
use crate::fault::lasting;
use crate::provider_registry::ServedProvider;
use crate::providers::{AttemptSpend, ProviderError, ProviderReply};
use crate::router::{ModelCandidate, RoutableModel};

/// An attempt whose cost is reserved.
pub(crate) struct ReservedAttempt<'a> {
    /// The request, with its reply limited to what the reservation covers.
    pub request: Cow<'a, ModelRequest>,
    /// The maximum cost; also the charge when the real cost of an attempt cannot be determined.
    max_cost: Usd,
    /// `None` if no budgets are kept.
    reservation: Option<Reservation>,
}

/// Reserves the possible cost of a call at a model, against the budgets and against `left`, the remainder of the run's
/// limits. Waits at most until `deadline`.
///
/// # Errors
/// Those of [`BudgetLedger::reserve`]; `COST_LIMIT` if the run's limits leave too little.
pub(crate) async fn reserve_attempt<'a>(
    ledger: Option<&BudgetLedger>,
    call: &ModelCall<'a>,
    candidate: &ModelCandidate,
    served: &ServedProvider,
    left: Option<Usd>,
    deadline: Instant,
) -> Result<ReservedAttempt<'a>, ReserveError> {
    let model = &candidate.model;
    let (quote, bound) = quote(model, call.request, call.choice.tokens_max).unwrap_or_default();
    let quote = match left {
        Some(left) => quote.capped(left).ok_or_else(|| run_limit_error(&model.name, quote, left))?,
        None => quote,
    };
    let hold = match ledger {
        Some(ledger) => Some(ledger.reserve(call.asker, account(call, model, served), quote, deadline).await?),
        None => None,
    };
    let most = hold.as_ref().map_or(quote.most, Reservation::amount);
    let asker = call.asker;
    let has_budget = ledger.is_some_and(|ledger| ledger.has_limit(&asker.tenant, asker.key_id.as_deref()));
    let shorter = bound.filter(|_| has_budget || left.is_some()).and_then(|bound| bound.reply_within(most));
    let request = match shorter.and_then(|tokens| u32::try_from(tokens).ok()) {
        Some(max_tokens) => Cow::Owned(ModelRequest { max_tokens: Some(max_tokens), ..call.request.clone() }),
        None => Cow::Borrowed(call.request),
    };
    Ok(ReservedAttempt { request, max_cost: most, reservation: hold })
}

/// Returns what a request may cost at a model, and what bounds that cost if it is not fixed beforehand. `None` if the
/// model's price is unknown.
pub(crate) fn quote(
    model: &RoutableModel,
    request: &ModelRequest,
    tokens_max: u64,
) -> Option<(PriceQuote, Option<CostBound>)> {
    if let Some(price) = model.served.as_ref().and_then(|served| served.provider.price(request, model.spec.as_ref())) {
        return Some((PriceQuote::exactly(price), None));
    }
    let bound = CostBound::of(model, request, tokens_max)?;
    Some((bound.quote(), Some(bound)))
}

fn account(call: &ModelCall<'_>, model: &RoutableModel, served: &ServedProvider) -> SpendAccount {
    SpendAccount {
        workflow: call.asker.workflow.clone().unwrap_or_default(),
        agent: call.request.agent.clone(),
        profile: call.choice.profile.word().to_owned(),
        model: model.name.clone(),
        provider: served.name.clone(),
    }
}

fn run_limit_error(model: &str, quote: PriceQuote, left: Usd) -> ReserveError {
    let least = quote.least;
    let message = format!(
        "{left} of the `max_cost_usd` of the run or the node is left for this call; model `{model}` may take {least} \
         for a short reply"
    );
    lasting(COST_LIMIT, message).into()
}

impl ReservedAttempt<'_> {
    /// Settles the attempt and returns its cost: the provider's count or, if there is none, the reserved amount. A
    /// reply without a count is marked as estimated.
    pub fn settle(
        self,
        call: &ModelCall<'_>,
        candidate: &ModelCandidate,
        answer: &mut Result<ProviderReply, ProviderError>,
        latency: Duration,
    ) -> Usd {
        let paid = match answer {
            Ok(answered) => {
                let reply = &mut answered.reply;
                if !answered.is_counted {
                    reply.cost = self.max_cost;
                }
                // Calls that do not come from a run's agent are counted under a name of this crate: `gateway`.
                let agent_type = match call.asker.agent_type {
                    Some(kind) => kind.word(),
                    None => call.request.agent.as_str(),
                };
                candidate.model.counters.count(&candidate.model.name, agent_type, reply);
                let latency = Duration::from_millis(reply.latency_ms);
                let (cost, usage, estimated) = (reply.cost, reply.usage, !answered.is_counted);
                AttemptCharge { cost, usage, answered: true, estimated, latency }
            }
            Err(ProviderError { spent: AttemptSpend::Exactly(cost), .. }) => {
                AttemptCharge { cost: *cost, latency, ..AttemptCharge::default() }
            }
            Err(ProviderError { spent: AttemptSpend::Unknown, .. }) => {
                AttemptCharge { cost: self.max_cost, estimated: true, latency, ..AttemptCharge::default() }
            }
        };
        let cost = paid.cost;
        if let Some(hold) = self.reservation {
            hold.settle(paid);
        }
        cost
    }
}

#[cfg(test)]
mod tests;
