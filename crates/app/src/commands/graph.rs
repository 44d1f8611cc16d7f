//! `baton graph`: a workflow drawn.

use std::path::Path;

use baton_core::definition::{self, Checked};
use baton_core::expr::nearest;
use baton_core::graph::{Workflow, dot, levels_text, mermaid};

use crate::cli::{Graph, GraphFormat};
use crate::project::{Project, Source, read, shown};
use crate::wire;
use crate::{Exit, Misuse, print};

pub fn run(folder: &Path, args: &Graph) -> anyhow::Result<Exit> {
    let project = Project::open(folder)?;
    let workflow = find(&project, &args.workflow)?;
    match args.format {
        GraphFormat::Mermaid => print::line(mermaid(&workflow).trim_end()),
        GraphFormat::Dot => print::line(dot(&workflow).trim_end()),
        GraphFormat::Levels => print::line(levels_text(&workflow.graph).trim_end()),
    }
    Ok(Exit::Completed)
}

/// A workflow by its name or its file; a draft can be drawn, too.
fn find(project: &Project, wanted: &str) -> anyhow::Result<Workflow> {
    let mut catalog = wire::whole_catalog(project)?;
    let file = Path::new(wanted);
    if file.is_file() {
        let source = Source { file: file.to_owned(), text: read(file)? };
        let checked = definition::check(&source.text, &catalog);
        return drawn(&source, checked);
    }
    let mut names = Vec::new();
    for (source, checked) in project.check(&mut catalog) {
        if source.name() == wanted {
            return drawn(source, checked);
        }
        names.push(source.name());
    }
    if !project.is_there() {
        return Err(project.not_there().into());
    }
    let hint = match nearest(wanted, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", names.join(", ")),
    };
    let message = format!("no workflow `{wanted}` in {}", shown(&project.root.join("workflows")));
    Err(Misuse::new(message).hint(hint).into())
}

/// What can be drawn of a file, or the first reason why it cannot.
fn drawn(source: &Source, checked: Checked) -> anyhow::Result<Workflow> {
    checked.workflow.ok_or_else(|| match checked.diagnostics.iter().min_by_key(|found| found.severity) {
        Some(worst) => Misuse::found(worst, &shown(&source.file), &source.shown_text()).into(),
        None => Misuse::new(format!("{} holds no workflow", shown(&source.file))).into(),
    })
}
