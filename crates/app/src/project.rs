//! A project folder: the files that a team keeps in git.

mod documents;
mod files;
mod prompts;
mod servers;
mod shape_error;
mod triggers;
mod warnings;
mod workflows;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use baton_core::agent::AgentDefinition;
use baton_core::definition::{self, CheckedDefinition, DefinitionCatalog, DiagnosticCode};
use baton_core::id::TenantId;
use baton_models::CatalogueFile;
use serde_json::Value;

use crate::UsageError;
use crate::config::{self, ProjectSettings};

pub use files::{display_path, parse_value, read, read_argument, read_value, yaml_files};
pub use servers::ProjectServer;
pub use triggers::ProjectTriggers;
pub use warnings::{ProjectWarning, secrets_of};
pub use workflows::{ProjectWorkflows, ReadyWorkflow, WorkflowFile};

/// The catalogue file of a project folder.
pub const CATALOGUE: &str = "models.yaml";
/// The file that `baton models import` writes. The other catalogue file overrides it.
pub const IMPORTED: &str = "models.imported.yaml";

pub struct Project {
    pub root: PathBuf,
    pub settings: ProjectSettings,
    pub agents: BTreeMap<String, AgentDefinition>,
    /// The agents that the project's own files define.
    pub own_agents: BTreeSet<String>,
    pub tools: Vec<baton_tools::ToolDefinition>,
    /// The MCP servers, and whether they listed their tools.
    pub servers: Vec<ProjectServer>,
    /// The OpenAPI documents that tool files name, and whether their addresses responded.
    pub documents: Vec<ProjectDocument>,
    /// Parts of OpenAPI documents and MCP servers that cannot become tools, by file.
    pub unsupported: Vec<(String, baton_tools::ImportDiagnostic)>,
    /// References in tool files that their documents and servers do not contain.
    pub tool_warnings: Vec<ProjectWarning>,
    /// Secrets that tool files reference, with the file.
    pub secrets_named: Vec<(String, String)>,
    pub replies: Vec<baton_models::ScriptFile>,
    pub workflows: Vec<WorkflowFile>,
}

impl Project {
    /// Reads everything but does not check the workflows. Without a `baton.toml` the defaults apply.
    pub fn open(root: &Path) -> anyhow::Result<Self> {
        Self::open_refreshing(root, None)
    }

    /// Like [`Self::open`], but asks one tool source for its tools now, however recent its cached copy is.
    pub fn open_refreshing(root: &Path, wanted: Option<&str>) -> anyhow::Result<Self> {
        let (project, mut faults) = Self::open_with(root, wanted)?;
        if faults.is_empty() { Ok(project) } else { Err(faults.swap_remove(0).error) }
    }

    /// Reads as much of the project as possible, and returns the errors of all other parts.
    ///
    /// # Errors
    /// [`UsageError`] if the folder does not exist.
    pub fn open_partial(root: &Path) -> anyhow::Result<(Self, Vec<ProjectError>)> {
        Self::open_with(root, None)
    }

    fn open_with(root: &Path, wanted: Option<&str>) -> anyhow::Result<(Self, Vec<ProjectError>)> {
        if !root.is_dir() {
            let message = format!("{} is no folder", display_path(root));
            return Err(UsageError::new(message).hint("`-C FOLDER` names the project's folder").into());
        }
        let mut faults = ProjectErrors::default();
        let mut settings = faults.record_error(ProjectPart::Settings, config::load(root)).unwrap_or_default();
        settings.models.file = faults.record_error(ProjectPart::Settings, catalogue(root)).unwrap_or_default();
        let (mut agents, own_agents) = agents(root, &mut faults);
        let put = prompts::apply_prompts(&mut agents, &mut settings.memory.prompts, &root.join("prompts"));
        faults.record_error(ProjectPart::Agents, put);
        let of_tools = ProjectTools::read(root, &settings, wanted, &mut faults);
        templates(root, &mut settings, &mut faults);
        let replies = |file: PathBuf| {
            anyhow::Ok(baton_models::ScriptFile { name: display_path(&file), document: read_value(&file)? })
        };
        let replies = faults.read_each(ProjectPart::Other, yaml_files(&root.join("replies")), replies);
        let workflows = |file: PathBuf| anyhow::Ok(WorkflowFile { text: read(&file)?, file });
        let workflows = faults.read_each(ProjectPart::Other, yaml_files(&root.join("workflows")), workflows);
        let ProjectTools { tools, servers, documents, unsupported, warnings: doubts, secrets_named } = of_tools;
        let project = Self {
            agents,
            own_agents,
            tools,
            servers,
            documents,
            unsupported,
            tool_warnings: doubts,
            secrets_named,
            replies,
            workflows,
            root: root.to_owned(),
            settings,
        };
        Ok((project, faults.0))
    }

