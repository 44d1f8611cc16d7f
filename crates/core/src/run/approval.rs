//! Approvals of a call: who must approve, how many, until when; and the effect of a rejection. See
//! `docs/guides/approvals.md`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::address::{EffectId, NodeAddress};
use super::decide::RunDraft;
use super::decision_maker::DecisionMaker;
use super::event::{BlockReason, DoubtFollowUp, RunEvent};
use super::refusal::RunRefusal;
use super::state::{CallProgress, NodeActivity, OpenCall, Run, RunTimer};
use crate::fault::{Fault, code};
use crate::time::Time;

/// The actor of a decision that a deadline made.
pub const DEADLINE_ACTOR: &str = "deadline";

/// Why a person's decision does not count.
pub(super) const OWN_REQUEST: &str = "nobody allows what they asked for themselves";
pub(super) const NOT_AN_APPROVER: &str = "others are asked";
const OWN_LINK: &str =
    "nobody decides by a link that they asked for themselves, or about their own request by any link";

/// An approval that people are asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    /// Hash of exactly what would be sent; any other call needs a new approval.
    pub hash: String,
    /// The arguments that would be sent, with secrets by reference; null in journals from before they were stored.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub arguments: Value,
    /// The account that the call would use, if people connect accounts for the tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Number of different people who must approve.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub need: u32,
    /// People who may approve; empty: any person except the requester.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    #[serde(default, skip_serializing_if = "OnExpiry::is_reject")]
    pub then: OnExpiry,
}

/// The decision that applies at the deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExpiry {
    #[default]
    Reject,
    Approve,
}

impl OnExpiry {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
    fn is_reject(&self) -> bool {
        *self == Self::Reject
    }
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_one(need: &u32) -> bool {
    *need == 1
}

impl Approval {
    /// Creates an approval by any one person, without a deadline.
    pub fn of(hash: impl Into<String>) -> Self {
        Self {
            hash: hash.into(),
            arguments: Value::Null,
            account: None,
            need: 1,
            from: Vec::new(),
            until: None,
            then: OnExpiry::Reject,
        }
    }
}

impl BlockReason {
    /// Waits for an approval by any one person.
    pub fn approval(hash: impl Into<String>) -> Self {
        Self::Approval(Box::new(Approval::of(hash)))
    }
}

impl Run {
    /// Returns the calls with a pending approval or question whose deadline is at or before `now`.
    pub fn expired_approvals(&self, now: Time) -> impl Iterator<Item = EffectId> {
        self.backoffs.iter().take_while(move |(at, _)| *at <= now).filter_map(|(_, id)| {
            let call = self.calls.get(id)?;
            call.waits_for_people().then(|| EffectId { call: id.clone(), generation: call.generation })
        })
    }

    /// Checks whether this person's decision on a pending approval counts: they are asked, it is not their own request,
    /// and they have not approved already. A requester may withdraw the call, but not approve it.
    ///
    /// # Errors
    /// The reason why it does not count.
    pub fn check_approver(&self, effect: &EffectId, by: &DecisionMaker, approved: bool) -> Result<(), RunRefusal> {
        let Some((leave, allowed_by)) = self.approval_for(effect) else {
            return Err(RunRefusal::NothingWaits { node: effect.to_string() });
        };
        let no = |reason| Err(RunRefusal::NotAllowed { what: effect.to_string(), by: by.name.clone(), reason });
        if let Some(reason) = self.link_rejection(by) {
            return no(reason);
        }
        let is_own = self.is_requested_by(&by.name);
        if approved && is_own {
            return no(OWN_REQUEST);
        }
        if !leave.from.is_empty() && !is_own && !leave.from.contains(&by.name) {
            return no(NOT_AN_APPROVER);
        }
        if allowed_by.contains(&by.name) && approved {
            return Err(RunRefusal::AnsweredTwice { node: effect.to_string(), by: by.name.clone() });
        }
        Ok(())
    }

    /// Returns why a decision by a link does not count, if it does not. A link acts for the person it was delivered to:
    /// not for the requester of the call, and not for the person who had the link sent.
    pub(super) fn link_rejection(&self, by: &DecisionMaker) -> Option<&'static str> {
        let asked_by = by.link_requested_by()?;
        (asked_by == by.name || self.is_requested_by(&by.name)).then_some(OWN_LINK)
    }

