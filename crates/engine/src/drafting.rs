//! Drafts a workflow from a goal: a model writes the draft, it is checked like any other definition, and repaired until
//! it passes.

use std::collections::BTreeSet;
use std::time::Duration;

use baton_agents::{PLANNER, PlannerCatalog, WorkflowGeneration};
use baton_core::definition::{self, DefinitionCatalog, Diagnostic, Severity, yaml};
use baton_core::fault::Fault;
use baton_core::graph::InputDeclaration;
use baton_core::model::{ModelReply, ToolOffer};
use baton_core::money::Usd;
use baton_core::run::ModelCallError;
use baton_ports::models::{ModelCaller, ModelService};
use serde_json::Value;

/// Maximum length of a goal, in characters.
pub const GOAL_CHARS_MAX: usize = 4_000;
/// Maximum number of tools found by the words of a goal.
pub const TOOLS_FOUND: usize = 100;
/// Maximum number of repairs of a draft.
const REPAIRS_MAX: usize = 3;
/// Time limit for one reply.
const REPLY_TIMEOUT: Duration = Duration::from_secs(120);

/// Returns the name for a draft, given the draft's own name; `None` leaves the draft as it is.
pub type DraftNaming<'a> = dyn Fn(Option<&str>) -> Option<String> + Sync + 'a;

/// The input for a draft.
pub struct DraftRequest<'a> {
    pub models: &'a dyn ModelService,
    pub asker: &'a ModelCaller,
    /// Everything that a draft may name.
    pub catalog: &'a DefinitionCatalog,
    /// The tools that the model is shown first. The others follow; there may be thousands.
    pub first: Vec<String>,
    /// The language of the planner's prompts.
    pub language: &'a str,
}

/// The result of all rounds: the last draft, and what is wrong with it.
#[derive(Debug)]
pub struct DraftResult {
    /// The name of a draft that passes the checks.
    pub name: Option<String>,
    pub definition: Value,
    /// The draft as YAML, in the layout to which the positions of diagnostics refer.
    pub text: String,
    /// The input that a run of the draft requires.
    pub input: InputDeclaration,
    pub diagnostics: Vec<Diagnostic>,
    /// Why the last reply contains no draft.
    pub problem: Option<String>,
    pub replies: usize,
    pub cost: Usd,
}

/// The reason why no draft was made, not even one that fails the checks.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    #[error("a goal has 1 to {GOAL_CHARS_MAX} characters, not {chars}")]
    GoalTooLong { chars: usize },
    #[error("there is no agent `{PLANNER}`")]
    NoPlanner,
    #[error("{0}")]
    Prompt(Fault),
    #[error("the model cannot be asked: {}", .0.fault)]
    Model(Box<ModelCallError>),
}

impl DraftResult {
    pub fn is_runnable(&self) -> bool {
        self.problem.is_none() && !self.diagnostics.iter().any(blocks_run)
    }

    /// The draft in a reply, renamed by `name`.
    fn read(reply: &ModelReply, name: &DraftNaming<'_>, catalog: &DefinitionCatalog) -> Self {
        let nothing = Self {
            name: None,
            definition: Value::Null,
            text: String::new(),
            input: InputDeclaration::default(),
            diagnostics: Vec::new(),
            problem: None,
            replies: 0,
            cost: Usd::ZERO,
        };
        let mut draft = match WorkflowGeneration::draft(reply) {
            Ok(draft) => draft,
            Err(problem) => return Self { problem: Some(problem), ..nothing },
        };
        let own = draft["name"].as_str().or_else(|| draft["workflow"]["name"].as_str()).map(str::to_owned);
        if let Some(name) = name(own.as_deref()) {
            yaml::rename_workflow(&mut draft, &name);
        }
        let text = yaml::to_yaml(&draft);
        let checked = definition::check(text.as_bytes(), catalog);
        let (name, input) = match checked.runnable() {
            Some((workflow, _)) => (Some(workflow.name.clone()), workflow.input.clone()),
            None => (None, InputDeclaration::default()),
        };
        Self { name, definition: draft, text, input, diagnostics: checked.diagnostics, ..nothing }
    }

    /// The problems, as lines that a model can act on.
    fn findings(&self) -> Vec<String> {
        let line_of = |line: u32| self.text.lines().nth(line.saturating_sub(1) as usize).unwrap_or_default().trim();
        let one = |found: &Diagnostic| {
            let hint = found.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
            format!("{}: {}{hint}, at: {}", found.severity, found.message, line_of(found.span.line))
        };
        let of_draft = self.diagnostics.iter().filter(|found| blocks_run(found)).map(one);
        self.problem.iter().cloned().chain(of_draft).collect()
    }
}

fn blocks_run(found: &Diagnostic) -> bool {
    matches!(found.severity, Severity::Error | Severity::Draft)
}

/// Checks whether a goal can be drafted for.
///
/// # Errors
/// The goal is empty or too long.
pub fn check_goal(goal: &str) -> Result<(), DraftError> {
    let chars = goal.trim().chars().count();
    if (1..=GOAL_CHARS_MAX).contains(&chars) { Ok(()) } else { Err(DraftError::GoalTooLong { chars }) }
}

impl DraftRequest<'_> {
    /// # Errors
    /// No model can be asked for a draft, or the goal is invalid.
    pub async fn draft(&self, goal: &str, name: &DraftNaming<'_>) -> Result<DraftResult, DraftError> {
        check_goal(goal)?;
        let goal = goal.trim();
        let planner = self.catalog.agents.get(PLANNER).cloned().ok_or(DraftError::NoPlanner)?;
        let generation = WorkflowGeneration::begin(planner, goal, self.language, &self.planner_catalog());
        let (mut generation, mut cost, mut replies) = (generation.map_err(DraftError::Prompt)?, Usd::ZERO, 0);
        loop {
            let reply = self.models.ask(self.asker, &generation.request(), REPLY_TIMEOUT, None).await;
            let reply = reply.map_err(|failed| DraftError::Model(Box::new(failed)))?;
            (cost, replies) = (cost + reply.cost, replies + 1);
            let drafted = DraftResult { replies, cost, ..DraftResult::read(&reply, name, self.catalog) };
            if drafted.is_runnable() || replies > REPAIRS_MAX {
                return Ok(drafted);
            }
            generation.repair(&reply, &drafted.findings()).map_err(DraftError::Prompt)?;
        }
    }

    /// What the model is shown: all agents except the planner, and the tools, with those of `first` first.
    fn planner_catalog(&self) -> PlannerCatalog {
        let catalog = self.catalog;
        let mut told = BTreeSet::new();
        let ordered = self.first.iter().map(String::as_str).chain(catalog.tools.keys().map(String::as_str));
        let tool = |name: &str| {
            let facts = catalog.tools.get(name)?;
            Some(ToolOffer {
                name: name.to_owned(),
                description: facts.description.clone(),
                parameters: facts.parameters.clone(),
                strict: None,
            })
        };
        let tools = ordered.filter(|name| told.insert(*name)).filter_map(tool).collect();
        let agents = catalog.agents.values().filter(|agent| agent.name != PLANNER);
        PlannerCatalog { tools, agents: agents.map(|agent| (agent.name.clone(), agent.description.clone())).collect() }
    }
}
