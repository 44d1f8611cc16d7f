//! `code`: plans, executes the plan, reflects on what came of it, and tries again.
//!
//! The whole life is one fold over what the agent has seen. A plan's steps call tools, or are Python that runs in the
//! sandbox and may call tools itself; what waits for nothing goes out together. One transcript holds all attempts: the
//! plan, what was said of it, the next plan. Where the agent may ask for `similar_executions` it does so before it
//! plans, and where it may ask for `record_execution` it does so before it ends.

mod dialogue;
mod execution;
mod memory;
mod order;
mod plan;
mod program;
mod reflection;

use baton_core::agent::{ATTEMPTS_DEFAULT, ATTEMPTS_MAX, ITERATIONS_MAX, Ran, Seen, Step, Task};
use baton_core::fault::Fault;
use baton_core::model::Reply;
use baton_core::structured::Schema;
use baton_core::tool::Envelope;
use serde_json::{Map, Value, json};

use self::dialogue::Dialogue;
use self::execution::Execution;
use self::plan::Plan;
use self::reflection::Reflection;
use super::chain::Chain;
use super::offers::Offers;
use crate::fault::code;
use crate::prompt::Name;
use crate::schema;

pub(crate) fn step(task: &Task, seen: &[Seen]) -> Step {
    let mut coding = match Coding::begin(task) {
        Ok(coding) => coding,
        Err(fault) => return Step::GiveUp(fault),
    };
    for item in seen {
        if let Err(last) = coding.see(item) {
            return *last;
        }
    }
    coding.next()
}

struct Coding<'t> {
    task: &'t Task,
    /// What plans may use: tools, and the outcomes that look like tools.
    offers: Offers,
    schema: Option<Schema>,
    dialogue: Dialogue<'t>,
    chain: Chain,
    iterations: u32,
    attempt: u32,
    phase: Phase,
}

/// What is waited for.
enum Phase {
    /// Similar executions.
    Recall,
    /// A plan of the model's.
    Plan,
    /// The world, as the plan goes on.
    Execute(Execution),
    /// The model's word on what came of it.
    Reflect(Execution),
    /// That the execution is remembered; then this.
    Record { asked: Value, last: Box<Step> },
}

/// The last step, where something seen leads to it.
type Seeing = Result<(), Box<Step>>;

fn end(fault: Fault) -> Box<Step> {
    Box::new(Step::GiveUp(fault))
}

impl<'t> Coding<'t> {
    fn begin(task: &'t Task) -> Result<Self, Fault> {
        let mut coding = Self {
            task,
            offers: memory::without(Offers::to(task)),
            schema: schema::of(&task.agent)?,
            dialogue: Dialogue::open(task),
            chain: Chain::default(),
            iterations: 0,
            attempt: 1,
            phase: Phase::Recall,
        };
        if !memory::recalls(task) {
            coding.ask_for_plan(&Value::Null)?;
        }
        Ok(coding)
    }

    fn see(&mut self, item: &Seen) -> Seeing {
        match item {
            Seen::Replied(reply) => self.reply(reply),
            Seen::ModelFailed(fault) => Err(end(fault.clone())),
            Seen::Tools(results) => self.results(results),
            Seen::Ran(ran) => self.ran(ran),
            Seen::Said(text) => self.said(text),
        }
    }

    fn ask_for_plan(&mut self, similar: &Value) -> Result<(), Fault> {
        let values = json!({"goal": self.task.prompt, "tools": self.offers.shown(), "similar_plans": similar});
        self.dialogue.ask(Name::Plan, &values)?;
        self.phase = Phase::Plan;
        Ok(())
    }

    fn reply(&mut self, reply: &Reply) -> Seeing {
        self.iterations = self.iterations.saturating_add(1);
        match std::mem::replace(&mut self.phase, Phase::Plan) {
            Phase::Plan => match Plan::read(reply, &self.offers) {
                Ok(plan) => {
                    self.dialogue.answered(reply);
                    self.chain.said(&plan.said());
                    self.phase = Phase::Execute(Execution::of(plan, self.offers.names()));
                    self.go_on()
                }
                Err(unusable) => self.dialogue.correct(reply, unusable).map_err(end),
            },
            Phase::Reflect(execution) => match Reflection::read(reply, self.schema.as_ref()) {
                Ok(reflection) => {
                    self.dialogue.answered(reply);
                    self.reflected(&execution, reflection)
                }
                Err(unusable) => {
                    self.phase = Phase::Reflect(execution);
                    self.dialogue.correct(reply, unusable).map_err(end)
                }
            },
            // Nobody asked the model.
            phase @ (Phase::Recall | Phase::Execute(_) | Phase::Record { .. }) => {
                self.phase = phase;
                Ok(())
            }
        }
    }