    /// Returns the `human` nodes whose deadline has passed.
    pub fn overdue_human_nodes(&self, now: Time) -> impl Iterator<Item = &NodeAddress> {
        self.timers.iter().take_while(move |(at, _)| *at <= now).filter_map(|(_, timer)| match timer {
            RunTimer::Node(node) if matches!(self.activity(node), Some(NodeActivity::Human { .. })) => Some(node),
            _ => None,
        })
    }
}

impl RunDraft<'_> {
    /// A person approves or rejects a call. A rejection ends it at once; an approval counts towards the required
    /// number.
    pub fn approve(
        &mut self,
        effect: EffectId,
        by: DecisionMaker,
        approved: bool,
        note: String,
    ) -> Result<(), RunRefusal> {
        let call = self.open_call(&effect)?.clone();
        if call.awaits_answer() {
            return self.decline_question(effect, by.name, approved);
        }
        let leave = match &call.progress {
            CallProgress::Blocked(BlockReason::Approval(leave)) => Some(leave),
            CallProgress::Blocked(BlockReason::Budget { .. }) => None,
            _ => return Err(RunRefusal::NothingWaits { node: effect.to_string() }),
        };
        if leave.is_some() {
            self.run.check_approver(&effect, &by, approved)?;
        }
        let by = by.name;
        if !approved {
            self.reject_approval(&effect, &call, &by, &note);
            return Ok(());
        }
        let need = leave.map_or(1, |leave| leave.need);
        if need > 1 {
            self.emit(RunEvent::Approved { effect: effect.clone(), by: by.clone(), note: note.clone() });
        }
        if call.allowed_by.len() + 1 >= need as usize {
            self.emit(RunEvent::Unblocked { effect, by, note });
        }
        Ok(())
    }

    /// Returns whether fewer people may approve than must, because one of them is the requester: the call could only
    /// wait forever.
    pub(super) fn lacks_approvers(&self, leave: &Approval) -> bool {
        let able = leave.from.iter().filter(|name| !self.run.is_requested_by(name)).count();
        !leave.from.is_empty() && able < leave.need as usize && leave.until.is_none()
    }

    pub(super) fn no_approver_fault(&self, leave: &Approval) -> Fault {
        let (need, names) = (leave.need, leave.from.join(", "));
        let askers = leave.from.iter().filter(|name| self.run.is_requested_by(name)).map(String::as_str);
        let asker = askers.collect::<Vec<_>>().join("`, `");
        let message = format!(
            "{need} of {names} must allow it, and nobody allows what they asked for themselves: `{asker}` did; name more \
             approvers, or have somebody else ask"
        );
        Fault::new(code::REJECTED, message)
    }

    fn reject_approval(&mut self, effect: &EffectId, call: &OpenCall, by: &str, note: &str) {
        let why = if note.is_empty() { String::new() } else { format!(": {note}") };
        let fault = Fault::new(code::REJECTED, format!("`{by}` did not allow the call{why}")).decided_by(by);
        if call.unknown {
            // It may have acted before the approval was requested.
            self.emit(RunEvent::Doubted { effect: effect.clone(), fault, next: DoubtFollowUp::Person });
            return;
        }
        self.reject_call(effect, call, fault);
    }

    /// Applies the deadline decision to all overdue approvals and questions.
    pub fn expire_approvals(&mut self) {
        for effect in self.run.expired_approvals(self.now).collect::<Vec<_>>() {
            let Ok(call) = self.open_call(&effect).cloned() else { continue };
            if call.awaits_answer() {
                self.expire_question(effect);
                continue;
            }
            let CallProgress::Blocked(BlockReason::Approval(leave)) = &call.progress else { continue };
            match leave.then {
                OnExpiry::Reject => self.reject_approval(&effect, &call, DEADLINE_ACTOR, "nobody decided in time"),
                OnExpiry::Approve => {
                    self.emit(RunEvent::Unblocked { effect, by: DEADLINE_ACTOR.to_owned(), note: String::new() });
                }
            }
            self.advance();
        }
    }
}
