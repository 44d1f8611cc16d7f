//! What one attempt may spend and has spent: reserved before it goes out, settled after, counted for whoever looks.

use std::borrow::Cow;
use std::time::Duration;

use baton_core::model::{Reply, Request};
use baton_core::money::Usd;
use baton_ports::budget::Account;
use tokio::time::Instant;

use crate::budget::{Bound, Hold, Paid, Purse, Refused};
use crate::chain::Call;
use crate::fault::code;
use crate::providers::{Answered, Failure};
use crate::router::Candidate;
use crate::served::Served;

/// An attempt that there is money for.
pub(crate) struct Funded<'a> {
    /// The request, its reply kept to what there is money for.
    pub request: Cow<'a, Request>,
    /// Nothing where nobody keeps budgets.
    hold: Option<Hold>,
}

/// Reserves what a call may cost at a model. Waits at most until `deadline`.
///
/// # Errors
/// As [`Purse::reserve`].
pub(crate) async fn fund<'a>(
    purse: Option<&Purse>,
    call: &Call<'a>,
    candidate: &Candidate,
    served: &Served,
    deadline: Instant,
) -> Result<Funded<'a>, Refused> {
    let request = Cow::Borrowed(call.request);
    let Some(purse) = purse else { return Ok(Funded { request, hold: None }) };
    let model = &candidate.model;
    let account = Account {
        workflow: call.asker.workflow.clone().unwrap_or_default(),
        agent: call.request.agent.clone(),
        profile: call.choice.profile.word().to_owned(),
        model: model.name.clone(),
        provider: served.name.clone(),
    };
    let bound = model.spec.as_ref().map(|spec| {
        let asked = call.request.max_tokens.map(u64::from);
        let reply_max = asked.or_else(|| served.provider.reply_max(&model.upstream, Some(spec)));
        Bound::new(spec, call.choice.tokens_max, reply_max)
    });
    // What nobody knows the price of is free, as it is everywhere else.
    let price = bound.as_ref().map(Bound::price).unwrap_or_default();
    let hold = purse.reserve(call.asker, account, price, deadline).await?;
    let shorter = bound.and_then(|bound| bound.reply_within(hold.amount()));
    let request = match shorter.and_then(|tokens| u32::try_from(tokens).ok()) {
        Some(max_tokens) => Cow::Owned(Request { max_tokens: Some(max_tokens), ..call.request.clone() }),
        None => request,
    };
    Ok(Funded { request, hold: Some(hold) })
}

impl Funded<'_> {
    /// Settles what the attempt came to.
    pub fn settle(self, call: &Call<'_>, candidate: &Candidate, answer: &Result<Answered, Failure>, took: Duration) {
        if let Ok(answered) = answer {
            count(call, candidate, &answered.reply);
        }
        let Some(hold) = self.hold else { return };
        match answer {
            Ok(answered) => hold.answered(&answered.reply),
            Err(failure) if is_unknown(failure) => hold.unknown(took),
            Err(failure) => {
                let estimated = failure.spent > Usd::ZERO;
                hold.paid(Paid { cost: failure.spent, estimated, latency: took, ..Paid::default() });
            }
        }
    }
}

/// The provider may have gone on writing after nobody listened any more.
fn is_unknown(failure: &Failure) -> bool {
    let is_cut = matches!(failure.fault.fault.code.as_ref(), code::TIMEOUT | code::SERVICE_UNAVAILABLE);
    is_cut && failure.spent > Usd::ZERO
}

/// Seed 004's counters. Dollars have cents, which counters of the facade do not, so theirs is a gauge that only rises.
fn count(call: &Call<'_>, candidate: &Candidate, reply: &Reply) {
    let labels = |kind: Option<&'static str>| {
        let mut labels = vec![
            metrics::Label::new("model", candidate.model.name.clone()),
            metrics::Label::new("agent_type", call.request.agent.clone()),
        ];
        labels.extend(kind.map(|kind| metrics::Label::new("type", kind)));
        labels
    };
    metrics::gauge!("llm_cost_usd_total", labels(None)).increment(reply.cost.as_f64());
    let usage = &reply.usage;
    let input = usage.input_tokens + usage.cached_tokens + usage.cache_write_tokens;
    metrics::counter!("llm_tokens_total", labels(Some("input"))).increment(input);
    metrics::counter!("llm_tokens_total", labels(Some("output"))).increment(usage.output_tokens);
}

#[cfg(test)]
mod tests;
