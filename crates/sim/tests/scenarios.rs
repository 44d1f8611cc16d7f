//! Plays every page of `scenarios/`, under many seeds.
//!
//! `BATON_BLESS=1` writes the outcomes into the pages: review the difference before you accept it.

use std::path::PathBuf;

use baton_sim::draw::SimCatalog;
use baton_sim::scenario::{ScenarioPage, ScenarioResult, play};

/// Number of seeds under which each scenario is played.
const SEEDS: u64 = 40;
/// Number of transcript lines shown with a failure.
const LAST_LINES: usize = 30;

fn pages() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let entries =
        std::fs::read_dir(folder).expect("the folder of scenarios").map(|entry| entry.expect("a file of it").path());
    let mut pages: Vec<PathBuf> =
        entries.filter(|path| path.file_name().is_some_and(|name| name != "README.md")).collect();
    pages.sort();
    assert!(!pages.is_empty(), "there are no pages");
    pages
}

#[test]
fn what_is_written_comes_of_every_course_whatever_takes_how_long() {
    let catalog = SimCatalog::new().unwrap();
    let bless = std::env::var_os("BATON_BLESS").is_some();
    let mut wrong = Vec::new();
    for path in pages() {
        let page = std::fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let scenario = ScenarioPage::read(&page, &catalog).unwrap_or_else(|error| panic!("{name}: {error}"));
        if bless {
            let played: Vec<ScenarioResult> = scenario.cases.iter().map(|course| play(course, &catalog, 0)).collect();
            std::fs::write(&path, scenario.rewrite_page(&page, &played)).unwrap();
        }
        let scenario = ScenarioPage::read(&std::fs::read_to_string(&path).unwrap(), &catalog).unwrap();
        for course in &scenario.cases {
            wrong.extend((0..SEEDS).find_map(|seed| {
                let played = play(course, &catalog, seed);
                let why = played.failure.clone().or_else(|| course.difference(&played))?;
                let last = played.story.len().saturating_sub(LAST_LINES);
                Some(format!("{name}: {}, seed {seed}: {why}\n{}", course.name, played.story[last..].join("\n")))
            }));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
