//! Which models may answer a request, and in which order they are asked. Candidates come from the
//! profile; what cannot be, or must not be, is dropped with its reason; the rest is ranked by group and by score.

mod book;
mod choice;
mod explained;

pub(crate) use book::{Books, Model};
pub(crate) use choice::{Candidate, Choice, Dropped, Reason};
pub(crate) use explained::Told;

use std::sync::Arc;
use std::time::Duration;

use baton_core::circuit::Stand;
use baton_core::id::TenantId;
use baton_core::model::{Profile, Request, Usage};
use baton_core::money::Usd;
use baton_core::time::Time;
use baton_ports::models::Asker;

use crate::config::Kind;
use crate::health::Seen;
use crate::need::Need;
use crate::price;
use crate::profile::Rules;
use crate::score::{Facts, Score, score};
use crate::served::{Providers, Served};

/// Input beyond this part of a model's context is too much for it: the estimate may be short, and a reply needs room.
const CONTEXT_PART: f64 = 0.8;

/// Chooses. Holds no lock, waits for nothing, and looks at no more models than the profile names.
#[derive(Debug)]
pub(crate) struct Router {
    books: Books,
    providers: Providers,
}

/// What a choice is made by.
struct Case<'a> {
    need: Need,
    now: Time,
    scripted: bool,
    /// Who asks has named the model itself, over HTTP, and wants to hear where there is none.
    at_door: bool,
    /// Something bounds what the call may cost, so that its price must be known.
    is_bounded: bool,
    /// Whose key the consumer brought; nothing where it brought none.
    consumers: Option<Option<&'a Arc<Served>>>,
}

impl Router {
    pub fn new(books: Books, providers: Providers) -> Self {
        Self { books, providers }
    }

    pub fn providers(&self) -> &Providers {
        &self.providers
    }

    pub fn books(&self) -> &Books {
        &self.books
    }

    /// `streaming`: somebody is to have the reply as it comes. `is_bounded`: something bounds what it may cost.
    pub fn choose(&self, asker: &Asker, request: &Request, streaming: bool, is_bounded: bool, now: Time) -> Choice {
        let consumers = asker.api_key.as_ref().map(|key| self.providers.of_key(key));
        let at_door = asker.run.is_none();
        let case = Case { consumers, at_door, is_bounded, ..self.case(Need::of(request, streaming), now) };
        match &request.model {
            Some(name) => self.named(&asker.tenant, name, request.profile, &case),
            None => self.ranked(&asker.tenant, request.profile, &case),
        }
    }

    /// Chooses for a request of which nobody says yet who asks it.
    pub fn for_request(&self, tenant: &TenantId, request: &Request, now: Time) -> Choice {
        let case = self.case(Need::of(request, false), now);
        match &request.model {
            Some(name) => self.named(tenant, name, request.profile, &case),
            None => self.ranked(tenant, request.profile, &case),
        }
    }

    /// Chooses for a request that is not there, only what it would need.
    pub fn for_profile(&self, tenant: &TenantId, profile: Profile, need: Need, now: Time) -> Choice {
        self.ranked(tenant, profile, &self.case(need, now))
    }

    /// Every model of a tenant's, with what stands against it whatever is asked.
    pub fn listed(&self, tenant: &TenantId, is_bounded: bool, now: Time) -> Vec<(Arc<Model>, Option<Reason>)> {
        let case = Case { is_bounded, ..self.case(Need::of_text(0), now) };
        let listed = |model: &Arc<Model>| {
            let seen = model.health.seen(model.expected(), now);
            (Arc::clone(model), unfit(model, &case).or_else(|| closed(model, &seen, &case)))
        };
        self.books.of(tenant).models().map(listed).collect()
    }

