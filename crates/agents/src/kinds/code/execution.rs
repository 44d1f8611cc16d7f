//! The execution of a plan: completed steps, steps in flight, and the next steps.

use std::collections::BTreeMap;

use baton_core::agent::{ASK_CUSTOMER, AgentStep, HAND_OVER, ProgramOutcome, ToolRequest};
use baton_core::fault::Fault;
use baton_core::structured::extract;
use baton_core::tool::ToolEnvelope;
use baton_expr::JsonContext;
use serde_json::{Map, Value, json};

use super::plan::{AgentPlan, PlanAction, ROOT, STEPS_MAX};
use super::program::{ProgramProgress, ProgramRun};
use crate::kinds::chain::{ThoughtChain, ToolObservation};
use crate::kinds::result;

/// Maximum number of tool calls requested at once. Other ready steps follow later.
const TOOLS_AT_ONCE_MAX: usize = 32;
/// Maximum number of characters of one step's result shown to the model, so that the results of a plan with
/// [`STEPS_MAX`] steps still fit a prompt.
const RESULT_CHARS_MAX: usize = 200_000 / STEPS_MAX;

pub(super) struct PlanExecution {
    plan: AgentPlan,
    states: Vec<PlanStepState>,
    waiting_for: PlanWait,
    /// The tools that its programs may call.
    tools: Vec<String>,
    /// A critical step failed, so no new step starts.
    stopped: bool,
}

#[derive(Debug)]
enum PlanStepState {
    Waiting,
    Done(Value),
    /// With what is known about the cause.
    Failed(Value),
}

/// The request in flight, with the indices of the steps that made it.
enum PlanWait {
    Nothing,
    Tools(Vec<PlannedCall>),
    Question { place: usize, question: String },
    HandOver { reason: String },
    Program(usize, Box<ProgramRun>),
}

struct PlannedCall {
    place: usize,
    tool: String,
    input: Value,
}

/// A step that is ready to start, with its input rendered.
enum ReadyStep {
    Tool(PlannedCall),
    Question(String),
    HandOver(String),
    Python(Box<ProgramRun>),
}

impl PlanExecution {
    pub fn of(plan: AgentPlan, tools: Vec<String>) -> Self {
        let states = plan.steps.iter().map(|_| PlanStepState::Waiting).collect();
        Self { plan, states, waiting_for: PlanWait::Nothing, tools, stopped: false }
    }

    pub fn plan(&self) -> &AgentPlan {
        &self.plan
    }

    /// Starts the steps that are ready, if nothing is in flight. Returns whether anything is in flight afterwards.
    /// Tool calls start together; every other step starts alone: programs first, then questions, and a hand-over
    /// only when nothing else is ready.
    pub fn advance(&mut self) -> bool {
        while matches!(self.waiting_for, PlanWait::Nothing) && !self.stopped {
            let ready = self.ready();
            if ready.is_empty() {
                break;
            }
            self.begin(ready);
        }
        !matches!(self.waiting_for, PlanWait::Nothing)
    }

    /// Steps that wait and whose dependencies are all settled.
    fn ready(&self) -> Vec<usize> {
        let is_settled = |place: &usize| !matches!(self.states[*place], PlanStepState::Waiting);
        let waits = |place: &usize| !is_settled(place) && self.plan.steps[*place].after.iter().all(is_settled);
        (0..self.states.len()).filter(waits).collect()
    }

