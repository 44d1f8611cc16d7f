//! A plan being executed: what is done, what is out, what comes next.

use std::collections::BTreeMap;

use baton_core::agent::{ASK_CUSTOMER, HAND_OVER, Ran, Step, ToolRequest};
use baton_core::expr::Document;
use baton_core::fault::Fault;
use baton_core::structured::extract;
use baton_core::tool::Envelope;
use serde_json::{Map, Value, json};

use super::plan::{Does, Plan, ROOT, STEPS_MAX};
use super::program::{Came, Program};
use crate::kinds::chain::{Chain, Observation};
use crate::kinds::result;

/// Tools that are asked for at once; what else is ready follows.
const TOOLS_AT_ONCE_MAX: usize = 32;
/// Characters of one step's result that the model is shown, so that a plan of [`STEPS_MAX`] still fits a prompt.
const RESULT_CHARS_MAX: usize = 200_000 / STEPS_MAX;

pub(super) struct Execution {
    plan: Plan,
    states: Vec<State>,
    out: Out,
    /// What its programs may call.
    tools: Vec<String>,
    /// A critical step failed: nothing new begins.
    stopped: bool,
}

#[derive(Debug)]
enum State {
    Waiting,
    Done(Value),
    /// With what is known of why.
    Failed(Value),
}

/// What the world was asked, by the places of the steps that asked.
enum Out {
    Nothing,
    Tools(Vec<Called>),
    Question { place: usize, question: String },
    HandOver { reason: String },
    Program(usize, Box<Program>),
}

struct Called {
    place: usize,
    tool: String,
    input: Value,
}

/// A step that may begin, its input filled.
enum Ready {
    Tool(Called),
    Question(String),
    HandOver(String),
    Python(Box<Program>),
}

