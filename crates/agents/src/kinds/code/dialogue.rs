//! The dialogue of a code agent with its model: plan, reflection, next plan, each corrected once.

use baton_core::agent::AgentTask;
use baton_core::fault::Fault;
use baton_core::model::{ModelReply, ModelRequest};
use serde_json::Value;

use crate::fault::ReplyError;
use crate::prompt::{self, PromptName};
use crate::transcript::{CorrectionKind, PromptTranscript};

/// Maximum number of unusable replies to one question that are corrected. The next unusable reply ends the agent.
const CORRECTIONS_MAX: u32 = 1;

pub(super) struct PlanDialogue<'t> {
    task: &'t AgentTask,
    transcript: PromptTranscript,
    corrections: u32,
}

impl<'t> PlanDialogue<'t> {
    pub fn open(task: &'t AgentTask) -> Self {
        Self { task, transcript: PromptTranscript::with_system(task.system.clone()), corrections: 0 }
    }

    pub fn ask(&mut self, name: PromptName, values: &Value) -> Result<(), Fault> {
        self.corrections = 0;
        self.transcript.user(prompt::render(self.task, name, values)?);
        Ok(())
    }

    /// Records a reply that was understood.
    pub fn add_reply(&mut self, reply: &ModelReply) {
        self.transcript.assistant(&reply.content);
    }

    pub fn correct(&mut self, reply: &ModelReply, unusable: ReplyError) -> Result<(), Fault> {
        self.corrections += 1;
        if self.corrections > CORRECTIONS_MAX || !unusable.is_correctable() {
            return Err(unusable.fault(&self.task.agent.name));
        }
        self.transcript.correct(self.task, &reply.content, &unusable, CorrectionKind::Json)
    }

    pub fn request(self) -> ModelRequest {
        self.transcript.request(self.task, Vec::new(), None)
    }
}