    fn begin(&mut self, places: Vec<usize>) {
        let mut tools = Vec::new();
        let mut others = Vec::new();
        for place in places {
            match self.fill(place) {
                Ok(ReadyStep::Tool(called)) if tools.len() < TOOLS_AT_ONCE_MAX => tools.push(called),
                Ok(ReadyStep::Tool(_)) => {}
                Ok(other) => others.push((place, other)),
                Err(problem) => {
                    self.fail(place, json!({"error": problem}));
                    return;
                }
            }
        }
        if !tools.is_empty() {
            self.waiting_for = PlanWait::Tools(tools);
            return;
        }
        let rank = |ready: &ReadyStep| match ready {
            ReadyStep::Tool(_) => 0,
            ReadyStep::Python(_) => 1,
            ReadyStep::Question(_) => 2,
            ReadyStep::HandOver(_) => 3,
        };
        let first = others.into_iter().min_by_key(|(_, ready)| rank(ready));
        self.waiting_for = match first {
            Some((place, ReadyStep::Python(program))) => PlanWait::Program(place, program),
            Some((place, ReadyStep::Question(question))) => PlanWait::Question { place, question },
            Some((_, ReadyStep::HandOver(reason))) => PlanWait::HandOver { reason },
            Some((_, ReadyStep::Tool(called))) => PlanWait::Tools(vec![called]),
            None => PlanWait::Nothing,
        };
    }

    fn fill(&self, place: usize) -> Result<ReadyStep, String> {
        let step = &self.plan.steps[place];
        let names = self.names();
        let input = step.input.render(&JsonContext::timeless(&names)).map_err(|error| error.to_string())?;
        let text = |field: &str| input.get(field).and_then(Value::as_str).map(str::trim).unwrap_or_default().to_owned();
        match &step.action {
            PlanAction::Tool(tool) if tool == ASK_CUSTOMER => match text("question") {
                question if question.is_empty() => Err(format!("`{ASK_CUSTOMER}` needs a `question`")),
                question => Ok(ReadyStep::Question(question)),
            },
            PlanAction::Tool(tool) if tool == HAND_OVER => Ok(ReadyStep::HandOver(text("reason"))),
            PlanAction::Tool(tool) => Ok(ReadyStep::Tool(PlannedCall { place, tool: tool.clone(), input })),
            PlanAction::Python(source) => {
                let inputs = match input {
                    Value::Object(fields) => fields.into_iter().collect(),
                    _ => BTreeMap::new(),
                };
                Ok(ReadyStep::Python(Box::new(ProgramRun::of(source.clone(), inputs, self.tools.clone()))))
            }
        }
    }

    /// The names available to inputs: each settled step as `step_ID`, and under its id alone. A failed step is
    /// null.
    fn names(&self) -> Value {
        let mut names = Map::new();
        for (step, state) in self.plan.steps.iter().zip(&self.states) {
            let given = match state {
                PlanStepState::Waiting => continue,
                PlanStepState::Done(output) => output.clone(),
                PlanStepState::Failed(_) => Value::Null,
            };
            names.insert(format!("{ROOT}{}", step.id), given.clone());
            names.insert(step.id.clone(), given);
        }
        Value::Object(names)
    }

    fn done(&mut self, place: usize, output: Value) {
        self.states[place] = PlanStepState::Done(output);
    }

    fn fail(&mut self, place: usize, problem: Value) {
        self.states[place] = PlanStepState::Failed(problem);
        self.stopped |= self.plan.steps[place].critical;
    }

    /// Takes the results of the tool calls in flight: those of steps, or those made by a program.
    pub fn results(&mut self, results: &[(String, ToolEnvelope)], chain: &mut ThoughtChain) {
        match std::mem::replace(&mut self.waiting_for, PlanWait::Nothing) {
            PlanWait::Tools(called) => {
                for (PlannedCall { place, tool, input }, (_, envelope)) in called.iter().zip(results) {
                    let seen = result::tool_observation(envelope);
                    let thought = &self.plan.steps[*place].description;
                    chain.add_action(thought, ToolObservation { action: tool, input, result: &seen });
                    match envelope.success {
                        true => self.done(*place, envelope.data.clone()),
                        false => self.fail(*place, seen),
                    }
                }
            }
            PlanWait::Program(place, mut program) => {
                program.results(results, chain);
                self.waiting_for = PlanWait::Program(place, program);
            }
            out => self.waiting_for = out,
        }
    }

