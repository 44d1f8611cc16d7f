//! Charges embeddings of an endpoint to the budgets of the tenant and its API key, and counts them among its costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::model::TokenUsage;
use baton_core::money::{PriceQuote, Usd};
use baton_ports::budget::SpendAccount;
use baton_ports::embed::{EmbeddingBilling, EmbeddingCharge, EmbeddingError, EmbeddingPayer, VectorSpace};
use baton_ports::models::ModelCaller;
use tokio::time::Instant;

use crate::budget::{AttemptCharge, BudgetLedger, Reservation};
use crate::catalogue::{ModelSpec, TokenPrices};
use crate::fault::code;
use crate::gateway::ModelGateway;
use crate::price;

/// The name under which they are counted as agent and as provider.
const NAME: &str = "embeddings";
/// How long a request waits for other calls to give budget back.
const RESERVE_TIMEOUT: Duration = Duration::from_secs(2);
/// US dollars per million tokens of the default models, as OpenAI states them; used if no catalogue has a price.
const DEFAULT_PRICES: [(&str, f64); 3] =
    [("text-embedding-3-small", 0.02), ("text-embedding-3-large", 0.13), ("text-embedding-ada-002", 0.1)];

/// The budget ledger and the prices of models. Clones share them.
#[derive(Clone)]
pub struct EmbeddingBudget {
    gateway: Arc<ModelGateway>,
    budget: BudgetLedger,
    /// The amount paid in this process, in nano-dollars.
    paid: Arc<AtomicI64>,
}

impl EmbeddingBudget {
    pub fn new(gateway: Arc<ModelGateway>, ledger: BudgetLedger) -> Self {
        Self { gateway, budget: ledger, paid: Arc::default() }
    }

    /// The price of this number of tokens for a tenant with this model; `None` if the price is unknown.
    pub fn price(&self, tenant: &TenantId, model: &str, tokens: u64) -> Option<Usd> {
        self.prices(tenant, model).map(|prices| cost(&prices, tokens))
    }

    /// The cost of all requests of this process that were answered so far.
    pub fn paid(&self) -> Usd {
        Usd::from_nanos(self.paid.load(Ordering::Relaxed))
    }

    fn prices(&self, tenant: &TenantId, model: &str) -> Option<TokenPrices> {
        let known = || {
            let (_, usd) = DEFAULT_PRICES.iter().find(|(known, _)| *known == model)?;
            Some(TokenPrices { input: Usd::from_f64(*usd), ..TokenPrices::default() })
        };
        self.gateway.facts(tenant, model).map(|ModelSpec { prices, .. }| prices).or_else(known)
    }
}

#[async_trait]
impl EmbeddingBilling for EmbeddingBudget {
    async fn reserve(
        &self,
        payer: &EmbeddingPayer,
        space: &VectorSpace,
        model: &str,
        tokens: u64,
    ) -> Result<Box<dyn EmbeddingCharge>, EmbeddingError> {
        let unpaid = |code: String, reason: String, retry_after| {
            let space = space.name.clone();
            EmbeddingError::OverBudget { space, code, reason, retry_after }
        };
        let EmbeddingPayer { tenant, key_id } = payer;
        let prices = match self.prices(tenant, model) {
            Some(prices) => prices,
            None if self.budget.has_limit(tenant, key_id.as_deref()) => {
                let reason = format!(
                    "no catalogue states the price of `{model}`, and a budget bounds it: write its \
                     `input_usd_per_million` and `output_usd_per_million` in models.yaml, 0 where it is free"
                );
                return Err(unpaid(code::PRICE_UNKNOWN.to_owned(), reason, None));
            }
            None => TokenPrices::default(),
        };
        let account = SpendAccount {
            agent: NAME.to_owned(),
            model: model.to_owned(),
            provider: NAME.to_owned(),
            ..SpendAccount::default()
        };
        let (most, deadline) = (cost(&prices, tokens), Instant::now() + RESERVE_TIMEOUT);
        let asker = ModelCaller { key_id: key_id.clone(), ..ModelCaller::of(tenant.clone(), NAME) };
        let hold =
            self.budget.reserve(&asker, account, PriceQuote::exactly(most), deadline).await.map_err(|refused| {
                let fault = refused.fault;
                let retry_after = fault.retry_after.map(Duration::from_millis);
                unpaid(fault.fault.code.into_owned(), fault.fault.message, retry_after)
            })?;
        Ok(Box::new(EmbeddingReservation { reservation: hold, prices, paid: self.paid.clone() }))
    }
}

fn cost(prices: &TokenPrices, tokens: u64) -> Usd {
    price::of(prices, &usage(tokens))
}

fn usage(tokens: u64) -> TokenUsage {
    TokenUsage { input_tokens: tokens, ..TokenUsage::default() }
}

struct EmbeddingReservation {
    reservation: Reservation,
    prices: TokenPrices,
    paid: Arc<AtomicI64>,
}

impl EmbeddingCharge for EmbeddingReservation {
    fn settle(self: Box<Self>, tokens: Option<u64>, latency: Duration) {
        let Self { reservation: hold, prices, paid: sum } = *self;
        let paid = match tokens {
            Some(tokens) => AttemptCharge {
                cost: cost(&prices, tokens),
                usage: usage(tokens),
                answered: true,
                estimated: false,
                latency,
            },
            None => AttemptCharge {
                cost: hold.amount(),
                answered: true,
                estimated: true,
                latency,
                ..AttemptCharge::default()
            },
        };
        sum.fetch_add(paid.cost.as_nanos(), Ordering::Relaxed);
        hold.settle(paid);
    }

    fn release(self: Box<Self>) {
        self.reservation.settle(AttemptCharge::default());
    }
}
