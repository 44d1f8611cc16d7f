//! What one attempt may spend and has spent: reserved before it goes out, settled after, counted for whoever looks.

use std::borrow::Cow;
use std::time::Duration;

use baton_core::fault::code::COST_LIMIT;
use baton_core::model::Request;
use baton_core::money::{Quote, Usd};
use baton_ports::budget::Account;
use tokio::time::Instant;

use crate::budget::{Bound, Hold, Paid, Purse, Refused};
use crate::chain::Call;
use crate::fault::lasting;
use crate::providers::{Answered, Failure, Spent};
use crate::router::{Candidate, Model};
use crate::served::Served;

/// An attempt that there is money for.
pub(crate) struct Funded<'a> {
    /// The request, its reply kept to what there is money for.
    pub request: Cow<'a, Request>,
    /// What it may cost, and what an attempt costs of which nobody can say what it did.
    most: Usd,
    /// Nothing where nobody keeps budgets.
    hold: Option<Hold>,
}

/// Reserves what a call may cost at a model, of budgets and of what is `left` of the limits of its run. Waits at most
/// until `deadline`.
///
/// # Errors
/// As [`Purse::reserve`]; `COST_LIMIT` where the run's limits leave too little.
pub(crate) async fn fund<'a>(
    purse: Option<&Purse>,
    call: &Call<'a>,
    candidate: &Candidate,
    served: &Served,
    left: Option<Usd>,
    deadline: Instant,
) -> Result<Funded<'a>, Refused> {
    let model = &candidate.model;
    let (quote, bound) = quote(model, call.request, call.choice.tokens_max).unwrap_or_default();
    let quote = match left {
        Some(left) => quote.within(left).ok_or_else(|| too_little(&model.name, quote, left))?,
        None => quote,
    };
    let hold = match purse {
        Some(purse) => Some(purse.reserve(call.asker, account(call, model, served), quote, deadline).await?),
        None => None,
    };
    let most = hold.as_ref().map_or(quote.most, Hold::amount);
    let asker = call.asker;
    let has_budget = purse.is_some_and(|purse| purse.bounds(&asker.tenant, asker.key_id.as_deref()));
    let shorter = bound.filter(|_| has_budget || left.is_some()).and_then(|bound| bound.reply_within(most));
    let request = match shorter.and_then(|tokens| u32::try_from(tokens).ok()) {
        Some(max_tokens) => Cow::Owned(Request { max_tokens: Some(max_tokens), ..call.request.clone() }),
        None => Cow::Borrowed(call.request),
    };
    Ok(Funded { request, most, hold })
}

/// What a request may cost at a model, and what bounds that, where it is not settled beforehand. Nothing of a model whose
/// price nobody states.
pub(crate) fn quote(model: &Model, request: &Request, tokens_max: u64) -> Option<(Quote, Option<Bound>)> {
    if let Some(price) = model.served.as_ref().and_then(|served| served.provider.price(request, model.spec.as_ref())) {
        return Some((Quote::exactly(price), None));
    }
    let bound = Bound::of(model, request, tokens_max)?;
    Some((bound.quote(), Some(bound)))
}

fn account(call: &Call<'_>, model: &Model, served: &Served) -> Account {
    Account {
        workflow: call.asker.workflow.clone().unwrap_or_default(),
        agent: call.request.agent.clone(),
        profile: call.choice.profile.word().to_owned(),
        model: model.name.clone(),
        provider: served.name.clone(),
    }
}

fn too_little(model: &str, quote: Quote, left: Usd) -> Refused {
    let least = quote.least;
    let message = format!(
        "{left} of the `max_cost_usd` of the run or the node is left for this call; model `{model}` may take {least} \
         for a short reply"
    );
    lasting(COST_LIMIT, message).into()
}

impl Funded<'_> {
    /// Settles what the attempt came to, and says what it cost: what its provider counted, or, where nobody can say, what
    /// was reserved. A reply that nobody counted says so too.
    pub fn settle(
        self,
        call: &Call<'_>,
        candidate: &Candidate,
        answer: &mut Result<Answered, Failure>,
        latency: Duration,
    ) -> Usd {
        let paid = match answer {
            Ok(answered) => {
                let reply = &mut answered.reply;
                if !answered.is_counted {
                    reply.cost = self.most;
                }
                // What no run's agent asks goes by a name of ours: `gateway`.
                let agent_type = match call.asker.agent_type {
                    Some(kind) => kind.word(),
                    None => call.request.agent.as_str(),
                };
                candidate.model.counters.count(&candidate.model.name, agent_type, reply);
                let latency = Duration::from_millis(reply.latency_ms);
                let (cost, usage, estimated) = (reply.cost, reply.usage, !answered.is_counted);
                Paid { cost, usage, answered: true, estimated, latency }
            }
            Err(Failure { spent: Spent::Exactly(cost), .. }) => Paid { cost: *cost, latency, ..Paid::default() },
            Err(Failure { spent: Spent::Unknown, .. }) => {
                Paid { cost: self.most, estimated: true, latency, ..Paid::default() }
            }
        };
        let cost = paid.cost;
        if let Some(hold) = self.hold {
            hold.paid(paid);
        }
        cost
    }
}

#[cfg(test)]
mod tests;
