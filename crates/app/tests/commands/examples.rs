//! Every example is a project without an error, and its tests pass.

use std::path::{Path, PathBuf};

use super::place::Place;

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut examples: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("examples").map(|entry| entry.expect("an entry").path()).collect();
    examples.retain(|path| path.join("baton.toml").is_file());
    examples.sort();
    assert!(examples.len() >= 3, "{examples:?}");
    examples
}

#[test]
fn every_example_is_valid_and_its_tests_pass() {
    let place = Place::empty();
    for example in examples() {
        let example = example.to_str().expect("a path");
        place.baton(&["validate", example]).ends(0);
        let tested = place.baton(&["-C", example, "test", "--json"]).ends(0).json();
        assert_eq!(tested["failed"], 0, "{example}");
        assert!(tested["passed"].as_u64().is_some_and(|passed| passed > 0), "{example} has no tests");
    }
}

#[test]
fn every_workflow_of_every_example_has_a_test() {
    for example in examples() {
        let texts = |folder: &str| -> Vec<String> {
            let files = std::fs::read_dir(example.join(folder)).expect("a folder");
            files.map(|file| std::fs::read_to_string(file.expect("an entry").path()).expect("text")).collect()
        };
        let tests = texts("tests").concat();
        for workflow in texts("workflows") {
            let name = workflow.lines().map(str::trim).find_map(|line| line.strip_prefix("name: ")).expect("a name");
            let name = name.trim_matches(['"', '\'']);
            assert!(tests.contains(&format!("workflow: {name}\n")), "{}: {name}", example.display());
        }
    }
}
