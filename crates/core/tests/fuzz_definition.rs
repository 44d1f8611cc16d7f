//! Definitions: for any text, checking ends without a panic, and a runnable definition compiles again from its bundle.

#[path = "fuzz/drive.rs"]
mod drive;

use baton_core::definition::{DefinitionCatalog, check, compile, render};

#[test]
fn any_text_is_a_workflow_or_refused() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/definitions");
    let files = std::fs::read_dir(folder).expect("the definitions are there").filter_map(|file| file.ok());
    let mut corpus: Vec<Vec<u8>> = files.filter_map(|file| std::fs::read(file.path()).ok()).collect();
    corpus.sort();
    drive::fuzz("definition", &corpus, |text| {
        let checked = check(text, &DefinitionCatalog::default());
        let shown = String::from_utf8_lossy(text);
        for found in &checked.diagnostics {
            assert!(!render(found, "fuzz.yaml", &shown).is_empty());
        }
        if let Some((workflow, bundle)) = checked.runnable() {
            let again = compile(bundle).expect("what is ready compiles from its bundle");
            assert_eq!(again.graph.nodes.len(), workflow.graph.nodes.len());
        }
    });
}
