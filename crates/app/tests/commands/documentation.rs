//! The documentation: links lead to existing targets, and every page can be reached.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All pages below a folder.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(pages(&path));
        } else if path.extension().is_some_and(|ending| ending == "md") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The targets of a page's links, outside code blocks and without links to the web.
fn links(text: &str) -> Vec<String> {
    let mut is_code = false;
    let prose = text.lines().filter(|line| {
        is_code ^= line.trim_start().starts_with("```");
        !is_code
    });
    let prose: Vec<&str> = prose.collect();
    let targets = prose.iter().flat_map(|line| line.split("](").skip(1)).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://")).map(str::to_owned).collect()
}

/// The anchor of a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
    text.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
}

#[test]
fn every_link_leads_to_a_page_and_a_heading_that_are_there() {
    let root = root();
    let mut all = pages(&root.join("docs"));
    all.extend(pages(&root.join("examples")));
    all.extend(
        ["README", "ARCHITECTURE", "CONTRIBUTING", "CHANGELOG", "STYLE"].map(|name| root.join(format!("{name}.md"))),
    );
    assert!(all.len() > 80, "the pages were not found");
    for page in all {
        let text = std::fs::read_to_string(&page).expect("text");
        for link in links(&text) {
            let (file, heading) = link.split_once('#').unwrap_or((&link, ""));
            let to = if file.is_empty() { page.clone() } else { page.with_file_name("").join(file) };
            assert!(to.exists(), "{} leads to {link}", page.display());
            if !heading.is_empty() {
                let there = std::fs::read_to_string(&to).expect("a page");
                let is_there = there.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == heading);
                assert!(is_there, "{} leads to {link}", page.display());
            }
        }
    }
}

#[test]
fn every_page_but_those_of_codes_and_decisions_is_found_from_the_first() {
    let docs = root().join("docs");
    let first = std::fs::read_to_string(docs.join("README.md")).expect("the first page");
    let linked = links(&first);
    for folder in ["guides", "concepts", "reference", "recipes"] {
        for page in pages(&docs.join(folder)) {
            let name = page.file_name().expect("a name").to_string_lossy();
            let link = format!("{folder}/{name}");
            assert!(linked.contains(&link), "docs/README.md does not lead to {link}");
        }
    }
}
