//! Carrying one attempt out: through the tool pipeline, to a model, or in the sandbox.

use std::collections::BTreeMap;
use std::time::Duration;

use baton_core::fault::{Fault, code};
use baton_core::id::{RunId, TenantId};
use baton_core::model::{Reply, Request};
use baton_core::money::Usd;
use baton_core::run::{Block, EffectId, Leave, ModelFault, Outcome};
use baton_core::time::Time;
use baton_core::tool::{self, AuditRow};
use baton_ports::budget::{Charge, Tab};
use baton_ports::clock::{Clock, Steady};
use baton_ports::journal::{Lease, ProcessId};
use baton_ports::models::{Asker, Models, PIECES_WAITING_MAX};
use baton_ports::sandbox::{Limits, Sandbox};
use baton_ports::thinkers::{Thinkers, Thought};
use baton_ports::tools::{Checked, Needed, Performed, PermittedCall, Tools};
use tokio::sync::{mpsc, watch};

use crate::keys::Keys;
use crate::own_time::Now;
use crate::owner::{Send, What};
use crate::voices::{Said, Voices};

/// Permits of marked calls, while their markers are being written.
pub type Permits = BTreeMap<EffectId, Box<dyn PermittedCall>>;

/// What came of an attempt.
pub enum Back {
    Outcome {
        effect: EffectId,
        outcome: Box<Outcome>,
        audit: Option<Box<AuditRow>>,
        /// What it cost; settled once the append that records the outcome is durable.
        charges: Vec<Charge>,
    },
    /// A marked call may go out, once its marker is durable.
    Permit { effect: EffectId, permit: Box<dyn PermittedCall> },
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
    pub keys: &'a Keys,
    pub voices: &'a Voices,
    /// Whose calls these are, and until when it may make them.
    pub process: ProcessId,
    pub lease: &'a watch::Sender<Lease>,
}

impl World<'_> {
    /// Whoever stood still for longer than its lease is not the owner any more, and the next one may have gone another way.
    fn is_leased(&self) -> bool {
        let lease = *self.lease.borrow();
        lease.process == self.process && Now::of(self.clock).for_leases() < lease.until
    }
}

/// One attempt; a marked call stops at its permit.
///
/// `tab`: where a model's attempts are charged, for whoever drops the call before it comes back.
pub async fn send(world: World<'_>, tenant: &TenantId, run: &RunId, send: Send, tab: Tab) -> Back {
    let Send { effect, what, class, limit, approved } = send;
    match what {
        What::Model { key, request, most, workflow, agent_type, caller } => {
            let api_key = world.keys.of(tenant, run);
            let mut asker = Asker {
                run: Some(run.clone()),
                workflow: Some(workflow),
                agent_type,
                key_id: caller.key_id,
                traceparent: caller.traceparent,
                most,
                lost_key: caller.own_key && api_key.is_none(),
                api_key,
                tab: Some(tab.clone()),
                reads_along: true,
                ..Asker::of(tenant.clone(), key)
            };
            let mut reply = ask(&world, &asker, &request, limit, &effect).await;
            // It may have been given while the call found that it is missing: whoever gave it is not asked again.
            if asker.api_key.is_none() && matches!(&reply, Err(failed) if failed.block == Some(Block::Key)) {
                asker.api_key = world.keys.of(tenant, run);
                asker.lost_key &= asker.api_key.is_none();
                if asker.api_key.is_some() {
                    reply = ask(&world, &asker, &request, limit, &effect).await;
                }
            }
            let charges = tab.take();
            let outcome = Box::new(replied(reply, &charges, caller.own_key));
            Back::Outcome { effect, outcome, audit: None, charges }
        }
        What::Code { program, .. } => {
            let limits = Limits { time: world.code.time.min(limit), ..world.code };
            let ran = world.sandbox.run(&program, &limits).await;
            free(effect, Outcome::Code(ran))
        }
        What::Step { key, endpoint, task, seen } => {
            let thought = Thought { tenant, key: &key, endpoint: &endpoint, task: &task, seen: &seen };
            let step = world.thinkers.think(thought, limit).await;
            free(effect, Outcome::Step(step))
        }
        What::Tool(call) => match world.tools.check(&call, approved.as_deref()).await {
            Checked::Permitted(permit) if class.is_marked() => Back::Permit { effect, permit },
            Checked::Permitted(_) if !world.is_leased() => free(effect, Outcome::NotSent),
            Checked::Permitted(permit) => performed(effect, permit.perform(limit).await),
            Checked::Answered(done) => answered(effect, *done),
            Checked::NeedsApproval(needed) => blocked(effect, leave(*needed, world.clock)),
            Checked::RateLimited { retry_after } => {
                blocked(effect, Block::RateLimit { until: later(world.clock, retry_after) })
            }
            Checked::CircuitOpen { retry_after, fault } => {
                free(effect, Outcome::CircuitOpen { until: later(world.clock, retry_after), fault: *fault })
            }
        },
    }
}

/// Asks a model, and lets whoever reads along hear its reply as it comes.
async fn ask(
    world: &World<'_>,
    asker: &Asker,
    request: &Request,
    limit: Duration,
    effect: &EffectId,
) -> Result<Reply, ModelFault> {
    let voice = asker.run.as_ref().and_then(|run| world.voices.of(&asker.tenant, run));
    let Some(voice) = voice else { return world.models.ask(asker, request, limit, None).await };
    let (sender, mut pieces) = mpsc::channel(PIECES_WAITING_MAX);
    let asked = async move { world.models.ask(asker, request, limit, Some(&sender)).await };
    let told = async {
        while let Some(piece) = pieces.recv().await {
            // They may all have left.
            voice.send(Said { effect: effect.clone(), piece }).ok();
        }
    };
    futures::join!(asked, told).0
}

