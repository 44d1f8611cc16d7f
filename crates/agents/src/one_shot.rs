//! One model call whose reply is repaired once: what `simple` agents and tool selection share.

use baton_core::agent::{Seen, Step, Task};
use baton_core::model::{Finish, Reply};
use baton_core::structured::CORRECTIONS_MAX;
use serde_json::Value;

use crate::fault::{Unusable, code};
use crate::transcript::{Transcript, Wants};

/// What is asked, and how its reply is read.
pub(crate) struct OneShot<'a> {
    pub system: String,
    /// Sent along for providers that enforce it.
    pub schema: Option<Value>,
    /// What the model is asked for after a reply that cannot be used.
    pub again: Wants,
    pub read: &'a dyn Fn(&Reply) -> Result<Value, Unusable>,
}

impl OneShot<'_> {
    pub fn step(self, task: &Task, seen: &[Seen]) -> Step {
        let mut transcript = Transcript::open(self.system, &task.prompt);
        let mut corrections = 0;
        for item in seen {
            match item {
                Seen::Replied(reply) => match check(reply).and_then(|()| (self.read)(reply)) {
                    Ok(output) => return Step::Answer { output },
                    Err(unusable) if unusable.is_correctable() && corrections < CORRECTIONS_MAX => {
                        corrections += 1;
                        if let Err(fault) = transcript.correct(task, &reply.content, &unusable, self.again) {
                            return Step::GiveUp(fault);
                        }
                    }
                    Err(unusable) => return Step::GiveUp(unusable.fault(&task.agent.name)),
                },
                Seen::ModelFailed(fault) => return Step::GiveUp(fault.clone()),
                Seen::Said(message) => transcript.user(message),
                // It asked for neither, so there is nothing these could answer.
                Seen::Tools(_) | Seen::Ran(_) => {}
            }
        }
        Step::AskModel(transcript.request(task, Vec::new(), self.schema))
    }
}

/// Whether the provider says that the reply is whole.
pub(crate) fn check(reply: &Reply) -> Result<(), Unusable> {
    match reply.finish {
        Finish::Stop | Finish::ToolCalls => Ok(()),
        Finish::Length => Err(Unusable::new(code::REPLY_TRUNCATED, "the reply was cut off at the token limit")),
        Finish::Filtered => Err(Unusable::new(code::REPLY_REFUSED, "the model or its provider refused to answer")),
    }
}
