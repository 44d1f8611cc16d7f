//! Workflows that run each other.

use super::super::{CheckedDefinition, DefinitionCatalog, DiagnosticCode, Severity, check_all};

fn all(sources: &[&str]) -> (Vec<CheckedDefinition>, DefinitionCatalog) {
    let mut catalog = DefinitionCatalog::default();
    let checked = check_all(sources.iter().map(|source| source.as_bytes()), &mut catalog);
    (checked, catalog)
}

fn runs(name: &str, other: &str) -> String {
    format!("name: {name}\nnodes: [{{id: child, workflow: {other}}}]")
}

fn said(checked: &CheckedDefinition) -> Vec<(DiagnosticCode, &str)> {
    checked.diagnostics.iter().map(|found| (found.code, found.message.as_str())).collect()
}

const LEAF: &str = "name: leaf\nnodes: [{id: pause, duration: 1s}]";

#[test]
fn what_is_run_is_sealed_before_what_runs_it() {
    let (top, middle) = (runs("top", "middle"), runs("middle", "leaf"));
    let (checked, catalog) = all(&[&top, &middle, LEAF]);
    assert!(checked.iter().all(|checked| checked.runnable().is_some()), "{checked:#?}");
    let names: Vec<&str> = catalog.workflows.keys().map(String::as_str).collect();
    assert_eq!(names, ["leaf", "middle", "top"]);
    let (_, bundle) = checked[0].runnable().unwrap();
    assert_eq!(bundle.subworkflows["middle"], catalog.workflows["middle"].hash);
}

#[test]
fn a_changed_leaf_changes_every_hash_above_it() {
    let (top, middle) = (runs("top", "middle"), runs("middle", "leaf"));
    let (_, before) = all(&[&top, &middle, LEAF]);
    let (_, after) = all(&[&top, &middle, &LEAF.replace("1s", "2s")]);
    for name in ["leaf", "middle", "top"] {
        assert_ne!(before.workflows[name].hash, after.workflows[name].hash, "{name}");
    }
}

#[test]
fn a_circle_of_workflows_is_named_in_full() {
    let (a, b, c) = (runs("a", "b"), runs("b", "c"), runs("c", "a"));
    let (checked, catalog) = all(&[&a, &b, &c, LEAF]);
    let circle = (DiagnosticCode::WorkflowCycle, "workflows run each other in a circle: a → b → c → a");
    assert!(said(&checked[0]).contains(&circle), "{:?}", said(&checked[0]));
    assert!(checked[..3].iter().all(|checked| checked.worst_severity() == Some(Severity::Error)));
    assert!(checked[3].runnable().is_some() && catalog.workflows.len() == 1);
}

#[test]
fn what_runs_a_broken_workflow_is_a_draft() {
    let top = runs("top", "broken");
    let (checked, _) = all(&[&top, "name: broken\nnodes: []"]);
    assert_eq!(said(&checked[0]), [(DiagnosticCode::UnknownWorkflow, "the workflow `broken` cannot run itself")]);
    assert_eq!(checked[0].worst_severity(), Some(Severity::Draft));
}

#[test]
fn two_files_with_one_name_are_told_apart() {
    let (checked, catalog) = all(&[LEAF, LEAF]);
    assert!(checked[0].runnable().is_some());
    assert_eq!(said(&checked[1]), [(DiagnosticCode::DuplicateName, "another file holds a workflow called `leaf`")]);
    assert!(checked[1].workflow.is_none() && catalog.workflows.len() == 1);
}

#[test]
fn names_of_single_calls_are_kept() {
    let own = LEAF.replace("leaf", "tool.calculator");
    let (checked, catalog) = all(&[&own]);
    let message = "names that begin with `tool.` or `agent.` are kept for single calls of tools and agents";
    assert_eq!(said(&checked[0]), [(DiagnosticCode::BadName, message)]);
    assert!(checked[0].workflow.is_none() && checked[0].bundle.is_none() && catalog.workflows.is_empty());
}
