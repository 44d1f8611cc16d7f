//! A step in Python: begun, stopped at its calls, resumed with their results, replayed where its pause cannot be read.

use std::collections::BTreeMap;

use baton_core::agent::{Program as Code, Ran, Snapshot, Step, ToolRequest};
use baton_core::fault::Fault;
use baton_core::tool::Envelope;
use serde_json::{Value, json};

use crate::kinds::chain::{Chain, Observation};
use crate::kinds::result;

/// What the sandbox says of a program that was replayed and made other calls than before.
const DIFFERS: &str = "CODE_DIFFERS";

/// Where a program stands.
pub(super) struct Program {
    source: String,
    inputs: BTreeMap<String, Value>,
    tools: Vec<String>,
    /// Every call it made, with what came of it.
    made: Vec<(ToolRequest, Envelope)>,
    printed: String,
    at: At,
}

enum At {
    Begin,
    /// It waits for these.
    Calls {
        calls: Vec<ToolRequest>,
        snapshot: Snapshot,
    },
    Resume {
        snapshot: Snapshot,
        results: Vec<Envelope>,
    },
    Replay,
}

/// What came of running it.
pub(super) enum Came {
    /// There is more to do.
    On,
    Done(Value),
    Failed(Value),
    /// It is not the program it was: nothing it does can be trusted.
    Broken(Fault),
}

impl Program {
    pub fn of(source: String, inputs: BTreeMap<String, Value>, tools: Vec<String>) -> Self {
        Self { source, inputs, tools, made: Vec::new(), printed: String::new(), at: At::Begin }
    }

    pub fn next(self) -> Step {
        let Self { source, inputs, tools, made: calls, .. } = self;
        match self.at {
            At::Begin => Step::RunCode(Code::Start { source, inputs, tools }),
            At::Calls { calls, .. } => Step::RequestTools(calls),
            At::Resume { snapshot, results } => Step::RunCode(Code::Resume { snapshot, results }),
            At::Replay => Step::RunCode(Code::Replay { source, inputs, tools, calls }),
        }
    }

    /// Takes the results of the calls it waits for, in their order.
    pub fn results(&mut self, results: &[(String, Envelope)], chain: &mut Chain) {
        let At::Calls { calls, snapshot } = std::mem::replace(&mut self.at, At::Replay) else { return };
        let results: Vec<Envelope> = results.iter().map(|(_, result)| result.clone()).collect();
        for (call, envelope) in calls.iter().zip(&results) {
            let seen = result::told(envelope);
            chain.acted("", Observation { action: &call.tool, input: &call.arguments, seen: &seen });
        }
        self.made.extend(calls.into_iter().zip(results.iter().cloned()));
        self.at = At::Resume { snapshot, results };
    }

    pub fn ran(&mut self, ran: &Ran) -> Came {
        match ran {
            Ran::Finished { output, printed } => {
                self.printed.push_str(printed);
                // A program that only prints means what it printed.
                Came::Done(match output {
                    Value::Null if !self.printed.is_empty() => Value::String(std::mem::take(&mut self.printed)),
                    output => output.clone(),
                })
            }
            Ran::Calls { calls, snapshot, printed } => {
                self.printed.push_str(printed);
                self.at = At::Calls { calls: calls.clone(), snapshot: snapshot.clone() };
                Came::On
            }
            Ran::Failed { fault, .. } if fault.code == DIFFERS => Came::Broken(fault.clone()),
            Ran::Failed { fault, printed } => {
                self.printed.push_str(printed);
                Came::Failed(json!({"error_code": fault.code, "error": fault.message, "printed": self.printed}))
            }
            Ran::Stale => {
                self.printed.clear();
                self.at = At::Replay;
                Came::On
            }
        }
    }

    /// The step's entry in the chain, once it ended.
    pub fn tell(&self, thought: &str, seen: &Value, chain: &mut Chain) {
        let input = json!({"code": self.source});
        chain.acted(thought, Observation { action: "python", input: &input, seen });
    }
}
