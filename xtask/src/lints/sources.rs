//! Rules for the text of our own files that no compiler checks.

mod allowances;
mod names;
mod texts;
mod vocabulary;
mod words;

use crate::code::BlankedSource;
use crate::workspace::Workspace;

use super::LintOutcome;

/// Larger files are data, not written by a person.
const TEXT_BYTES_MAX: u64 = 4 * 1024 * 1024;

pub fn check(workspace: &Workspace) -> anyhow::Result<LintOutcome> {
    let files = workspace.files()?;
    let machine = texts::MachineFolders::here(workspace.root());
    let mut findings: Vec<String> = files.iter().filter_map(|path| names::check(path)).collect();
    let mut type_names = vocabulary::TypeNames::default();
    for path in &files {
        let Some(text) = read(workspace, path)? else {
            continue;
        };
        findings.extend(texts::check(path, &text, &machine));
        if path.ends_with(".rs") {
            let code = BlankedSource::new(&text);
            findings.extend(words::check(path, &code));
            findings.extend(type_names.add(path, &code));
            findings.extend(allowances::check(path, &code));
        }
    }
    findings.extend(type_names.duplicates());
    for package in workspace.members()?.members() {
        findings.extend(allowances::check_manifest(&package.name, &std::fs::read_to_string(&package.manifest_path)?));
    }
    Ok(LintOutcome::from_findings(findings, format!("{} files", files.len())))
}

/// The text of a file. `None` for a binary file.
fn read(workspace: &Workspace, path: &str) -> anyhow::Result<Option<String>> {
    let full = workspace.root().join(path);
    if full.metadata()?.len() > TEXT_BYTES_MAX {
        return Ok(None);
    }
    let text = String::from_utf8(std::fs::read(full)?).ok();
    Ok(text.filter(|text| !text.contains('\0')))
}
