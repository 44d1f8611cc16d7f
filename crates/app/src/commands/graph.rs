//! `baton graph`: draws a workflow as a graph.

use std::path::Path;

use baton_core::definition::{self, CheckedDefinition};
use baton_core::graph::{Workflow, dot, levels_text, mermaid};
use baton_expr::nearest;

use crate::cli::{GraphArgs, GraphFormatArg};
use crate::project::{Project, WorkflowFile, display_path, read};
use crate::wiring;
use crate::{CommandExit, UsageError, print};

pub fn run(folder: &Path, args: &GraphArgs) -> anyhow::Result<CommandExit> {
    let project = Project::open(folder)?;
    let workflow = find(&project, &args.workflow)?;
    match args.format {
        GraphFormatArg::Mermaid => print::line(mermaid(&workflow).trim_end()),
        GraphFormatArg::Dot => print::line(dot(&workflow).trim_end()),
        GraphFormatArg::Levels => print::line(levels_text(&workflow.graph).trim_end()),
    }
    Ok(CommandExit::Completed)
}

/// Finds a workflow by its name or its file. Drafts can be drawn too.
fn find(project: &Project, wanted: &str) -> anyhow::Result<Workflow> {
    let mut catalog = wiring::blocking_catalog(project)?;
    let file = Path::new(wanted);
    if file.is_file() {
        let source = WorkflowFile { file: file.to_owned(), text: read(file)? };
        let checked = definition::check(&source.text, &catalog);
        return compiled_workflow(&source, checked);
    }
    let mut names = Vec::new();
    for (source, checked) in project.check(&mut catalog) {
        if source.name() == wanted {
            return compiled_workflow(source, checked);
        }
        names.push(source.name());
    }
    if !project.exists() {
        return Err(project.not_a_project().into());
    }
    let hint = match nearest(wanted, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", names.join(", ")),
    };
    let message = format!("no workflow `{wanted}` in {}", display_path(&project.root.join("workflows")));
    Err(UsageError::new(message).hint(hint).into())
}

/// The compiled workflow of a file, or the first error that prevents drawing it.
fn compiled_workflow(source: &WorkflowFile, checked: CheckedDefinition) -> anyhow::Result<Workflow> {
    checked.workflow.ok_or_else(|| match checked.diagnostics.iter().min_by_key(|found| found.severity) {
        Some(worst) => UsageError::from_diagnostic(worst, &display_path(&source.file), &source.shown_text()).into(),
        None => UsageError::new(format!("{} holds no workflow", display_path(&source.file))).into(),
    })
}
