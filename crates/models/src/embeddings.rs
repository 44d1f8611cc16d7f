//! Pays for vectors that an endpoint makes: out of the budgets of the tenant, and of the key they are made for, and counted
//! among its costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::model::Usage;
use baton_core::money::{Quote, Usd};
use baton_ports::budget::Account;
use baton_ports::embed::{Error, Payer, Paying, Space, Till};
use baton_ports::models::Asker;
use tokio::time::Instant;

use crate::budget::{Hold, Paid, Purse};
use crate::catalogue::{Prices, Spec};
use crate::fault::code;
use crate::gateway::Gateway;
use crate::price;

/// What is counted as the agent, and as the provider.
const NAME: &str = "embeddings";
/// How long a request waits for others to give money back.
const PATIENCE: Duration = Duration::from_secs(2);
/// Dollars a million tokens of the models that the default names, as OpenAI states them, where no catalogue says otherwise.
const KNOWN: [(&str, f64); 3] =
    [("text-embedding-3-small", 0.02), ("text-embedding-3-large", 0.13), ("text-embedding-ada-002", 0.1)];

/// The purse, and what models cost. Clones share it.
#[derive(Clone)]
pub struct Embeddings {
    gateway: Arc<Gateway>,
    purse: Purse,
    /// What was paid here, in nano-dollars.
    paid: Arc<AtomicI64>,
}

impl Embeddings {
    pub fn new(gateway: Arc<Gateway>, purse: Purse) -> Self {
        Self { gateway, purse, paid: Arc::default() }
    }

    /// What so many tokens cost a tenant with this model; nothing where nobody states its price.
    pub fn price(&self, tenant: &TenantId, model: &str, tokens: u64) -> Option<Usd> {
        self.prices(tenant, model).map(|prices| cost(&prices, tokens))
    }

    /// What all requests of this process have cost that were answered so far.
    pub fn paid(&self) -> Usd {
        Usd::from_nanos(self.paid.load(Ordering::Relaxed))
    }

    fn prices(&self, tenant: &TenantId, model: &str) -> Option<Prices> {
        let known = || {
            let (_, usd) = KNOWN.iter().find(|(known, _)| *known == model)?;
            Some(Prices { input: Usd::from_f64(*usd), ..Prices::default() })
        };
        self.gateway.facts(tenant, model).map(|Spec { prices, .. }| prices).or_else(known)
    }
}

#[async_trait]
impl Till for Embeddings {
    async fn reserve(&self, payer: &Payer, space: &Space, model: &str, tokens: u64) -> Result<Box<dyn Paying>, Error> {
        let unpaid = |code: String, reason: String, retry_after| {
            let space = space.name.clone();
            Error::Unpaid { space, code, reason, retry_after }
        };
        let Payer { tenant, key_id } = payer;
        let prices = match self.prices(tenant, model) {
            Some(prices) => prices,
            None if self.purse.bounds(tenant, key_id.as_deref()) => {
                let reason = format!(
                    "no catalogue states the price of `{model}`, and a budget bounds it: write its \
                     `input_usd_per_million` and `output_usd_per_million` in models.yaml, 0 where it is free"
                );
                return Err(unpaid(code::PRICE_UNKNOWN.to_owned(), reason, None));
            }
            None => Prices::default(),
        };
        let account = Account {
            agent: NAME.to_owned(),
            model: model.to_owned(),
            provider: NAME.to_owned(),
            ..Account::default()
        };
        let (most, deadline) = (cost(&prices, tokens), Instant::now() + PATIENCE);
        let asker = Asker { key_id: key_id.clone(), ..Asker::of(tenant.clone(), NAME) };
        let hold = self.purse.reserve(&asker, account, Quote::exactly(most), deadline).await.map_err(|refused| {
            let fault = refused.fault;
            let retry_after = fault.retry_after.map(Duration::from_millis);
            unpaid(fault.fault.code.into_owned(), fault.fault.message, retry_after)
        })?;
        Ok(Box::new(Held { hold, prices, paid: self.paid.clone() }))
    }
}

fn cost(prices: &Prices, tokens: u64) -> Usd {
    price::of(prices, &usage(tokens))
}

fn usage(tokens: u64) -> Usage {
    Usage { input_tokens: tokens, ..Usage::default() }
}

struct Held {
    hold: Hold,
    prices: Prices,
    paid: Arc<AtomicI64>,
}

impl Paying for Held {
    fn answered(self: Box<Self>, tokens: Option<u64>, latency: Duration) {
        let Self { hold, prices, paid: sum } = *self;
        let paid = match tokens {
            Some(tokens) => {
                Paid { cost: cost(&prices, tokens), usage: usage(tokens), answered: true, estimated: false, latency }
            }
            None => Paid { cost: hold.amount(), answered: true, estimated: true, latency, ..Paid::default() },
        };
        sum.fetch_add(paid.cost.as_nanos(), Ordering::Relaxed);
        hold.paid(paid);
    }

    fn spared(self: Box<Self>) {
        self.hold.paid(Paid::default());
    }
}