    fn case(&self, need: Need, now: Time) -> Case<'_> {
        Case { need, now, scripted: self.providers.is_scripted(), at_door: false, is_bounded: false, consumers: None }
    }

    /// The profile's models, best first.
    fn ranked(&self, tenant: &TenantId, profile: Profile, case: &Case<'_>) -> Choice {
        let plan = self.books.of(tenant).plan(profile);
        let mut choice = Choice::new(profile, None, &case.need, plan.rules.weights);
        for (group, models) in plan.groups.iter().enumerate() {
            for model in models {
                let seen = model.health.seen(model.expected(), case.now);
                let cost = expected_cost(model, &case.need);
                let over = (cost > plan.rules.max_cost).then_some(Reason::Cost { cost, limit: plan.rules.max_cost });
                match unfit(model, case).or(over).or_else(|| closed(model, &seen, case)) {
                    Some(reason) => choice.dropped.push(Dropped { model: Arc::clone(model), reason }),
                    None => choice.viable.push(candidate(model, group, cost, &seen, &plan.rules)),
                }
            }
        }
        choice.viable.sort_by(|a, b| a.group.cmp(&b.group).then(b.score.whole.total_cmp(&a.score.whole)));
        choice
    }

    /// A model by name: not scored, and checked like any other.
    fn named(&self, tenant: &TenantId, name: &str, profile: Profile, case: &Case<'_>) -> Choice {
        let book = self.books.of(tenant);
        let rules = &book.plan(profile).rules;
        let mut choice = Choice::new(profile, Some(name), &case.need, rules.weights);
        let known = book.find(name);
        let is_known = known.is_some();
        let model = match known {
            Some(model) if model.served.is_some() => model,
            known => self.books.stranger(name, known, &self.providers),
        };
        let nowhere = case.at_door
            && !is_known
            && model.served.as_ref().is_some_and(|served| !served.provider.knows(&model.upstream));
        let seen = model.health.seen(model.expected(), case.now);
        let unknown = nowhere.then_some(Reason::Unknown);
        match unknown.or_else(|| unfit(&model, case)).or_else(|| closed(&model, &seen, case)) {
            Some(reason) => choice.dropped.push(Dropped { model, reason }),
            None => {
                let cost = expected_cost(&model, &case.need);
                choice.viable.push(candidate(&model, 0, cost, &seen, rules));
            }
        }
        choice
    }
}

fn candidate(model: &Arc<Model>, group: usize, cost: Usd, seen: &Seen, rules: &Rules) -> Candidate {
    // What nobody knows anything of is worth nothing, so it comes last and in the order it was written.
    let score = model.spec.as_ref().map_or_else(Score::default, |spec| {
        let facts = Facts { latency: seen.latency, cost, quality: spec.quality, error_rate: seen.error_rate };
        score(&facts, rules)
    });
    Candidate { model: Arc::clone(model), group, score, cost, latency: seen.latency, error_rate: seen.error_rate }
}

/// What the call is expected to cost; nothing is known to cost nothing.
fn expected_cost(model: &Model, need: &Need) -> Usd {
    let usage = Usage { input_tokens: need.tokens, output_tokens: need.reply(), ..Usage::default() };
    model.spec.as_ref().map_or(Usd::ZERO, |spec| price::cost(spec, &usage))
}

/// Why a model can never answer this request, whatever the hour.
fn unfit(model: &Model, case: &Case<'_>) -> Option<Reason> {
    if !case.scripted {
        let Some(served) = &model.served else { return Some(Reason::NotSetUp { provider: model.provider.clone() }) };
        match case.consumers {
            Some(whose) if !whose.is_some_and(|whose| Arc::ptr_eq(whose, served)) => {
                return Some(Reason::ConsumersKey { provider: served.name.clone() });
            }
            None if !served.is_open => return Some(Reason::NoKey { provider: served.name.clone() }),
            Some(_) | None => {}
        }
        let retired = model.retires.filter(|retires| served.is_public && case.now >= retires.at);
        if let Some(retires) = retired {
            return Some(Reason::Retired { on: retires.on });
        }
    }
    let is_script = model.served.as_ref().is_some_and(|served| served.kind == Kind::Script);
    let Some(spec) = &model.spec else {
        return (case.is_bounded && !case.scripted && !is_script).then_some(Reason::Unpriced);
    };
    let need = &case.need;
    if let Some(context) = spec.context_tokens {
        #[expect(clippy::cast_precision_loss, reason = "contexts are far below 2^53 tokens")]
        let is_too_long = need.tokens as f64 > context as f64 * CONTEXT_PART;
        if is_too_long || need.tokens.saturating_add(need.reply_max.unwrap_or(0)) > context {
            return Some(Reason::Context { tokens: need.tokens, reply_max: need.reply_max, context });
        }
    }
    let lacks = [
        (need.tools && !spec.tools, "tools"),
        (need.vision && !spec.vision, "images"),
        (need.schema && spec.structured == crate::catalogue::Structured::None, "structured output"),
        (need.streaming && !spec.streaming, "streaming"),
    ];
    lacks.into_iter().find(|(lacks, _)| *lacks).map(|(_, what)| Reason::Cannot { what })
}

/// Why a model must be left alone at the moment.
fn closed(model: &Model, seen: &Seen, case: &Case<'_>) -> Option<Reason> {
    if case.scripted || model.served.as_ref().is_some_and(|served| served.kind == Kind::Script) {
        return None;
    }
    if let Stand::Open(retry_after) = seen.stand {
        return Some(Reason::CircuitOpen { retry_after });
    }
    (seen.full_for > Duration::ZERO).then_some(Reason::Full { retry_after: seen.full_for })
}

#[cfg(test)]
mod tests;
