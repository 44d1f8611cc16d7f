//! The reference pages that the binary generates.

use super::test_folder::TestFolder;

#[test]
fn the_schema_is_one_and_describes_a_workflow() {
    let schema = TestFolder::empty().baton(&["reference", "workflow-schema"]).expect_code(0).json();
    assert!(schema.get("$schema").is_some());
    assert!(schema.to_string().contains("compensation"));
}

#[test]
fn the_command_line_page_has_every_command_the_help_has() {
    let place = TestFolder::empty();
    let page = place.baton(&["reference", "cli"]).expect_code(0).out;
    let help = place.baton(&["--help"]).expect_code(0).out;
    let (_, commands) = help.split_once("Commands:\n").expect("commands");
    let commands = commands.lines().take_while(|line| !line.is_empty());
    let commands: Vec<&str> = commands
        .filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' '))?.split(' ').next())
        .filter(|command| *command != "help")
        .collect();
    assert!(commands.len() >= 11, "{commands:?}");
    for command in commands {
        assert!(page.contains(&format!("## `baton {command}`\n")), "{command}");
    }
    assert!(!page.contains("ana"), "the page speaks of this machine's user");
}

#[test]
fn completions_are_there_for_the_usual_shells() {
    for shell in ["bash", "zsh", "fish"] {
        TestFolder::empty().baton(&["completions", shell]).expect_code(0).expect_stdout("validate");
    }
}