impl Execution {
    pub fn of(plan: Plan, tools: Vec<String>) -> Self {
        let states = plan.steps.iter().map(|_| State::Waiting).collect();
        Self { plan, states, out: Out::Nothing, tools, stopped: false }
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Begins what may begin, where nothing is out; says whether anything is out then. Tools go together, everything
    /// else by itself: what asks for nothing first, and a hand-over when there is nothing else to do.
    pub fn advance(&mut self) -> bool {
        while matches!(self.out, Out::Nothing) && !self.stopped {
            let ready = self.ready();
            if ready.is_empty() {
                break;
            }
            self.begin(ready);
        }
        !matches!(self.out, Out::Nothing)
    }

    /// Steps whose turn it is.
    fn ready(&self) -> Vec<usize> {
        let is_settled = |place: &usize| !matches!(self.states[*place], State::Waiting);
        let waits = |place: &usize| !is_settled(place) && self.plan.steps[*place].after.iter().all(is_settled);
        (0..self.states.len()).filter(waits).collect()
    }

    fn begin(&mut self, places: Vec<usize>) {
        let mut tools = Vec::new();
        let mut others = Vec::new();
        for place in places {
            match self.fill(place) {
                Ok(Ready::Tool(called)) if tools.len() < TOOLS_AT_ONCE_MAX => tools.push(called),
                Ok(Ready::Tool(_)) => {}
                Ok(other) => others.push((place, other)),
                Err(problem) => {
                    self.fail(place, json!({"error": problem}));
                    return;
                }
            }
        }
        if !tools.is_empty() {
            self.out = Out::Tools(tools);
            return;
        }
        let rank = |ready: &Ready| match ready {
            Ready::Tool(_) => 0,
            Ready::Python(_) => 1,
            Ready::Question(_) => 2,
            Ready::HandOver(_) => 3,
        };
        let first = others.into_iter().min_by_key(|(_, ready)| rank(ready));
        self.out = match first {
            Some((place, Ready::Python(program))) => Out::Program(place, program),
            Some((place, Ready::Question(question))) => Out::Question { place, question },
            Some((_, Ready::HandOver(reason))) => Out::HandOver { reason },
            Some((_, Ready::Tool(called))) => Out::Tools(vec![called]),
            None => Out::Nothing,
        };
    }

    fn fill(&self, place: usize) -> Result<Ready, String> {
        let step = &self.plan.steps[place];
        let names = self.names();
        let input = step.input.render(&Document::timeless(&names)).map_err(|error| error.to_string())?;
        let text = |field: &str| input.get(field).and_then(Value::as_str).map(str::trim).unwrap_or_default().to_owned();
        match &step.does {
            Does::Tool(tool) if tool == ASK_CUSTOMER => match text("question") {
                question if question.is_empty() => Err(format!("`{ASK_CUSTOMER}` needs a `question`")),
                question => Ok(Ready::Question(question)),
            },
            Does::Tool(tool) if tool == HAND_OVER => Ok(Ready::HandOver(text("reason"))),
            Does::Tool(tool) => Ok(Ready::Tool(Called { place, tool: tool.clone(), input })),
            Does::Python(source) => {
                let inputs = match input {
                    Value::Object(fields) => fields.into_iter().collect(),
                    _ => BTreeMap::new(),
                };
                Ok(Ready::Python(Box::new(Program::of(source.clone(), inputs, self.tools.clone()))))
            }
        }
    }

    /// What inputs may name: each settled step as `step_ID`, and as its id alone. One that failed gives null.
    fn names(&self) -> Value {
        let mut names = Map::new();
        for (step, state) in self.plan.steps.iter().zip(&self.states) {
            let given = match state {
                State::Waiting => continue,
                State::Done(output) => output.clone(),
                State::Failed(_) => Value::Null,
            };
            names.insert(format!("{ROOT}{}", step.id), given.clone());
            names.insert(step.id.clone(), given);
        }
        Value::Object(names)
    }

    fn done(&mut self, place: usize, output: Value) {
        self.states[place] = State::Done(output);
    }

    fn fail(&mut self, place: usize, problem: Value) {
        self.states[place] = State::Failed(problem);
        self.stopped |= self.plan.steps[place].critical;
    }

    /// Takes the results of the tools that are out: a step's own, or those that its program called.
    pub fn results(&mut self, results: &[(String, Envelope)], chain: &mut Chain) {
        match std::mem::replace(&mut self.out, Out::Nothing) {
            Out::Tools(called) => {
                for (Called { place, tool, input }, (_, envelope)) in called.iter().zip(results) {
                    let seen = result::told(envelope);
                    let thought = &self.plan.steps[*place].description;
                    chain.acted(thought, Observation { action: tool, input, seen: &seen });
                    match envelope.success {
                        true => self.done(*place, envelope.data.clone()),
                        false => self.fail(*place, seen),
                    }
                }
            }
            Out::Program(place, mut program) => {
                program.results(results, chain);
                self.out = Out::Program(place, program);
            }
            out => self.out = out,
        }
    }

    /// Takes what a program came to.
    ///
    /// # Errors
    /// It was run again over its calls and made others: nothing it does can be trusted.
    pub fn ran(&mut self, ran: &Ran, chain: &mut Chain) -> Result<(), Fault> {
        let (place, mut program) = match std::mem::replace(&mut self.out, Out::Nothing) {
            Out::Program(place, program) => (place, program),
            out => {
                self.out = out;
                return Ok(());
            }
        };
        let thought = self.plan.steps[place].description.clone();
        match program.ran(ran) {
            Came::On => self.out = Out::Program(place, program),
            Came::Done(output) => {
                program.tell(&thought, &output, chain);
                self.done(place, output);
            }
            Came::Failed(problem) => {
                program.tell(&thought, &problem, chain);
                self.fail(place, problem);
            }
            Came::Broken(fault) => return Err(fault),
        }
        Ok(())
    }

    /// Takes the customer's answer.
    pub fn said(&mut self, text: &str, chain: &mut Chain) {
        match std::mem::replace(&mut self.out, Out::Nothing) {
            Out::Question { place, question } => {
                let (input, seen) = (json!({"question": question}), Value::String(text.to_owned()));
                let thought = &self.plan.steps[place].description;
                chain.acted(thought, Observation { action: ASK_CUSTOMER, input: &input, seen: &seen });
                self.done(place, seen);
            }
            out => self.out = out,
        }
    }

    /// What came of each step, as the model and memory are told.
    pub fn report(&self) -> Value {
        let row = |(step, state): (&super::plan::Step, &State)| {
            let (status, result) = match state {
                State::Waiting => ("not run", Value::Null),
                State::Done(output) => ("done", shown(output)),
                State::Failed(problem) => ("failed", shown(problem)),
            };
            json!({"id": step.id, "description": step.description, "status": status, "result": result})
        };
        self.plan.steps.iter().zip(&self.states).map(row).collect()
    }

    /// What each step that is done gave, by id.
    pub fn outputs(&self) -> Value {
        let done = |(step, state): (&super::plan::Step, &State)| match state {
            State::Done(output) => Some((step.id.clone(), output.clone())),
            State::Waiting | State::Failed(_) => None,
        };
        Value::Object(self.plan.steps.iter().zip(&self.states).filter_map(done).collect())
    }

    pub fn next(self) -> Step {
        match self.out {
            Out::Tools(called) => {
                let steps = &self.plan.steps;
                let request = |Called { place, tool, input }: Called| ToolRequest {
                    id: format!("{ROOT}{}", steps[place].id),
                    tool,
                    arguments: input,
                };
                Step::RequestTools(called.into_iter().map(request).collect())
            }
            Out::Program(_, program) => program.next(),
            Out::Question { question, .. } => Step::AskCustomer { question },
            Out::HandOver { reason } if reason.is_empty() => {
                Step::HandOver { reason: "the agent gave no reason".to_owned() }
            }
            Out::HandOver { reason } => Step::HandOver { reason },
            // Not reached: an execution with nothing out is over, and the model is asked what to think of it.
            Out::Nothing => Step::GiveUp(Fault::new(crate::code::PLAN_INVALID, "nothing of the plan can be executed")),
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