/// Performs a call whose marker is durable, unless the time its marker names is over.
pub async fn perform(clock: &dyn Clock, effect: EffectId, permit: Box<dyn PermittedCall>, until: Steady) -> Back {
    let limit = until.since(clock.steady());
    if limit.is_zero() {
        return free(effect, Outcome::NotSent);
    }
    performed(effect, permit.perform(limit).await)
}

/// Whom a call asks.
#[derive(Clone, Copy, Debug)]
pub enum Asked {
    Tool,
    Model,
    Code,
    Thinker,
}

impl Asked {
    pub fn of(what: &What) -> Self {
        match what {
            What::Tool(_) => Self::Tool,
            What::Model { .. } => Self::Model,
            What::Code { .. } => Self::Code,
            What::Step { .. } => Self::Thinker,
        }
    }

    /// What a call came to that panicked on its way, and cost this all the same.
    pub fn broken(self, cost: Usd) -> Outcome {
        let fault =
            Fault::new(code::OUTCOME_UNKNOWN, "the call broke off by a defect of this program; its log says where");
        match self {
            Self::Tool => Outcome::Tool(tool::Outcome::Unknown { fault }),
            Self::Model => Outcome::Model(Err(ModelFault { cost, ..ModelFault::transient(fault) })),
            Self::Code => Outcome::Code(Err(fault)),
            Self::Thinker => Outcome::Step(Err(ModelFault::transient(fault))),
        }
    }
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
    free(send.effect, outcome)
}

/// What a model's answer is to the run, with all that its attempts cost.
fn replied(reply: Result<Reply, ModelFault>, charges: &[Charge], own_key: bool) -> Outcome {
    let cost = (!charges.is_empty()).then(|| charges.iter().map(|charge| charge.spend().cost).sum());
    match reply {
        Ok(reply) => Outcome::Model(Ok(Reply { cost: cost.unwrap_or(reply.cost), ..reply })),
        Err(failed) => match failed.block {
            // Who never brought a key is told so; who did is asked for it again.
            Some(Block::Key) if !own_key => Outcome::Model(Err(ModelFault { block: None, ..failed })),
            Some(by) => Outcome::Blocked { by, cost: cost.unwrap_or_default() },
            None => Outcome::Model(Err(ModelFault { cost: cost.unwrap_or(failed.cost), ..failed })),
        },
    }
}

fn performed(effect: EffectId, done: Performed) -> Back {
    audited(effect, Outcome::Tool(done.outcome), done.audit, done.tab)
}

/// What a check made of a call by itself: an answer it has kept, or a no for good that nobody outside was asked about.
fn answered(effect: EffectId, done: Performed) -> Back {
    let outcome = match done.outcome {
        tool::Outcome::NotDone { fault, retryable: false, .. } => Outcome::Stopped { fault },
        known @ (tool::Outcome::Done { .. }
        | tool::Outcome::NotDone { .. }
        | tool::Outcome::Unknown { .. }
        | tool::Outcome::Asks { .. }) => Outcome::Tool(known),
    };
    audited(effect, outcome, done.audit, done.tab)
}

fn audited(effect: EffectId, outcome: Outcome, audit: AuditRow, tab: Tab) -> Back {
    Back::Outcome { effect, outcome: Box::new(outcome), audit: Some(Box::new(audit)), charges: tab.take() }
}

/// What a call waits for that people must allow, from now on.
fn leave(needed: Needed, clock: &dyn Clock) -> Block {
    let Needed { hash, arguments, account, need, from, deadline, then } = needed;
    let until = deadline.map(|after| later(clock, after));
    Block::Approval(Box::new(Leave { hash, arguments, account, need, from, until, then }))
}

fn blocked(effect: EffectId, by: Block) -> Back {
    free(effect, Outcome::Blocked { by, cost: Usd::ZERO })
}

/// What no budget pays for, and the audit does not name.
fn free(effect: EffectId, outcome: Outcome) -> Back {
    Back::Outcome { effect, outcome: Box::new(outcome), audit: None, charges: Vec::new() }
}

fn later(clock: &dyn Clock, after: Duration) -> Time {
    clock.now() + after
}

#[cfg(test)]
mod tests {
    use baton_core::fault::Fault;
    use serde_json::json;

    use super::*;

    fn what_comes_of(outcome: tool::Outcome) -> Outcome {
        let audit = serde_json::from_value(json!({
            "at": 0, "company_id": "clinic", "action_type": "booking", "action": "book", "details": {}, "status": "error"
        }));
        let done = Performed { outcome, audit: audit.unwrap(), tab: Tab::default() };
        match answered(EffectId::parse("book#0.0").unwrap(), done) {
            Back::Outcome { outcome, audit: Some(_), .. } => *outcome,
            Back::Outcome { audit: None, .. } | Back::Permit { .. } => panic!("an attempt leaves a row"),
        }
    }

    #[test]
    fn a_no_for_good_before_anybody_was_asked_is_told_apart_from_a_services() {
        let fault = Fault::new("TOOL_NOT_ALLOWED", "switched off");
        let refused = |retryable| tool::Outcome::NotDone { fault: fault.clone(), retryable, retry_after: None };
        assert_eq!(what_comes_of(refused(false)), Outcome::Stopped { fault: fault.clone() });
        assert_eq!(what_comes_of(refused(true)), Outcome::Tool(refused(true)));
        let kept = tool::Outcome::Done { output: json!(1).into(), cost: Usd::ZERO, cached: true };
        assert_eq!(what_comes_of(kept.clone()), Outcome::Tool(kept));
    }
}