    /// Takes the outcome of a program.
    ///
    /// # Errors
    /// The program was replayed and made different calls, so its results cannot be trusted.
    pub fn ran(&mut self, ran: &ProgramOutcome, chain: &mut ThoughtChain) -> Result<(), Fault> {
        let (place, mut program) = match std::mem::replace(&mut self.waiting_for, PlanWait::Nothing) {
            PlanWait::Program(place, program) => (place, program),
            out => {
                self.waiting_for = out;
                return Ok(());
            }
        };
        let thought = self.plan.steps[place].description.clone();
        match program.ran(ran) {
            ProgramProgress::Running => self.waiting_for = PlanWait::Program(place, program),
            ProgramProgress::Done(output) => {
                program.add_to_chain(&thought, &output, chain);
                self.done(place, output);
            }
            ProgramProgress::Failed(problem) => {
                program.add_to_chain(&thought, &problem, chain);
                self.fail(place, problem);
            }
            ProgramProgress::Broken(fault) => return Err(fault),
        }
        Ok(())
    }

    /// Takes the customer's answer.
    pub fn add_answer(&mut self, text: &str, chain: &mut ThoughtChain) {
        match std::mem::replace(&mut self.waiting_for, PlanWait::Nothing) {
            PlanWait::Question { place, question } => {
                let (input, seen) = (json!({"question": question}), Value::String(text.to_owned()));
                let thought = &self.plan.steps[place].description;
                chain.add_action(thought, ToolObservation { action: ASK_CUSTOMER, input: &input, result: &seen });
                self.done(place, seen);
            }
            out => self.waiting_for = out,
        }
    }

    /// The outcome of each step, as it is reported to the model and to memory.
    pub fn report(&self) -> Value {
        let row = |(step, state): (&super::plan::PlanStep, &PlanStepState)| {
            let (status, result) = match state {
                PlanStepState::Waiting => ("not run", Value::Null),
                PlanStepState::Done(output) => ("done", shown(output)),
                PlanStepState::Failed(problem) => ("failed", shown(problem)),
            };
            json!({"id": step.id, "description": step.description, "status": status, "result": result})
        };
        self.plan.steps.iter().zip(&self.states).map(row).collect()
    }

    /// The output of each completed step, by id.
    pub fn outputs(&self) -> Value {
        let done = |(step, state): (&super::plan::PlanStep, &PlanStepState)| match state {
            PlanStepState::Done(output) => Some((step.id.clone(), output.clone())),
            PlanStepState::Waiting | PlanStepState::Failed(_) => None,
        };
        Value::Object(self.plan.steps.iter().zip(&self.states).filter_map(done).collect())
    }

    pub fn next(self) -> AgentStep {
        match self.waiting_for {
            PlanWait::Tools(called) => {
                let steps = &self.plan.steps;
                let request = |PlannedCall { place, tool, input }: PlannedCall| ToolRequest {
                    id: format!("{ROOT}{}", steps[place].id),
                    tool,
                    arguments: input,
                };
                AgentStep::RequestTools(called.into_iter().map(request).collect())
            }
            PlanWait::Program(_, program) => program.next(),
            PlanWait::Question { question, .. } => AgentStep::AskCustomer { question },
            PlanWait::HandOver { reason } if reason.is_empty() => {
                AgentStep::HandOver { reason: "the agent gave no reason".to_owned() }
            }
            PlanWait::HandOver { reason } => AgentStep::HandOver { reason },
            // Not reached: an execution with nothing in flight has ended, and the model is asked to reflect.
            PlanWait::Nothing => {
                AgentStep::GiveUp(Fault::new(crate::code::PLAN_INVALID, "nothing of the plan can be executed"))
            }
        }
    }
}

fn shown(value: &Value) -> Value {
    let text = value.to_string();
    if text.chars().count() <= RESULT_CHARS_MAX {
        value.clone()
    } else {
        Value::String(extract::clip(&text, RESULT_CHARS_MAX))
    }
}