    /// Checks every workflow, subworkflows first. Returns each file with its findings.
    pub fn check(&self, catalog: &mut DefinitionCatalog) -> Vec<(&WorkflowFile, CheckedDefinition)> {
        let texts = self.workflows.iter().map(|source| source.text.as_slice());
        let mut checked: Vec<_> = self.workflows.iter().zip(definition::check_all(texts, catalog)).collect();
        let mut first: BTreeMap<String, &Path> = BTreeMap::new();
        for (source, checked) in &mut checked {
            let other = *first.entry(source.name()).or_insert(&source.file);
            let twice = checked.diagnostics.iter_mut().filter(|found| found.code == DiagnosticCode::DuplicateName);
            for found in twice.filter(|found| other != source.file && found.hint.is_none()) {
                found.hint = Some(format!("see {}", display_path(other)));
            }
        }
        checked
    }

    /// Sorts the workflows into those that can run, and those that cannot with their errors.
    pub fn check_workflows(&self, catalog: &mut DefinitionCatalog) -> anyhow::Result<ProjectWorkflows> {
        ProjectWorkflows::of(self, catalog)
    }

    /// Whether the folder contains any part of a project.
    pub fn exists(&self) -> bool {
        !self.workflows.is_empty() || self.root.join(config::FILE).is_file()
    }

    /// The error for a command that needs a project in a folder that is not one.
    pub fn not_a_project(&self) -> UsageError {
        let message =
            format!("{} is no project: it has neither {} nor workflows/", display_path(&self.root), config::FILE);
        UsageError::new(message).hint("`baton init FOLDER` makes one; `-C FOLDER` names one")
    }

    /// The tenant that the project acts for.
    pub fn tenant(&self) -> anyhow::Result<TenantId> {
        TenantId::parse(&self.settings.tenant).map_err(|error| UsageError::new(format!("tenant: {error}")).into())
    }

    /// The path of the database.
    pub fn database(&self) -> PathBuf {
        self.root.join(&self.settings.database)
    }

    /// Whether there is a database, or was one. If it was deleted, opening it fails instead of creating an empty one.
    pub fn has_database(&self) -> bool {
        let file = self.database();
        file.exists() || baton_store::sqlite::was_created(&file)
    }

    /// How a command line for this project begins: `baton`, or `baton -C FOLDER`.
    pub fn command(&self) -> String {
        match self.root.to_str() {
            Some(".") => "baton".to_owned(),
            _ => format!("baton -C {}", shell_quote(&self.root.to_string_lossy())),
        }
    }
}

/// The error of a part of a project that cannot be read.
pub struct ProjectError {
    pub part: ProjectPart,
    pub error: anyhow::Error,
}

/// The part of a project to which an error belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProjectPart {
    Settings,
    Agents,
    Tools,
    Other,
}

/// The errors so far, in reading order.
#[derive(Default)]
struct ProjectErrors(Vec<ProjectError>);

impl ProjectErrors {
    fn record_error<T>(&mut self, part: ProjectPart, read: anyhow::Result<T>) -> Option<T> {
        read.map_err(|error| self.0.push(ProjectError { part, error })).ok()
    }

    /// Reads each file that is valid, and collects the errors of the others.
    fn read_each<T>(
        &mut self,
        part: ProjectPart,
        files: anyhow::Result<Vec<PathBuf>>,
        read: impl Fn(PathBuf) -> anyhow::Result<T>,
    ) -> Vec<T> {
        let files = self.record_error(part, files).unwrap_or_default();
        files.into_iter().filter_map(|file| self.record_error(part, read(file))).collect()
    }
}

