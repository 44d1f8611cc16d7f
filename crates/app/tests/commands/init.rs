//! `baton init`, and that the commands it prints work.

use super::test_folder::TestFolder;

/// The commands printed under "Next:".
fn next(out: &str) -> Vec<String> {
    let (_, next) = out.split_once("Next:\n").expect("it says what is next");
    next.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

#[test]
fn a_new_project_works_by_the_commands_it_prints() {
    let place = TestFolder::empty();
    let made = place.baton(&["init", "my project"]).expect_code(0);
    let commands = next(&made.out);
    assert_eq!(commands.len(), 2, "{commands:?}");
    place.shell(&commands[0]).expect_code(0).expect_stdout("✓ open_ticket").expect_stdout("completed");
    place.shell(&commands[1]).expect_code(0).expect_stdout("3 passed, 0 failed");
    place.baton(&["validate", "--strict", "my project"]).expect_code(0).expect_stdout("1 workflow: nothing found");
    place.baton(&["-C", "my project", "doctor"]).expect_code(0);
}

#[test]
fn a_folder_in_use_is_left_alone() {
    let place = TestFolder::with(&[("used/mine.txt", "mine")]);
    place.baton(&["init", "used"]).expect_code(2).expect_stderr("used is not empty");
    place.baton(&["init", "used/mine.txt"]).expect_code(2).expect_stderr("is a file");
    let files: Vec<_> = std::fs::read_dir(place.path().join("used")).expect("a folder").collect();
    assert_eq!(files.len(), 1);
    // A database that an earlier command left there belongs to no project.
    place.write("tried/.baton/baton.db", "");
    place.baton(&["init", "tried"]).expect_code(0);
}

#[test]
fn the_readmes_commands_are_those_of_this_binary() {
    let place = TestFolder::empty();
    place.baton(&["init", "p"]).expect_code(0);
    let readme = std::fs::read_to_string(place.path().join("p/README.md")).expect("a readme");
    let commands = readme.lines().filter(|line| line.starts_with("baton "));
    let commands: Vec<&str> = commands.map(|line| line.split(" #").next().unwrap_or(line).trim()).collect();
    assert!(commands.len() >= 5, "{commands:?}");
    for command in commands {
        place.shell(&format!("cd p && {command}")).expect_code(0);
    }
}
