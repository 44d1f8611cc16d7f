//! What the tests of this room share: a clock that goes with the runtime's, ports that remember, providers that do as
//! they are told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::model::{Finish, Reply, Usage};
use baton_core::money::Usd;
use baton_core::time::Time;
use baton_ports::circuits::{Circuit, Circuits};
use baton_ports::clock::Clock;
use baton_ports::decisions::{Decision, Decisions, Filter, Sum};
use baton_ports::journal::Error;
use baton_ports::models::Piece;
use tokio::time::Instant;

use crate::config::{Config, Kind};
use crate::fault::{code, transient};
use crate::gateway::Gateway;
use crate::providers::{Answered, Ask, Failure, Provider, Spent};
use crate::served::{Providers, Served};

/// Time as the paused runtime has it.
pub(crate) struct Ticking(Instant);

impl Ticking {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(Instant::now()))
    }
}

impl Clock for Ticking {
    fn now(&self) -> Time {
        // A day in 2026, when some models of the catalogue are gone and others are not.
        Time::from_ms(1_795_000_000_000) + self.0.elapsed()
    }
}

/// Records that were handed over.
#[derive(Default)]
pub(crate) struct Kept(Mutex<Vec<Vec<Decision>>>);

impl Kept {
    /// Sizes of the batches.
    pub fn batches(&self) -> Vec<usize> {
        self.0.lock().unwrap().iter().map(Vec::len).collect()
    }

    pub fn all(&self) -> Vec<Decision> {
        self.0.lock().unwrap().concat()
    }
}

#[async_trait]
impl Decisions for Kept {
    fn record(&self, batch: Vec<Decision>) -> Result<(), Error> {
        self.0.lock().unwrap().push(batch);
        Ok(())
    }

    async fn decisions(&self, tenant: &TenantId, filter: Filter) -> Result<Vec<Decision>, Error> {
        let is_wanted =
            |found: &Decision| found.tenant == *tenant && filter.key.as_ref().is_none_or(|key| *key == found.key);
        Ok(self.all().into_iter().rev().filter(is_wanted).take(filter.limit).collect())
    }

    async fn sums(&self, _tenant: &TenantId, _since: Time) -> Result<Vec<Sum>, Error> {
        Ok(Vec::new())
    }
}

/// What was said of circuits.
#[derive(Default)]
pub(crate) struct Told(Mutex<Vec<Circuit>>);

impl Told {
    pub fn all(&self) -> Vec<Circuit> {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl Circuits for Told {
    async fn set(&self, circuit: Circuit) -> Result<(), Error> {
        self.0.lock().unwrap().push(circuit);
        Ok(())
    }

    async fn circuits(&self) -> Result<Vec<Circuit>, Error> {
        Ok(self.all())
    }
}

/// What a provider does when it is asked.
#[derive(Clone, Debug)]
pub(crate) enum Does {
    Answers(Duration),
    /// Answers, and says that it takes no more for so long.
    IsFull(Duration),
    Fails(&'static str),
    /// Fails and asks to be left alone for so long.
    Waits(Duration),
    Hangs,
    /// Answers, and counts no tokens.
    CountsNothing,
    /// Tells a piece and breaks off.
    BreaksOff,
}

/// A provider that remembers which models it was asked for, with the key that came along.
#[derive(Debug)]
pub(crate) struct Puppet {
    /// What comes first, and then for ever.
    does: Mutex<(VecDeque<Does>, Does)>,
    asked: Mutex<Vec<(String, Option<String>)>>,
    /// How long each reply might be.
    replies: Mutex<Vec<Option<u32>>>,
}

impl Puppet {
    pub fn new(always: Does) -> Arc<Self> {
        Arc::new(Self {
            does: Mutex::new((VecDeque::new(), always)),
            asked: Mutex::default(),
            replies: Mutex::default(),
        })
    }

    /// Does this from now on.
    pub fn does(&self, always: Does) {
        self.does.lock().unwrap().1 = always;
    }

    /// Does this once, the next time.
    pub fn once(&self, first: Does) {
        self.does.lock().unwrap().0.push_back(first);
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|(model, _)| model.clone()).collect()
    }

    /// How long each reply might be, by what the request said.
    pub fn replies(&self) -> Vec<Option<u32>> {
        self.replies.lock().unwrap().clone()
    }

    pub fn keys(&self) -> Vec<Option<String>> {
        self.asked.lock().unwrap().iter().map(|(_, key)| key.clone()).collect()
    }
}

#[derive(Debug)]
struct Strings(Arc<Puppet>);

#[async_trait]
impl Provider for Strings {
    async fn ask(&self, ask: &Ask<'_>) -> Result<Answered, Failure> {
        let key = ask.key.map(|key| key.secret().to_owned());
        self.0.asked.lock().unwrap().push((ask.model.to_owned(), key));
        self.0.replies.lock().unwrap().push(ask.request.max_tokens);
        let does = {
            let mut does = self.0.does.lock().unwrap();
            does.0.pop_front().unwrap_or_else(|| does.1.clone())
        };
        let failed = |code| transient(code, format!("`{}` failed", ask.model));
        match does {
            Does::Answers(after) if after < ask.limit => {
                tokio::time::sleep(after).await;
                Ok(Answered { reply: reply(ask.model), full_for: None, is_counted: true })
            }
            Does::IsFull(full_for) => {
                Ok(Answered { reply: reply(ask.model), full_for: Some(full_for), is_counted: true })
            }
            Does::CountsNothing => Ok(Answered { reply: reply(ask.model), full_for: None, is_counted: false }),
            Does::Fails(code) => Err(failed(code).into()),
            Does::Waits(wait) => {
                let retry_after = u64::try_from(wait.as_millis()).ok();
                let full = failed(code::RATE_LIMIT_EXCEEDED);
                Err(baton_core::run::ModelFault { retry_after, ..full }.into())
            }
            Does::BreaksOff => {
                if let Some(pieces) = ask.pieces {
                    pieces.send(Piece::Text("half".into())).await.unwrap();
                }
                Err(Failure { fault: failed(code::MALFORMED_REPLY), told: ask.pieces.is_some(), spent: Spent::Unknown })
            }
            Does::Answers(_) | Does::Hangs => {
                tokio::time::sleep(ask.limit).await;
                Err(Failure { spent: Spent::Unknown, ..failed(code::TIMEOUT).into() })
            }
        }
    }
}

pub(crate) fn reply(model: &str) -> Reply {
    Reply {
        content: "whole".into(),
        tool_calls: Vec::new(),
        thinking: None,
        finish: Finish::Stop,
        usage: Usage { input_tokens: 10, output_tokens: 5, ..Usage::default() },
        model: model.to_owned(),
        provider: "puppet".into(),
        cost: Usd::from_nanos(1_000),
        latency_ms: 1,
    }
}

/// A provider over a puppet.
pub(crate) fn served(name: &str, kind: Kind, puppet: &Arc<Puppet>) -> Served {
    let provider = Box::new(Strings(Arc::clone(puppet)));
    Served { name: name.to_owned(), kind, provider, is_open: true, is_public: false }
}

/// A gateway over these providers, with settings written as JSON.
pub(crate) fn gateway(settings: serde_json::Value, providers: Vec<Served>) -> Gateway {
    let config: Config = serde_json::from_value(settings).expect("settings");
    Gateway::over(&config, Providers::of(providers), Ticking::new()).expect("a gateway")
}