/// The parsed contents of `tools/`.
#[derive(Default)]
struct ProjectTools {
    tools: Vec<baton_tools::ToolDefinition>,
    servers: Vec<ProjectServer>,
    documents: Vec<ProjectDocument>,
    unsupported: Vec<(String, baton_tools::ImportDiagnostic)>,
    warnings: Vec<ProjectWarning>,
    secrets_named: Vec<(String, String)>,
}

/// An OpenAPI document that a tool file names, and the result of reading it.
pub struct ProjectDocument {
    pub name: String,
    /// The file that defines its tools.
    pub file: String,
    /// The address of the document. `None` for a file or an inline document.
    pub address: Option<String>,
    pub asked_at: Option<SystemTime>,
    /// Why the last request for it failed.
    pub last_error: Option<String>,
    pub tools: Vec<String>,
    pub unsupported: Vec<baton_tools::ImportDiagnostic>,
    /// Why an operation is not a tool, by the name that the tool would have.
    pub left_out: BTreeMap<String, String>,
}

impl ProjectTools {
    fn read(root: &Path, settings: &ProjectSettings, wanted: Option<&str>, faults: &mut ProjectErrors) -> Self {
        let (mut all, mut sources) = (Self::default(), Vec::new());
        for file in faults.record_error(ProjectPart::Tools, yaml_files(&root.join("tools"))).unwrap_or_default() {
            let found = all.read_file(root, &file, settings, wanted, faults);
            let found = faults.record_error(ProjectPart::Tools, found).unwrap_or_default();
            sources.extend(found.into_iter().map(|source| (display_path(&file), source)));
        }
        let kept = root.join(&settings.database).with_file_name(servers::FOLDER);
        all.servers = servers::list_tools(sources, &settings.tools, root, &kept, wanted);
        for server in &all.servers {
            let (tools, left) = server.tools();
            all.tools.extend(tools);
            all.unsupported.extend(left.into_iter().map(|part| (server.file.clone(), part)));
            all.warnings.extend(server.warnings());
        }
        let hooks = settings.upkeep.hooks();
        let hooks =
            hooks.map_err(|wrong| UsageError::new(format!("baton.toml: [upkeep.budget_hooks]: {wrong}")).into());
        all.tools.extend(faults.record_error(ProjectPart::Settings, hooks).into_iter().flatten());
        all
    }

    /// Reads one file, and returns the MCP servers that it names.
    fn read_file(
        &mut self,
        root: &Path,
        file: &Path,
        settings: &ProjectSettings,
        wanted: Option<&str>,
        faults: &mut ProjectErrors,
    ) -> anyhow::Result<Vec<baton_tools::McpSource>> {
        let (mut document, name) = (read_value(file)?, display_path(file));
        let mut secrets = BTreeSet::new();
        warnings::secrets_of(&document, &mut secrets);
        self.secrets_named.extend(secrets.into_iter().map(|secret| (name.clone(), secret)));
        retain_tools(&mut document, |tool| {
            let Some((document, missing)) = inline_document(root, file, tool, settings, wanted)? else {
                return Ok(true);
            };
            self.documents.push(document);
            let is_there = missing.is_none();
            self.warnings.extend(missing);
            Ok(is_there)
        })?;
        let parsed = tools_of(file, document, faults);
        for found in parsed.documents {
            match self.documents.iter_mut().find(|document| document.file == name && document.name == found.name) {
                Some(document) => {
                    (document.tools, document.unsupported) = (found.tools, found.unsupported);
                    document.left_out = found.excluded;
                }
                None => self.documents.push(ProjectDocument::inline(&name, found)),
            }
        }
        self.tools.extend(parsed.tools);
        self.warnings
            .extend(parsed.warnings.into_iter().map(|(tool, doubt)| ProjectWarning::for_tool(&name, &tool, doubt)));
        self.unsupported.extend(parsed.unsupported.into_iter().map(|part| (name.clone(), part)));
        Ok(parsed.sources)
    }
}

/// All agents by name, and which of them the project's own files define.
fn agents(root: &Path, faults: &mut ProjectErrors) -> (BTreeMap<String, AgentDefinition>, BTreeSet<String>) {
    let (mut agents, mut own) = (baton_engine::shipped_agents(), BTreeSet::new());
    for file in faults.record_error(ProjectPart::Agents, yaml_files(&root.join("agents"))).unwrap_or_default() {
        for read in faults.record_error(ProjectPart::Agents, read_agents(&file)).unwrap_or_default() {
            let Some((name, agent)) = faults.record_error(ProjectPart::Agents, read) else { continue };
            own.insert(name.clone());
            agents.insert(name, agent);
        }
    }
    (agents, own)
}

