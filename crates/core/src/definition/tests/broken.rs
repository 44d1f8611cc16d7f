//! Every kind of finding as people see it: each broken file with its diagnostics.

use super::super::{check, render};
use super::fixture_catalog;

/// The diagnostics of a file of `testdata/definitions`, in file order.
fn said(file: &str) -> String {
    let place = format!("{}/testdata/definitions/broken-{file}.yaml", env!("CARGO_MANIFEST_DIR"));
    let source = std::fs::read_to_string(place).unwrap();
    let checked = check(source.as_bytes(), &fixture_catalog::catalog());
    assert!(!checked.diagnostics.is_empty(), "nothing is said of {file}");
    checked
        .diagnostics
        .iter()
        .map(|found| render(found, &format!("{file}.yaml"), &source))
        .collect::<Vec<_>>()
        .join("\n")
}

macro_rules! broken {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            insta::assert_snapshot!(stringify!($name), said(stringify!($name)));
        })*
    };
}

broken! {
    aftermath
    aftermath_beside
    aftermath_reached
    bad_names
    bare_literals
    branches
    compensations
    cycles
    duplicate_key
    expressions
    forms_mixed
    implied_cycle
    input_keys
    impossible_merge
    leaves_branch
    loops
    merges
    parameters
    people
    reads_later
    saga
    saga_in_a_body
    saga_side_by_side
    schedule
    seed_blocks
    shared_keys
    stands_alone
    subworkflow_circle
    syntax
    undeclared_input
    unknown_keys
    unknown_kinds
    unknown_things
    unknown_words
    unquoted_template
    unreachable
    written_twice
    wrong_shapes
}

#[test]
fn every_broken_file_is_tested() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/definitions");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let tested = include_str!("broken.rs");
    for file in files {
        if let Some(name) = file.strip_prefix("broken-").and_then(|file| file.strip_suffix(".yaml")) {
            assert!(tested.contains(&format!("    {name}\n")), "{file} is not tested");
        }
    }
}
