//! Leave that people give: asked of as many as were to be asked, never of who asked for the call, for exactly what goes out.

use std::collections::{BTreeMap, BTreeSet};

use baton_core::id::RunId;
use baton_core::run::{Block, DEADLINE, EffectId, Event, Lapse, Leave};
use baton_core::time::Time;
use baton_engine::owner::Send;

use super::{Violation, broken};

#[derive(Debug, Default)]
pub struct Leaves {
    asked: BTreeMap<EffectId, Asked>,
    /// Whoever started the run.
    requester: Option<String>,
}

#[derive(Debug)]
struct Asked {
    leave: Leave,
    yes: BTreeSet<String>,
    is_given: bool,
}

impl Leaves {
    pub fn recorded(&mut self, run: &RunId, at: Time, event: &Event) -> Result<(), Violation> {
        match event {
            Event::Started(started) => {
                self.requester.clone_from(&started.caller.user_id);
                Ok(())
            }
            Event::Blocked { effect, by: Block::Approval(leave) } => {
                let asked = Asked { leave: (**leave).clone(), yes: BTreeSet::new(), is_given: false };
                match self.asked.insert(effect.clone(), asked) {
                    Some(before) if before.is_given && before.leave.hash == leave.hash => {
                        broken("leave", format!("{effect} of `{run}` was allowed, and the same is asked again"))
                    }
                    _ => Ok(()),
                }
            }
            Event::Approved { effect, by, .. } => {
                let Some(asked) = self.asked.get_mut(effect).filter(|asked| !asked.is_given) else {
                    return broken("leave", format!("`{by}` allowed {effect} of `{run}`, and nobody was asked"));
                };
                asked.says_yes(self.requester.as_deref(), run, effect, by)?;
                match asked.yes.insert(by.clone()) {
                    true => Ok(()),
                    false => broken("leave", format!("`{by}` counts twice for {effect} of `{run}`")),
                }
            }
            Event::Unblocked { effect, by, .. } => match self.asked.get_mut(effect) {
                Some(asked) => asked.given(self.requester.as_deref(), run, at, effect, by),
                // It waited for a key, or for a budget.
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// What people were asked about goes out once they allowed exactly it.
    pub fn leaves(&self, run: &RunId, send: &Send) -> Result<(), Violation> {
        let Some(asked) = self.asked.get(&send.effect) else { return Ok(()) };
        let effect = &send.effect;
        if !asked.is_given {
            return broken("leave", format!("{effect} of `{run}` goes out, and nobody allowed it yet"));
        }
        match send.approved.as_deref() {
            Some(hash) if hash == asked.leave.hash => Ok(()),
            found => broken(
                "leave",
                format!("{effect} of `{run}` goes out as {found:?}, allowed was {:?}", asked.leave.hash),
            ),
        }
    }
}

impl Asked {
    fn says_yes(&self, requester: Option<&str>, run: &RunId, effect: &EffectId, by: &str) -> Result<(), Violation> {
        if requester == Some(by) {
            return broken("leave", format!("`{by}` asked for {effect} of `{run}`, and allowed it"));
        }
        if !self.leave.from.is_empty() && !self.leave.from.iter().any(|name| name == by) {
            return broken("leave", format!("`{by}` allowed {effect} of `{run}`, and {:?} are asked", self.leave.from));
        }
        Ok(())
    }

    fn given(
        &mut self,
        requester: Option<&str>,
        run: &RunId,
        at: Time,
        effect: &EffectId,
        by: &str,
    ) -> Result<(), Violation> {
        if std::mem::replace(&mut self.is_given, true) {
            return broken("leave", format!("{effect} of `{run}` was allowed twice"));
        }
        if by == DEADLINE {
            let is_over = self.leave.until.is_some_and(|until| until <= at) && self.leave.then == Lapse::Approve;
            return match is_over {
                true => Ok(()),
                false => broken("leave", format!("{effect} of `{run}` was allowed by a deadline: {:?}", self.leave)),
            };
        }
        self.says_yes(requester, run, effect, by)?;
        let people = self.yes.iter().map(String::as_str).chain([by]).collect::<BTreeSet<_>>().len();
        match people >= self.leave.need as usize {
            true => Ok(()),
            false => broken("leave", format!("{effect} of `{run}` was allowed by {people} of {}", self.leave.need)),
        }
    }
}
