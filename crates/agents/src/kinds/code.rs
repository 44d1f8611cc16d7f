//! `code` agents: plan, execute the plan, reflect on the result, and try again.
//!
//! The whole life cycle is one fold over the agent's observations. The steps of a plan call tools, or are Python
//! that runs in the sandbox and may call tools itself. Steps without unmet dependencies are dispatched together.
//! One transcript holds all attempts: the plan, the reflection on it, the next plan. If the agent has the tool
//! `similar_executions`, it calls it before planning; if it has `record_execution`, it calls it before it ends.

mod cycle;
mod dialogue;
mod execution;
mod memory;
mod plan;
mod program;
mod reflection;

use baton_core::agent::{
    ATTEMPTS_DEFAULT, ATTEMPTS_MAX, AgentObservation, AgentStep, AgentTask, ITERATIONS_MAX, ProgramOutcome,
};
use baton_core::fault::Fault;
use baton_core::model::ModelReply;
use baton_core::structured::ReplySchema;
use baton_core::tool::ToolEnvelope;
use serde_json::{Map, Value, json};

use self::dialogue::PlanDialogue;
use self::execution::PlanExecution;
use self::plan::AgentPlan;
use self::reflection::PlanReflection;
use super::chain::ThoughtChain;
use super::offers::ToolOffers;
use crate::fault::code;
use crate::prompt::PromptName;
use crate::schema;

pub(crate) fn step(task: &AgentTask, seen: &[AgentObservation]) -> AgentStep {
    let mut coding = match CodingAgent::begin(task) {
        Ok(coding) => coding,
        Err(fault) => return AgentStep::GiveUp(fault),
    };
    for item in seen {
        if let Err(last) = coding.fold(item) {
            return *last;
        }
    }
    coding.next()
}

struct CodingAgent<'t> {
    task: &'t AgentTask,
    /// What plans may use: tools, and the outcomes that look like tools.
    offers: ToolOffers,
    schema: Option<ReplySchema>,
    dialogue: PlanDialogue<'t>,
    chain: ThoughtChain,
    iterations: u32,
    attempt: u32,
    phase: CodingPhase,
}

/// The phase of a code agent, by what it waits for.
enum CodingPhase {
    /// Waits for similar executions.
    Recall,
    /// Waits for a plan of the model.
    Plan,
    /// Waits for the results of the plan's steps.
    Execute(PlanExecution),
    /// Waits for the model's reflection on the result.
    Reflect(PlanExecution),
    /// Waits until the execution is recorded; `last` is the step that follows.
    Record { asked: Value, last: Box<AgentStep> },
}

/// The error is the last step, if the observation leads to it.
type PhaseResult = Result<(), Box<AgentStep>>;

fn end(fault: Fault) -> Box<AgentStep> {
    Box::new(AgentStep::GiveUp(fault))
}

impl<'t> CodingAgent<'t> {
    fn begin(task: &'t AgentTask) -> Result<Self, Fault> {
        let mut coding = Self {
            task,
            offers: memory::without(ToolOffers::to(task)),
            schema: schema::of(&task.agent)?,
            dialogue: PlanDialogue::open(task),
            chain: ThoughtChain::default(),
            iterations: 0,
            attempt: 1,
            phase: CodingPhase::Recall,
        };
        if !memory::recalls(task) {
            coding.ask_for_plan(&Value::Null)?;
        }
        Ok(coding)
    }

    fn fold(&mut self, item: &AgentObservation) -> PhaseResult {
        match item {
            AgentObservation::Replied(reply) => self.reply(reply),
            AgentObservation::ModelFailed(fault) => Err(end(fault.clone())),
            AgentObservation::Tools(results) => self.results(results),
            AgentObservation::Ran(ran) => self.ran(ran),
            AgentObservation::Said(text) => self.add_answer(text),
        }
    }

    fn ask_for_plan(&mut self, similar: &Value) -> Result<(), Fault> {
        let values = json!({"goal": self.task.prompt, "tools": self.offers.as_json(), "similar_plans": similar});
        self.dialogue.ask(PromptName::Plan, &values)?;
        self.phase = CodingPhase::Plan;
        Ok(())
    }

    fn reply(&mut self, reply: &ModelReply) -> PhaseResult {
        self.iterations = self.iterations.saturating_add(1);
        match std::mem::replace(&mut self.phase, CodingPhase::Plan) {
            CodingPhase::Plan => match AgentPlan::read(reply, &self.offers) {
                Ok(plan) => {
                    self.dialogue.add_reply(reply);
                    self.chain.add_thought(&plan.as_text());
                    self.phase = CodingPhase::Execute(PlanExecution::of(plan, self.offers.names()));
                    self.advance()
                }
                Err(unusable) => self.dialogue.correct(reply, unusable).map_err(end),
            },
            CodingPhase::Reflect(execution) => match PlanReflection::read(reply, self.schema.as_ref()) {
                Ok(reflection) => {
                    self.dialogue.add_reply(reply);
                    self.apply_reflection(&execution, reflection)
                }
                Err(unusable) => {
                    self.phase = CodingPhase::Reflect(execution);
                    self.dialogue.correct(reply, unusable).map_err(end)
                }
            },
            // The model was not asked in this phase.
            phase @ (CodingPhase::Recall | CodingPhase::Execute(_) | CodingPhase::Record { .. }) => {
                self.phase = phase;
                Ok(())
            }
        }
    }

