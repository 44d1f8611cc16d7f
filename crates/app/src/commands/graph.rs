//! `baton graph`: a workflow drawn.

use std::path::Path;

use baton_core::definition;
use baton_core::graph::{dot, levels, mermaid};

use crate::cli::{Graph, GraphFormat};
use crate::project::{Project, Source};
use crate::wire;
use crate::{Exit, Misuse, print};

pub fn run(folder: &Path, args: &Graph) -> anyhow::Result<Exit> {
    let project = Project::open(folder)?;
    let file = Path::new(&args.workflow);
    let single = file.is_file().then(|| crate::project::read(file).map(|text| Source { file: file.to_owned(), text }));
    let catalog = wire::catalog(&project)?;
    let workflow = match single.transpose()? {
        Some(source) => definition::check(&source.text, &catalog).workflow,
        None => {
            let mut catalog = catalog;
            let all = project.check(&mut catalog);
            all.into_iter().filter_map(|(_, checked)| checked.workflow).find(|found| found.name == args.workflow)
        }
    };
    let workflow = workflow.ok_or_else(|| {
        Misuse::new(format!("no workflow `{}` that can be drawn", args.workflow))
            .hint("`baton validate` says what is wrong")
    })?;
    match args.format {
        GraphFormat::Mermaid => print::line(mermaid(&workflow).trim_end()),
        GraphFormat::Dot => print::line(dot(&workflow).trim_end()),
        GraphFormat::Levels => {
            for level in levels(&workflow.graph) {
                let ids: Vec<&str> = level.iter().map(|place| workflow.graph.node(*place).id.as_str()).collect();
                print::line(ids.join(" "));
            }
        }
    }
    Ok(Exit::Completed)
}
