//! One model call whose reply is repaired once. Shared by `simple` agents and tool selection.

use baton_core::agent::{AgentObservation, AgentStep, AgentTask};
use baton_core::model::{FinishReason, ModelReply};
use baton_core::structured::CORRECTIONS_MAX;
use serde_json::Value;

use crate::fault::{ReplyError, code};
use crate::transcript::{CorrectionKind, PromptTranscript};

/// The request, and how its reply is parsed.
pub(crate) struct OneShot<'a> {
    pub system: String,
    /// Sent along for providers that enforce it.
    pub schema: Option<Value>,
    /// The correction that the model is asked for after an unusable reply.
    pub correction: CorrectionKind,
    pub read: &'a dyn Fn(&ModelReply) -> Result<Value, ReplyError>,
}

impl OneShot<'_> {
    pub fn step(self, task: &AgentTask, seen: &[AgentObservation]) -> AgentStep {
        let mut transcript = PromptTranscript::open(self.system, &task.prompt);
        let mut corrections = 0;
        for item in seen {
            match item {
                AgentObservation::Replied(reply) => match check(reply).and_then(|()| (self.read)(reply)) {
                    Ok(output) => return AgentStep::Answer { output },
                    Err(unusable) if unusable.is_correctable() && corrections < CORRECTIONS_MAX => {
                        corrections += 1;
                        if let Err(fault) = transcript.correct(task, &reply.content, &unusable, self.correction) {
                            return AgentStep::GiveUp(fault);
                        }
                    }
                    Err(unusable) => return AgentStep::GiveUp(unusable.fault(&task.agent.name)),
                },
                AgentObservation::ModelFailed(fault) => return AgentStep::GiveUp(fault.clone()),
                AgentObservation::Said(message) => transcript.user(message),
                // This agent requests neither tools nor programs, so these observations answer nothing.
                AgentObservation::Tools(_) | AgentObservation::Ran(_) => {}
            }
        }
        AgentStep::AskModel(transcript.request(task, Vec::new(), self.schema))
    }
}

/// Checks that the provider reports the reply as complete.
pub(crate) fn check(reply: &ModelReply) -> Result<(), ReplyError> {
    match reply.finish {
        FinishReason::Stop | FinishReason::ToolCalls => Ok(()),
        FinishReason::Length => Err(ReplyError::new(code::REPLY_TRUNCATED, "the reply was cut off at the token limit")),
        FinishReason::Filtered => {
            Err(ReplyError::new(code::REPLY_REFUSED, "the model or its provider refused to answer"))
        }
    }
}
