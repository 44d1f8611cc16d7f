//! Approvals: requested from the configured number of people, never from the requester of the call, and valid for
//! exactly what is sent.

use std::collections::{BTreeMap, BTreeSet};

use baton_core::id::RunId;
use baton_core::run::{Approval, BlockReason, DEADLINE_ACTOR, EffectId, OnExpiry, RunEvent};
use baton_core::time::Time;
use baton_engine::owner::Attempt;

use super::{PromiseViolation, violation};

#[derive(Debug, Default)]
pub struct ApprovalOracle {
    approvals: BTreeMap<EffectId, OracleApproval>,
    /// The caller that started the run.
    requester: Option<String>,
}

#[derive(Debug)]
struct OracleApproval {
    approval: Approval,
    approvers: BTreeSet<String>,
    is_granted: bool,
}

impl ApprovalOracle {
    pub fn recorded(&mut self, run: &RunId, at: Time, event: &RunEvent) -> Result<(), PromiseViolation> {
        match event {
            RunEvent::Started(started) => {
                self.requester.clone_from(&started.caller.user_id);
                Ok(())
            }
            RunEvent::Blocked { effect, by: BlockReason::Approval(leave) } => {
                let asked =
                    OracleApproval { approval: (**leave).clone(), approvers: BTreeSet::new(), is_granted: false };
                match self.approvals.insert(effect.clone(), asked) {
                    Some(before) if before.is_granted && before.approval.hash == leave.hash => {
                        violation("leave", format!("{effect} of `{run}` was allowed, and the same is asked again"))
                    }
                    _ => Ok(()),
                }
            }
            RunEvent::Approved { effect, by, .. } => {
                let Some(asked) = self.approvals.get_mut(effect).filter(|asked| !asked.is_granted) else {
                    return violation("leave", format!("`{by}` allowed {effect} of `{run}`, and nobody was asked"));
                };
                asked.check_approver(self.requester.as_deref(), run, effect, by)?;
                match asked.approvers.insert(by.clone()) {
                    true => Ok(()),
                    false => violation("leave", format!("`{by}` counts twice for {effect} of `{run}`")),
                }
            }
            RunEvent::Unblocked { effect, by, .. } => match self.approvals.get_mut(effect) {
                Some(asked) => asked.record_approval(self.requester.as_deref(), run, at, effect, by),
                // It waited for an API key, or for a budget.
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// A call that requires approval is sent only after people approved exactly this call.
    pub fn check_send(&self, run: &RunId, send: &Attempt) -> Result<(), PromiseViolation> {
        let Some(asked) = self.approvals.get(&send.effect) else { return Ok(()) };
        let effect = &send.effect;
        if !asked.is_granted {
            return violation("leave", format!("{effect} of `{run}` goes out, and nobody allowed it yet"));
        }
        match send.approved.as_deref() {
            Some(hash) if hash == asked.approval.hash => Ok(()),
            found => violation(
                "leave",
                format!("{effect} of `{run}` goes out as {found:?}, allowed was {:?}", asked.approval.hash),
            ),
        }
    }
}

impl OracleApproval {
    fn check_approver(
        &self,
        requester: Option<&str>,
        run: &RunId,
        effect: &EffectId,
        by: &str,
    ) -> Result<(), PromiseViolation> {
        if requester == Some(by) {
            return violation("leave", format!("`{by}` asked for {effect} of `{run}`, and allowed it"));
        }
        if !self.approval.from.is_empty() && !self.approval.from.iter().any(|name| name == by) {
            return violation(
                "leave",
                format!("`{by}` allowed {effect} of `{run}`, and {:?} are asked", self.approval.from),
            );
        }
        Ok(())
    }

    fn record_approval(
        &mut self,
        requester: Option<&str>,
        run: &RunId,
        at: Time,
        effect: &EffectId,
        by: &str,
    ) -> Result<(), PromiseViolation> {
        if std::mem::replace(&mut self.is_granted, true) {
            return violation("leave", format!("{effect} of `{run}` was allowed twice"));
        }
        if by == DEADLINE_ACTOR {
            let is_over =
                self.approval.until.is_some_and(|until| until <= at) && self.approval.then == OnExpiry::Approve;
            return match is_over {
                true => Ok(()),
                false => {
                    violation("leave", format!("{effect} of `{run}` was allowed by a deadline: {:?}", self.approval))
                }
            };
        }
        self.check_approver(requester, run, effect, by)?;
        let people = self.approvers.iter().map(String::as_str).chain([by]).collect::<BTreeSet<_>>().len();
        match people >= self.approval.need as usize {
            true => Ok(()),
            false => {
                violation("leave", format!("{effect} of `{run}` was allowed by {people} of {}", self.approval.need))
            }
        }
    }
}