    fn results(&mut self, results: &[(String, Envelope)]) -> Seeing {
        match &mut self.phase {
            Phase::Recall => {
                let similar = memory::recalled(results);
                self.ask_for_plan(&similar).map_err(end)
            }
            Phase::Execute(execution) => {
                execution.results(results, &mut self.chain);
                self.go_on()
            }
            // Whether it could be remembered changes nothing about what was done.
            Phase::Record { last, .. } => Err(last.clone()),
            Phase::Plan | Phase::Reflect(_) => Ok(()),
        }
    }

    fn ran(&mut self, ran: &Ran) -> Seeing {
        let Phase::Execute(execution) = &mut self.phase else { return Ok(()) };
        execution.ran(ran, &mut self.chain).map_err(end)?;
        self.go_on()
    }

    fn said(&mut self, text: &str) -> Seeing {
        let Phase::Execute(execution) = &mut self.phase else { return Ok(()) };
        execution.said(text, &mut self.chain);
        self.go_on()
    }

    /// Lets the execution take its next step; once there is none, the model is asked what to think of it.
    fn go_on(&mut self) -> Seeing {
        match std::mem::replace(&mut self.phase, Phase::Plan) {
            Phase::Execute(mut execution) => {
                if execution.advance() {
                    self.phase = Phase::Execute(execution);
                    return Ok(());
                }
                let schema = self.task.agent.output_schema.as_ref();
                let values = json!({"goal": self.task.prompt, "steps": execution.report(), "schema": schema});
                self.dialogue.ask(Name::Reflect, &values).map_err(end)?;
                self.phase = Phase::Reflect(execution);
            }
            phase => self.phase = phase,
        }
        Ok(())
    }

    fn reflected(&mut self, execution: &Execution, reflection: Reflection) -> Seeing {
        match reflection {
            Reflection::Achieved { output } => {
                self.chain.said("the goal is achieved");
                let last = Step::Answer { output: self.output(execution, output) };
                self.end(execution, true, last)
            }
            Reflection::Failed { reason, suggestions } => {
                self.chain.said(&reason);
                if self.attempt < self.attempts_max() {
                    self.attempt += 1;
                    let goal = &self.task.prompt;
                    let values = json!({"goal": goal, "failure_reason": reason, "suggestions": suggestions});
                    self.dialogue.ask(Name::Replan, &values).map_err(end)?;
                    self.phase = Phase::Plan;
                    return Ok(());
                }
                let (agent, max) = (&self.task.agent.name, self.attempts_max());
                let message = format!(
                    "Max retries exceeded: agent `{agent}` did not achieve its goal in {max} attempts: {reason}"
                );
                self.end(execution, false, Step::GiveUp(Fault::new(code::MAX_RETRIES, message)))
            }
        }
    }

    fn attempts_max(&self) -> u32 {
        self.task.agent.max_retries.unwrap_or(ATTEMPTS_DEFAULT).clamp(1, ATTEMPTS_MAX)
    }

    /// The last step, once the execution is remembered where it can be.
    fn end(&mut self, execution: &Execution, success: bool, last: Step) -> Seeing {
        if !memory::records(self.task) {
            return Err(Box::new(last));
        }
        let asked = memory::execution(self.task, execution, success, self.iterations);
        self.phase = Phase::Record { asked, last: Box::new(last) };
        Ok(())
    }

    /// What the schema asks for stands at the top and wins over a name of ours.
    fn output(&mut self, execution: &Execution, result: Value) -> Value {
        let mut output = match &result {
            Value::Object(fields) if self.schema.is_some() => fields.clone(),
            _ => Map::new(),
        };
        let ours = [
            ("success", Value::Bool(true)),
            ("result", result),
            ("plan", execution.plan().told()),
            ("outputs", execution.outputs()),
            ("reasoning_chain", std::mem::take(&mut self.chain).told()),
            ("iterations", json!(self.iterations)),
            ("attempts", json!(self.attempt)),
        ];
        for (name, value) in ours {
            output.entry(name).or_insert(value);
        }
        Value::Object(output)
    }

    fn next(self) -> Step {
        match self.phase {
            Phase::Recall => memory::ask_for_similar(self.task),
            Phase::Record { asked, .. } => memory::ask_to_record(asked),
            Phase::Execute(execution) => execution.next(),
            Phase::Plan | Phase::Reflect(_) => {
                let max = self.task.agent.max_iterations.unwrap_or(ITERATIONS_MAX).clamp(1, ITERATIONS_MAX);
                if self.iterations >= max {
                    return Step::GiveUp(super::spent(&self.task.agent.name, max));
                }
                Step::AskModel(self.dialogue.request())
            }
        }
    }
}

#[cfg(test)]
mod tests;
