//! Each code has its page, and the example on the page produces the message shown there.

use super::super::{DiagnosticCode, check, render};
use super::fixture_catalog;

/// Codes that a few lines of YAML cannot produce.
const WITHOUT_EXAMPLE: [DiagnosticCode; 2] = [DiagnosticCode::TooLarge, DiagnosticCode::NotChecked];

fn block<'p>(page: &'p str, language: &str) -> Option<&'p str> {
    page.split_once(&format!("```{language}\n"))?.1.split("```").next()
}

#[test]
fn every_code_has_a_page_that_shows_what_is_said() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors/definition");
    for code in DiagnosticCode::ALL {
        let file = format!("{folder}/{code}.md");
        let page = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(page.starts_with(&format!("# {code}: {}\n", code.title())), "{file} has another title");
        if WITHOUT_EXAMPLE.contains(code) {
            continue;
        }
        let (example, shown) = (block(&page, "yaml").unwrap(), block(&page, "text").unwrap());
        let checked = check(example.as_bytes(), &fixture_catalog::catalog());
        let said = checked.diagnostics.iter().filter(|found| found.code == *code);
        let said: Vec<String> = said.map(|found| render(found, "workflow.yaml", example)).collect();
        assert!(!said.is_empty(), "the example of {file} does not show it: {:#?}", checked.diagnostics);
        let said = said.join("\n");
        if std::env::var_os("UPDATE_GENERATED").is_some() {
            std::fs::write(&file, page.replace(&format!("```text\n{shown}```"), &format!("```text\n{said}```")))
                .unwrap();
        } else {
            assert!(shown == said, "{file} is stale: run this test with UPDATE_GENERATED=1");
        }
    }
}
