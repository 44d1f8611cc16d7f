//! The reference page is correct: its examples load, and its list of codes matches the code.

use serde_json::Value as Json;

use super::super::source::read;
use super::super::{DiagnosticCode, check, compile, schema};
use super::fixture_catalog;

const PAGE: &str = include_str!("../../../../../docs/reference/workflow-format.md");
const SCHEMA: &str = include_str!("../../../../../docs/reference/workflow.schema.json");

/// Every example of the page.
fn examples() -> Vec<&'static str> {
    let blocks = PAGE.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.collect()
}

#[test]
fn every_example_of_the_reference_loads_without_a_word_against_it() {
    let examples = examples();
    assert!(examples.len() >= 9);
    for example in examples {
        let checked = check(example.as_bytes(), &fixture_catalog::catalog());
        assert!(checked.diagnostics.is_empty(), "{example}\n{:#?}", checked.diagnostics);
        let (workflow, bundle) = checked.runnable().unwrap();
        assert_eq!(format!("{:#?}", compile(bundle).unwrap()), format!("{workflow:#?}"));
    }
}

#[test]
fn the_examples_of_the_reference_show_every_kind_of_node() {
    let mut shown = std::collections::BTreeSet::new();
    for example in examples() {
        let checked = check(example.as_bytes(), &fixture_catalog::catalog());
        let (workflow, _) = checked.runnable().unwrap();
        shown.extend(workflow.graph.nodes.iter().map(|node| node.kind.word()));
    }
    let all: std::collections::BTreeSet<&str> = super::super::kinds::ALL.iter().map(|kind| kind.word).collect();
    assert_eq!(shown, all);
}

#[test]
fn the_reference_lists_every_code() {
    for code in DiagnosticCode::ALL {
        let row = format!("| [{code}](../errors/definition/{code}.md) | {} |\n", code.title());
        assert!(PAGE.contains(&row), "the page lacks {row}");
    }
    assert_eq!(PAGE.matches("| [DEF-").count(), DiagnosticCode::ALL.len());
}

#[test]
fn the_committed_schema_is_fresh() {
    let fresh = format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap());
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        let place = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/workflow.schema.json");
        std::fs::write(place, &fresh).unwrap();
    } else {
        assert!(SCHEMA == fresh, "docs/reference/workflow.schema.json is stale: run this test with UPDATE_GENERATED=1");
    }
}

fn fits(source: &[u8]) -> Result<(), String> {
    let schema: Json = schema();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let json = read(source).unwrap().to_json();
    validator.validate(&json).map_err(|error| format!("{} at {}", error, error.instance_path()))
}

#[test]
fn what_loads_fits_the_schema() {
    for example in examples() {
        fits(example.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{example}"));
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/definitions");
    let mut seeds = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        if file.file_name().unwrap().to_string_lossy().starts_with("seed-") {
            fits(&std::fs::read(&file).unwrap()).unwrap_or_else(|error| panic!("{error}\n{}", file.display()));
            seeds += 1;
        }
    }
    assert_eq!(seeds, 12);
}

#[test]
fn what_the_schema_can_see_is_refused_by_it() {
    for broken in [
        "name: x\nnods: []",
        "name: x\nnodes: [{id: a, tool: t, paramters: {}}]",
        "name: x\nnodes: [{id: a, type: tol}]",
        "name: x\nnodes: [{tool: t}]",
        "name: x\nnodes: [{id: a, tool: t, timeout: [1]}]",
        "name: x\nnodes: [{id: a, type: merge, mode: some}]",
        "name: x\nnodes: [{id: a, tool: t, on_error: gotoo b}]",
        "name: x\nnodes: []\nedges: [{from: a}]",
    ] {
        assert!(fits(broken.as_bytes()).is_err(), "{broken}");
    }
}