    fn results(&mut self, results: &[(String, ToolEnvelope)]) -> PhaseResult {
        match &mut self.phase {
            CodingPhase::Recall => {
                let similar = memory::similar_executions(results);
                self.ask_for_plan(&similar).map_err(end)
            }
            CodingPhase::Execute(execution) => {
                execution.results(results, &mut self.chain);
                self.advance()
            }
            // Whether the execution was recorded does not change its result.
            CodingPhase::Record { last, .. } => Err(last.clone()),
            CodingPhase::Plan | CodingPhase::Reflect(_) => Ok(()),
        }
    }

    fn ran(&mut self, ran: &ProgramOutcome) -> PhaseResult {
        let CodingPhase::Execute(execution) = &mut self.phase else { return Ok(()) };
        execution.ran(ran, &mut self.chain).map_err(end)?;
        self.advance()
    }

    fn add_answer(&mut self, text: &str) -> PhaseResult {
        let CodingPhase::Execute(execution) = &mut self.phase else { return Ok(()) };
        execution.add_answer(text, &mut self.chain);
        self.advance()
    }

    /// Advances the execution to its next step. After the last step, the model is asked to reflect.
    fn advance(&mut self) -> PhaseResult {
        match std::mem::replace(&mut self.phase, CodingPhase::Plan) {
            CodingPhase::Execute(mut execution) => {
                if execution.advance() {
                    self.phase = CodingPhase::Execute(execution);
                    return Ok(());
                }
                let schema = self.task.agent.output_schema.as_ref();
                let values = json!({"goal": self.task.prompt, "steps": execution.report(), "schema": schema});
                self.dialogue.ask(PromptName::Reflect, &values).map_err(end)?;
                self.phase = CodingPhase::Reflect(execution);
            }
            phase => self.phase = phase,
        }
        Ok(())
    }

    fn apply_reflection(&mut self, execution: &PlanExecution, reflection: PlanReflection) -> PhaseResult {
        match reflection {
            PlanReflection::Achieved { output } => {
                self.chain.add_thought("the goal is achieved");
                let last = AgentStep::Answer { output: self.output(execution, output) };
                self.end(execution, true, last)
            }
            PlanReflection::Failed { reason, suggestions } => {
                self.chain.add_thought(&reason);
                if self.attempt < self.attempts_max() {
                    self.attempt += 1;
                    let goal = &self.task.prompt;
                    let values = json!({"goal": goal, "failure_reason": reason, "suggestions": suggestions});
                    self.dialogue.ask(PromptName::Replan, &values).map_err(end)?;
                    self.phase = CodingPhase::Plan;
                    return Ok(());
                }
                let (agent, max) = (&self.task.agent.name, self.attempts_max());
                let message = format!(
                    "Max retries exceeded: agent `{agent}` did not achieve its goal in {max} attempts: {reason}"
                );
                self.end(execution, false, AgentStep::GiveUp(Fault::new(code::MAX_RETRIES, message)))
            }
        }
    }

    fn attempts_max(&self) -> u32 {
        self.task.agent.max_retries.unwrap_or(ATTEMPTS_DEFAULT).clamp(1, ATTEMPTS_MAX)
    }

    /// Ends with the given step, after the execution is recorded if the agent can record it.
    fn end(&mut self, execution: &PlanExecution, success: bool, last: AgentStep) -> PhaseResult {
        if !memory::records(self.task) {
            return Err(Box::new(last));
        }
        let asked = memory::execution(self.task, execution, success, self.iterations);
        self.phase = CodingPhase::Record { asked, last: Box::new(last) };
        Ok(())
    }

    /// The output. Fields required by the schema stand at the top level and override the built-in fields of the
    /// same name.
    fn output(&mut self, execution: &PlanExecution, result: Value) -> Value {
        let mut output = match &result {
            Value::Object(fields) if self.schema.is_some() => fields.clone(),
            _ => Map::new(),
        };
        let ours = [
            ("success", Value::Bool(true)),
            ("result", result),
            ("plan", execution.plan().as_json()),
            ("outputs", execution.outputs()),
            ("reasoning_chain", std::mem::take(&mut self.chain).into_value()),
            ("iterations", json!(self.iterations)),
            ("attempts", json!(self.attempt)),
        ];
        for (name, value) in ours {
            output.entry(name).or_insert(value);
        }
        Value::Object(output)
    }

    fn next(self) -> AgentStep {
        match self.phase {
            CodingPhase::Recall => memory::ask_for_similar(self.task),
            CodingPhase::Record { asked, .. } => memory::ask_to_record(asked),
            CodingPhase::Execute(execution) => execution.next(),
            CodingPhase::Plan | CodingPhase::Reflect(_) => {
                let max = self.task.agent.max_iterations.unwrap_or(ITERATIONS_MAX).clamp(1, ITERATIONS_MAX);
                if self.iterations >= max {
                    return AgentStep::GiveUp(super::iterations_exceeded(&self.task.agent.name, max));
                }
                AgentStep::AskModel(self.dialogue.request())
            }
        }
    }
}

#[cfg(test)]
mod tests;
