//! What a code agent says to its model, and is told: plan, reflection, the next plan, each corrected once.

use baton_core::agent::Task;
use baton_core::fault::Fault;
use baton_core::model::{Reply, Request};
use serde_json::Value;

use crate::fault::Unusable;
use crate::prompt::{self, Name};
use crate::transcript::{Transcript, Wants};

/// Unusable replies to one question that are corrected; the next one is the last.
const CORRECTIONS_MAX: u32 = 1;

pub(super) struct Dialogue<'t> {
    task: &'t Task,
    transcript: Transcript,
    corrections: u32,
}

impl<'t> Dialogue<'t> {
    pub fn open(task: &'t Task) -> Self {
        Self { task, transcript: Transcript::under(task.system.clone()), corrections: 0 }
    }

    pub fn ask(&mut self, name: Name, values: &Value) -> Result<(), Fault> {
        self.corrections = 0;
        self.transcript.user(prompt::render(self.task, name, values)?);
        Ok(())
    }

    /// The reply was understood.
    pub fn answered(&mut self, reply: &Reply) {
        self.transcript.assistant(&reply.content);
    }

    pub fn correct(&mut self, reply: &Reply, unusable: Unusable) -> Result<(), Fault> {
        self.corrections += 1;
        if self.corrections > CORRECTIONS_MAX || !unusable.is_correctable() {
            return Err(unusable.fault(&self.task.agent.name));
        }
        self.transcript.correct(self.task, &reply.content, &unusable, Wants::Json)
    }

    pub fn request(self) -> Request {
        self.transcript.request(self.task, Vec::new(), None)
    }
}
