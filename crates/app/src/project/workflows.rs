//! The workflows of a project: those that can run, and the errors of the others.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use baton_core::bundle::ContentHash;
use baton_core::definition::source::{self};
use baton_core::definition::{self, CheckedDefinition, DefinitionCatalog, Diagnostic, Severity};
use baton_core::graph::InputDeclaration;
use baton_expr::nearest;

use super::{Project, display_path};
use crate::UsageError;

/// A parsed workflow file.
pub struct WorkflowFile {
    pub file: PathBuf,
    pub text: Vec<u8>,
}

/// A workflow that can run, with all its subworkflows sealed.
pub struct ReadyWorkflow {
    pub file: PathBuf,
    pub name: String,
    pub label: String,
    pub input: InputDeclaration,
    pub hash: ContentHash,
    pub text: Vec<u8>,
}

/// A workflow that cannot run.
pub struct RejectedWorkflow {
    file: PathBuf,
    /// The workflow's name, or the file's if the name cannot be read.
    name: String,
    /// The errors, as `baton validate` prints them.
    findings: String,
}

/// Every workflow of a project.
#[derive(Default)]
pub struct ProjectWorkflows {
    pub ready: Vec<ReadyWorkflow>,
    pub rejected: Vec<RejectedWorkflow>,
}

impl ProjectWorkflows {
    pub(super) fn of(project: &Project, catalog: &mut DefinitionCatalog) -> anyhow::Result<Self> {
        let mut sorted = Self::default();
        for (source, checked) in project.check(catalog) {
            let file = source.file.clone();
            match checked.runnable() {
                Some((workflow, bundle)) => {
                    let (name, label, input) =
                        (workflow.name.clone(), workflow.version.clone(), workflow.input.clone());
                    let (text, hash) = bundle.seal()?;
                    sorted.ready.push(ReadyWorkflow { file, name, label, input, hash, text });
                }
                None => {
                    let findings = findings(source, &checked);
                    sorted.rejected.push(RejectedWorkflow { file, name: source.name(), findings });
                }
            }
        }
        Ok(sorted)
    }

    /// Finds a workflow by its name, or by its file relative to the current or the project's folder. Returns its index
    /// in [`Self::ready`].
    ///
    /// # Errors
    /// [`UsageError`]: with the errors of the workflow, or with a list of the workflows that exist.
    pub fn find(&self, project: &Project, wanted: &str) -> anyhow::Result<usize> {
        let is_wanted = |name: &str, file: &Path| name == wanted || is_file(project, file, wanted);
        if let Some(place) = self.ready.iter().position(|ready| ready.name == wanted) {
            return Ok(place);
        }
        if let Some(unready) = self.rejected.iter().find(|unready| is_wanted(&unready.name, &unready.file)) {
            let message = format!("`{}` cannot run\n\n{}", unready.name, unready.findings.trim_end());
            return Err(UsageError::new(message).into());
        }
        let by_file = self.ready.iter().position(|ready| is_file(project, &ready.file, wanted));
        by_file.ok_or_else(|| self.not_found(project, wanted).into())
    }

    /// Whether a workflow of this name exists and cannot run.
    pub fn is_rejected(&self, name: &str) -> bool {
        self.rejected.iter().any(|unready| unready.name == name)
    }

    /// The errors of the workflows that cannot run, as `baton validate` prints them.
    pub fn findings(&self) -> impl Iterator<Item = &str> {
        self.rejected.iter().map(|unready| unready.findings.trim_end())
    }

    /// A note about the workflows that cannot run, for commands that run another one. They do not prevent that run, but
    /// the user should know.
    pub fn rejected_note(&self) -> Option<String> {
        match self.rejected.as_slice() {
            [] => None,
            [one] => Some(format!("`{}` cannot run; `baton validate` says why", one.name)),
            many => Some(format!("{} workflows cannot run; `baton validate` says why", many.len())),
        }
    }

    fn not_found(&self, project: &Project, wanted: &str) -> UsageError {
        if !project.exists() {
            return project.not_a_project();
        }
        let names: Vec<&str> = self
            .ready
            .iter()
            .map(|ready| ready.name.as_str())
            .chain(self.rejected.iter().map(|one| one.name.as_str()))
            .collect();
        let message = format!("no workflow `{wanted}` in {}", display_path(&project.root.join("workflows")));
        UsageError::new(message).hint(match nearest(wanted, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if Path::new(wanted).is_file() => "a workflow's file lies in the folder workflows/".to_owned(),
            None if names.is_empty() => "there is none yet; write one into workflows/".to_owned(),
            None => format!("there are {}", names.join(", ")),
        })
    }
}

impl WorkflowFile {
    pub fn shown_text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.text)
    }

    /// The workflow's name if it can be read, else the file's.
    pub fn name(&self) -> String {
        let tree = source::read(&self.text).ok().map(|tree| tree.to_json());
        let own = tree.as_ref().and_then(|tree| tree.get("name").or(tree.pointer("/workflow/name"))?.as_str());
        let of_file = || self.file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        own.map_or_else(of_file, str::to_owned)
    }
}

fn findings(source: &WorkflowFile, checked: &CheckedDefinition) -> String {
    let stops = |found: &&Diagnostic| found.severity <= Severity::Draft;
    let mut text = String::new();
    for found in checked.diagnostics.iter().filter(stops) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", definition::render(found, &display_path(&source.file), &source.shown_text()));
    }
    text
}

/// Whether a path relative to the current or the project's folder is this file.
fn is_file(project: &Project, file: &Path, given: &str) -> bool {
    let Ok(file) = file.canonicalize() else { return false };
    [PathBuf::from(given), project.root.join(given)].iter().any(|path| path.canonicalize().is_ok_and(|it| it == file))
}