/// Adds the templates in files to those in the settings. A template in baton.toml takes precedence over a file of the
/// same name.
fn templates(root: &Path, settings: &mut ProjectSettings, faults: &mut ProjectErrors) {
    let templates = faults.read_each(ProjectPart::Other, yaml_files(&root.join("templates")), |file| {
        let name = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let template =
            shape_error::read_as(&file, read_value(&file)?, "templates are in docs/guides/configure-email.md")?;
        Ok((name, template))
    });
    for (name, template) in templates {
        settings.tools.templates.entry(name).or_insert(template);
    }
}

/// Quotes a word for a shell.
pub fn shell_quote(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-#@:+%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) && !word.starts_with(['-', '#']) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The overrides of the shipped catalogue in the project's catalogue files.
fn catalogue(root: &Path) -> anyhow::Result<CatalogueFile> {
    let mut all = CatalogueFile::default();
    for name in [IMPORTED, CATALOGUE] {
        let file = root.join(name);
        if file.exists() {
            let text = read(&file)?;
            let wrong =
                |found| UsageError::from_diagnostic(&found, &display_path(&file), &String::from_utf8_lossy(&text));
            all.overlay(CatalogueFile::read(&text).map_err(wrong)?);
        }
    }
    Ok(all)
}

/// Reads one agent, or several under `agents:`. An agent without a name is named after the file.
pub fn agents_of(file: &Path) -> anyhow::Result<Vec<(String, AgentDefinition)>> {
    read_agents(file)?.into_iter().collect()
}

/// Reads each agent by itself, so that an invalid one does not affect the others.
fn read_agents(file: &Path) -> anyhow::Result<Vec<anyhow::Result<(String, AgentDefinition)>>> {
    let document = read_value(file)?;
    let many = match document.get("agents") {
        Some(Value::Array(agents)) => agents.clone(),
        Some(_) => return Err(UsageError::new(format!("{}: `agents` is a list", display_path(file))).into()),
        None => vec![document],
    };
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let read = |mut agent: Value| {
        if let Some(fields) = agent.as_object_mut() {
            fields.entry("name").or_insert_with(|| Value::String(stem.clone()));
        }
        let agent: AgentDefinition = shape_error::read_as(file, agent, "agents are in docs/concepts/agents.md")?;
        Ok((agent.name.clone(), agent))
    };
    Ok(many.into_iter().map(read).collect())
}

/// Parses as many of a file's tools as possible. If the file as a whole is invalid, each tool is parsed by itself.
fn tools_of(file: &Path, document: Value, faults: &mut ProjectErrors) -> baton_tools::ParsedDefinitions {
    let whole = match parsed(file, document.clone()) {
        Ok(parsed) => return parsed,
        Err(error) => error,
    };
    let tools = match document {
        Value::Array(tools) => tools,
        Value::Object(mut fields) => match fields.remove("tools") {
            Some(Value::Array(tools)) if fields.is_empty() => tools,
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    let before = faults.0.len();
    let mut all = baton_tools::ParsedDefinitions::default();
    for tool in tools {
        let Some(one) = faults.record_error(ProjectPart::Tools, parsed(file, Value::Array(vec![tool]))) else {
            continue;
        };
        all.tools.extend(one.tools);
        all.unsupported.extend(one.unsupported);
        all.warnings.extend(one.warnings);
        all.documents.extend(one.documents);
        all.sources.extend(one.sources);
    }
    if faults.0.len() == before {
        faults.0.push(ProjectError { part: ProjectPart::Tools, error: whole });
    }
    all
}

fn parsed(file: &Path, document: Value) -> anyhow::Result<baton_tools::ParsedDefinitions> {
    const OTHERWISE: &str = "tools are in docs/recipes/add-a-tool.md";
    baton_tools::ToolDefinition::parse(document).map_err(|error| {
        let message = error.to_string();
        match &error {
            baton_tools::ToolSetupError::Definition { tool, place, .. } => {
                shape_error::tool_shape_error(file, tool, place, &message, OTHERWISE).into()
            }
            _ => shape_error::shape_error(file, &message, OTHERWISE).into(),
        }
    })
}

/// Keeps the tools of a file that match the predicate.
fn retain_tools(document: &mut Value, mut keeps: impl FnMut(&mut Value) -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let mut retain = |tools: &mut Vec<Value>| -> anyhow::Result<()> {
        let mut kept = Vec::with_capacity(tools.len());
        for mut tool in tools.drain(..) {
            if keeps(&mut tool)? {
                kept.push(tool);
            }
        }
        *tools = kept;
        Ok(())
    };
    if let Value::Array(tools) = document {
        return retain(tools);
    }
    if let Some(Value::Array(tools)) = document.get_mut("tools") {
        return retain(tools);
    }
    let mut alone = vec![document.take()];
    retain(&mut alone)?;
    *document = alone.pop().unwrap_or_else(|| Value::Array(Vec::new()));
    Ok(())
}

impl ProjectDocument {
    fn from_file(file: &str, tool: &Value, address: Option<&str>) -> Self {
        Self {
            name: tool.get("name").and_then(Value::as_str).unwrap_or_default().to_owned(),
            file: file.to_owned(),
            address: address.map(str::to_owned),
            asked_at: None,
            last_error: None,
            tools: Vec::new(),
            unsupported: Vec::new(),
            left_out: BTreeMap::new(),
        }
    }

    /// A document inside the definition itself.
    fn inline(file: &str, found: baton_tools::OpenApiDocument) -> Self {
        let baton_tools::OpenApiDocument { name, tools, unsupported, excluded: left_out } = found;
        Self {
            name,
            file: file.to_owned(),
            address: None,
            asked_at: None,
            last_error: None,
            tools,
            unsupported,
            left_out,
        }
    }
}

/// Replaces the reference to an OpenAPI document, a file in the project or an address, with the document. If an address
/// does not respond and never has, that is reported and its tools are missing. Everything else stays available.
fn inline_document(
    root: &Path,
    file: &Path,
    tool: &mut Value,
    settings: &ProjectSettings,
    wanted: Option<&str>,
) -> anyhow::Result<Option<(ProjectDocument, Option<ProjectWarning>)>> {
    let Some(Value::String(named)) = tool.get("document") else { return Ok(None) };
    let (laid, document) = if documents::is_address(named) {
        let kept = root.join(&settings.database).with_file_name(documents::FOLDER);
        let mut laid = ProjectDocument::from_file(&display_path(file), tool, Some(named));
        let is_wanted = wanted == Some(&laid.name);
        match documents::fetch(named, &settings.tools, &kept, is_wanted) {
            Ok(read) => {
                (laid.asked_at, laid.last_error) = (Some(read.asked_at), read.last_error);
                (laid, read.document)
            }
            Err(error) => {
                let name = if laid.name.is_empty() { "the definition" } else { &laid.name };
                let doubt = ProjectWarning {
                    place: format!("{}: document", shape_error::tool_location(&laid.file, name, "document")),
                    message: format!("`{named}` cannot be read: {error:#}"),
                    hint: format!("until it answers once, `{name}` has no tools"),
                };
                (laid.asked_at, laid.last_error) = (Some(SystemTime::now()), Some(format!("{error:#}")));
                return Ok(Some((laid, Some(doubt))));
            }
        }
    } else {
        let path = root.join(named);
        if !path.is_file() {
            let message = format!("{}: `document: {named}` is no file of the project", display_path(file));
            return Err(UsageError::new(message)
                .hint("write its path from the project's folder, such as `apis/shop.yaml`")
                .into());
        }
        (ProjectDocument::from_file(&display_path(file), tool, None), document_of(&path)?)
    };
    if let Some(fields) = tool.as_object_mut() {
        fields.insert("document".to_owned(), document);
    }
    Ok(Some((laid, None)))
}

/// JSON may be as large as any file. YAML may be as large as a definition.
fn document_of(path: &Path) -> anyhow::Result<Value> {
    if path.extension().is_none_or(|end| end != "json") {
        return read_value(path);
    }
    let text = read(path)?;
    serde_json::from_slice(&text)
        .map_err(|error| UsageError::new(format!("{} is no JSON: {error}", display_path(path))).into())
}
