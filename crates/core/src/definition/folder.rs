//! Workflows of one folder, checked together: subworkflows come first, and cycles are reported.

use std::collections::{BTreeMap, BTreeSet};

use super::catalog::{DefinitionCatalog, PinnedWorkflow, UnreadyWorkflows};
use super::diagnostic::{Diagnostic, DiagnosticCode};
use super::reader::DefinitionReader;
use super::source::{self, SpannedValue, YamlNode};
use super::spec::{BodySpec, NodeKindSpec};
use super::{CheckedDefinition, check_named, root};

/// Checks definitions that may run each other, each once. Returns the results in the given order, and adds ready
/// workflows to the catalogue. A workflow that runs one which is not ready is a draft, too.
pub fn check_all<'s>(
    sources: impl IntoIterator<Item = &'s [u8]>,
    catalog: &mut DefinitionCatalog,
) -> Vec<CheckedDefinition> {
    let files: Vec<DefinitionFile> = sources.into_iter().map(DefinitionFile::read).collect();
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    for (place, name) in files.iter().enumerate().filter_map(|(place, file)| Some((place, file.name.as_ref()?))) {
        first.entry(&name.value).or_insert(place);
    }
    let (order, circular) = dependency_order(&files, &first);
    let mut unready: UnreadyWorkflows = circular.iter().filter_map(|place| files[*place].key()).collect();
    let mut checked: BTreeMap<usize, CheckedDefinition> = BTreeMap::new();
    for place in order.into_iter().chain(circular) {
        let file = &files[place];
        let mut one = match &file.tree {
            Ok(tree) => check_named(tree, catalog, &unready),
            Err(diagnostics) => CheckedDefinition { diagnostics: diagnostics.clone(), workflow: None, bundle: None },
        };
        if let Some(name) = file.name.as_ref().filter(|name| first.get(name.value.as_str()) != Some(&place)) {
            let message = format!("another file holds a workflow called `{}`", name.value);
            one.diagnostics.push(Diagnostic::error(DiagnosticCode::DuplicateName, name.span, message));
            (one.workflow, one.bundle) = (None, None);
        } else if let Some((name, runs)) = file.key() {
            match one.runnable().and_then(|(_, bundle)| bundle.seal().ok()) {
                Some((_, hash)) => {
                    catalog.workflows.insert(name, PinnedWorkflow { hash, runs });
                }
                None => {
                    unready.insert(name, runs);
                }
            }
        }
        checked.insert(place, one);
    }
    checked.into_values().collect()
}

/// A file, its name, and its subworkflows.
struct DefinitionFile {
    tree: Result<YamlNode, Vec<Diagnostic>>,
    name: Option<SpannedValue<String>>,
    runs: BTreeSet<String>,
}

impl DefinitionFile {
    fn read(source: &[u8]) -> Self {
        let tree = source::read(source);
        let mut runs = BTreeSet::new();
        let document = tree.as_ref().ok().and_then(|tree| root::read(tree, &mut DefinitionReader::default()));
        let name = document.and_then(|document| {
            collect_subworkflows(&document.body, &mut runs);
            document.name
        });
        Self { tree, name, runs }
    }

    fn key(&self) -> Option<(String, BTreeSet<String>)> {
        Some((self.name.as_ref()?.value.clone(), self.runs.clone()))
    }
}

fn collect_subworkflows(body: &BodySpec<'_>, runs: &mut BTreeSet<String>) {
    for node in &body.nodes {
        match &node.part {
            NodeKindSpec::Subworkflow(child) => {
                runs.insert(child.workflow.value.clone());
            }
            NodeKindSpec::Loop(each) => collect_subworkflows(&each.body, runs),
            NodeKindSpec::Parallel(branches) => branches.values().for_each(|body| collect_subworkflows(body, runs)),
            NodeKindSpec::Complete(_) | NodeKindSpec::Agent(_) | NodeKindSpec::Tool(_) => {}
        }
    }
}

/// Sorts files so that each comes after its subworkflows. Also returns the files for which no such order exists.
fn dependency_order(files: &[DefinitionFile], first: &BTreeMap<&str, usize>) -> (Vec<usize>, Vec<usize>) {
    let runs = |place: usize| files[place].runs.iter().filter_map(|name| first.get(name.as_str()).copied());
    let mut waits: Vec<usize> = (0..files.len()).map(|place| runs(place).count()).collect();
    let mut run_by: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for place in 0..files.len() {
        runs(place).for_each(|child| run_by.entry(child).or_default().push(place));
    }
    let mut order: Vec<usize> = (0..files.len()).filter(|place| waits[*place] == 0).collect();
    let mut at = 0;
    while let Some(place) = order.get(at).copied() {
        at += 1;
        for parent in run_by.get(&place).into_iter().flatten() {
            waits[*parent] -= 1;
            if waits[*parent] == 0 {
                order.push(*parent);
            }
        }
    }
    (order, (0..files.len()).filter(|place| waits[*place] > 0).collect())
}
