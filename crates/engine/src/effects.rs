//! Carrying one attempt out: through the tool pipeline, to a model, or in the sandbox.

use std::collections::BTreeMap;
use std::time::Duration;

use baton_core::id::{RunId, TenantId};
use baton_core::run::{Block, EffectId, Outcome};
use baton_core::time::Time;
use baton_core::tool::{self, AuditRow};
use baton_ports::clock::Clock;
use baton_ports::models::{Asker, Models};
use baton_ports::sandbox::{Limits, Sandbox};
use baton_ports::thinkers::{Thinkers, Thought};
use baton_ports::tools::{Checked, Performed, PermittedCall, Tools};

use crate::owner::{Send, What};

/// Permits of marked calls, while their markers are being written.
pub type Permits = BTreeMap<EffectId, Box<dyn PermittedCall>>;

/// What came of an attempt.
pub enum Back {
    Outcome {
        effect: EffectId,
        outcome: Outcome,
        audit: Option<Box<AuditRow>>,
    },
    /// A marked call may go out, once its marker is durable.
    Permit {
        effect: EffectId,
        permit: Box<dyn PermittedCall>,
    },
}

/// Who performs.
pub struct World<'a> {
    pub tools: &'a dyn Tools,
    pub models: &'a dyn Models,
    pub sandbox: &'a dyn Sandbox,
    pub thinkers: &'a dyn Thinkers,
    /// What any program may use.
    pub code: Limits,
    pub clock: &'a dyn Clock,
}

/// One attempt; a marked call stops at its permit.
pub async fn send(world: World<'_>, tenant: &TenantId, run: &RunId, send: Send) -> Back {
    let Send { effect, what, class, limit, approved } = send;
    match what {
        What::Model { key, request } => {
            let asker = Asker {
                tenant: tenant.clone(),
                run: Some(run.clone()),
                key,
                workflow: None,
                key_id: None,
                api_key: None,
                resets: false,
            };
            let reply = world.models.ask(&asker, &request, limit, None).await;
            Back::Outcome { effect, outcome: Outcome::Model(reply), audit: None }
        }
        What::Code { program, .. } => {
            let limits = Limits { time: world.code.time.min(limit), ..world.code };
            let ran = world.sandbox.run(&program, &limits).await;
            Back::Outcome { effect, outcome: Outcome::Code(ran), audit: None }
        }
        What::Step { key, endpoint, task, seen } => {
            let thought = Thought { tenant, key: &key, endpoint: &endpoint, task: &task, seen: &seen };
            let step = world.thinkers.think(thought, limit).await;
            Back::Outcome { effect, outcome: Outcome::Step(step), audit: None }
        }
        What::Tool(call) => match world.tools.check(&call, approved.as_deref()).await {
            Checked::Permitted(permit) if class.is_marked() => Back::Permit { effect, permit },
            Checked::Permitted(permit) => performed(effect, permit.perform(limit).await),
            Checked::Answered(done) => performed(effect, *done),
            Checked::NeedsApproval { hash } => blocked(effect, Block::Approval { hash }),
            Checked::RateLimited { retry_after } => {
                blocked(effect, Block::RateLimit { until: later(world.clock, retry_after) })
            }
            Checked::CircuitOpen { retry_after } => {
                blocked(effect, Block::Circuit { until: later(world.clock, retry_after) })
            }
        },
    }
}

/// Performs a call whose marker is durable, unless the time its marker names is over.
pub async fn perform(clock: &dyn Clock, effect: EffectId, permit: Box<dyn PermittedCall>, until: Time) -> Back {
    let limit = until.since(clock.now());
    if limit.is_zero() {
        return Back::Outcome { effect, outcome: Outcome::NotSent, audit: None };
    }
    performed(effect, permit.perform(limit).await)
}

/// Asks the service what became of a call.
pub async fn look_up(world: World<'_>, send: Send) -> Back {
    let outcome = match send.what {
        What::Tool(call) => match world.tools.look_up(&call, send.limit).await {
            tool::Outcome::NotDone { .. } => Outcome::NotFound,
            known => Outcome::Tool(known),
        },
        // None is ever looked up: a model or a thinker is read from, a program is a function of its inputs.
        What::Model { .. } | What::Code { .. } | What::Step { .. } => Outcome::NotFound,
    };
    Back::Outcome { effect: send.effect, outcome, audit: None }
}

fn performed(effect: EffectId, done: Performed) -> Back {
    Back::Outcome { effect, outcome: Outcome::Tool(done.outcome), audit: Some(Box::new(done.audit)) }
}

fn blocked(effect: EffectId, by: Block) -> Back {
    Back::Outcome { effect, outcome: Outcome::Blocked(by), audit: None }
}

fn later(clock: &dyn Clock, after: Duration) -> Time {
    clock.now() + after
}
