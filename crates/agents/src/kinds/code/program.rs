//! A Python step: started, paused at its tool calls, resumed with their results, and replayed if its pause cannot
//! be restored.

use std::collections::BTreeMap;

use baton_core::agent::{AgentStep, ProgramOutcome, ProgramSnapshot, SandboxProgram, ToolRequest};
use baton_core::fault::Fault;
use baton_core::tool::ToolEnvelope;
use serde_json::{Value, json};

use crate::kinds::chain::{ThoughtChain, ToolObservation};
use crate::kinds::result;

/// The sandbox's error code for a program that made different calls when it was replayed.
const DIFFERS: &str = "CODE_DIFFERS";

/// The state of a program.
pub(super) struct ProgramRun {
    source: String,
    inputs: BTreeMap<String, Value>,
    tools: Vec<String>,
    /// Every call the program made, with its result.
    made: Vec<(ToolRequest, ToolEnvelope)>,
    printed: String,
    position: ProgramPosition,
}

enum ProgramPosition {
    Begin,
    /// The program waits for the results of these calls.
    Calls {
        calls: Vec<ToolRequest>,
        snapshot: ProgramSnapshot,
    },
    Resume {
        snapshot: ProgramSnapshot,
        results: Vec<ToolEnvelope>,
    },
    Replay,
}

/// The outcome of running the program once.
pub(super) enum ProgramProgress {
    /// The program has not ended.
    Running,
    Done(Value),
    Failed(Value),
    /// The replay made different calls, so the program's results cannot be trusted.
    Broken(Fault),
}

impl ProgramRun {
    pub fn of(source: String, inputs: BTreeMap<String, Value>, tools: Vec<String>) -> Self {
        Self { source, inputs, tools, made: Vec::new(), printed: String::new(), position: ProgramPosition::Begin }
    }

    pub fn next(self) -> AgentStep {
        let Self { source, inputs, tools, made: calls, .. } = self;
        match self.position {
            ProgramPosition::Begin => AgentStep::RunCode(SandboxProgram::Start { source, inputs, tools }),
            ProgramPosition::Calls { calls, .. } => AgentStep::RequestTools(calls),
            ProgramPosition::Resume { snapshot, results } => {
                AgentStep::RunCode(SandboxProgram::Resume { snapshot, results })
            }
            ProgramPosition::Replay => AgentStep::RunCode(SandboxProgram::Replay { source, inputs, tools, calls }),
        }
    }

    /// Takes the results of the calls that the program waits for, in their order.
    pub fn results(&mut self, results: &[(String, ToolEnvelope)], chain: &mut ThoughtChain) {
        let ProgramPosition::Calls { calls, snapshot } = std::mem::replace(&mut self.position, ProgramPosition::Replay)
        else {
            return;
        };
        let results: Vec<ToolEnvelope> = results.iter().map(|(_, result)| result.clone()).collect();
        for (call, envelope) in calls.iter().zip(&results) {
            let seen = result::tool_observation(envelope);
            chain.add_action("", ToolObservation { action: &call.tool, input: &call.arguments, result: &seen });
        }
        self.made.extend(calls.into_iter().zip(results.iter().cloned()));
        self.position = ProgramPosition::Resume { snapshot, results };
    }

    pub fn ran(&mut self, ran: &ProgramOutcome) -> ProgramProgress {
        match ran {
            ProgramOutcome::Finished { output, printed } => {
                self.printed.push_str(printed);
                // The result of a program that only prints is what it printed.
                ProgramProgress::Done(match output {
                    Value::Null if !self.printed.is_empty() => Value::String(std::mem::take(&mut self.printed)),
                    output => output.clone(),
                })
            }
            ProgramOutcome::Calls { calls, snapshot, printed } => {
                self.printed.push_str(printed);
                self.position = ProgramPosition::Calls { calls: calls.clone(), snapshot: snapshot.clone() };
                ProgramProgress::Running
            }
            ProgramOutcome::Failed { fault, .. } if fault.code == DIFFERS => ProgramProgress::Broken(fault.clone()),
            ProgramOutcome::Failed { fault, printed } => {
                self.printed.push_str(printed);
                ProgramProgress::Failed(
                    json!({"error_code": fault.code, "error": fault.message, "printed": self.printed}),
                )
            }
            ProgramOutcome::Stale => {
                self.printed.clear();
                self.position = ProgramPosition::Replay;
                ProgramProgress::Running
            }
        }
    }

    /// Adds the step's entry to the chain, once the program ended.
    pub fn add_to_chain(&self, thought: &str, seen: &Value, chain: &mut ThoughtChain) {
        let input = json!({"code": self.source});
        chain.add_action(thought, ToolObservation { action: "python", input: &input, result: seen });
    }
}
