//! Incorrect usage: exit code 2, and how to fix it.

use super::test_folder::TestFolder;

#[track_caller]
fn check(arguments: &[&str], hint: &str) {
    TestFolder::empty().baton(arguments).expect_code(2).expect_stderr(hint);
}

#[test]
fn a_word_that_is_nearly_a_command_gets_a_suggestion() {
    check(&["validat"], "'validate'");
    check(&["runs", "shwo", "r1"], "'show'");
    check(&["runs", "list", "--jsn"], "--json");
}

#[test]
fn input_that_is_no_json_is_named_with_a_way_out() {
    check(&["eval", "--type", "jmespath", "a", "--input", "{a: 1"], "--input is not JSON");
    check(&["eval", "--type", "jmespath", "a", "--input", "{a: 1"], "@FILE");
    check(&["eval", "--type", "jmespath", "a", "--input", "@not-there.json"], "not-there.json");
}

#[test]
fn an_expression_that_does_not_parse_is_wrong_usage() {
    check(&["eval", "--type", "jmespath", "a["], "error");
    check(&["eval", "--type", "expr", "a +"], "error");
    check(&["eval", "--type", "template", "{{ a"], "error");
}

#[test]
fn a_state_that_is_none_is_refused_with_the_nearest() {
    check(&["runs", "list", "--state", "complete"], "did you mean `completed`?");
    check(&["runs", "list", "--state", "xyz"], "there are pending, running");
}

#[test]
fn an_unknown_setting_is_refused_by_name() {
    let place = TestFolder::with(&[("baton.toml", "tennant = \"a\"\n")]);
    for arguments in [&["validate"][..], &["runs", "list"], &["run", "x"]] {
        place.baton(arguments).expect_code(2).expect_stderr("tennant");
    }
}

#[test]
fn a_setting_that_is_wrong_has_its_place_and_the_nearest_that_is_known() {
    let place = TestFolder::with(&[("baton.toml", "# mine\ndatabse = \"a\"\n")]);
    let shown = "\
 --> baton.toml:2:1
  |
2 | databse = \"a\"
  | ^^^^^^^
  hint: did you mean `database`?
";
    place
        .baton(&["validate"])
        .expect_code(2)
        .expect_stderr("error: unknown field `databse`, expected one of")
        .expect_stderr(shown);
    let place = TestFolder::with(&[("baton.toml", "tenant = \n")]);
    place.baton(&["validate"]).expect_code(2).expect_stderr(" --> baton.toml:1:10\n");
    TestFolder::empty()
        .shell("BATON_DATABSE=a baton runs list")
        .expect_code(2)
        .expect_stderr("error: BATON_DATABSE: unknown field `databse`");
}

#[test]
fn a_file_that_is_not_what_it_should_be_has_its_place_and_the_nearest_word() {
    for (file, text, says) in [
        ("agents/a.yaml", "type: simpel\n", " --> agents/a.yaml:1:7\n"),
        ("agents/a.yaml", "type: simpel\n", "did you mean `simple`?"),
        ("tools/a.yaml", "name: t\nkind: scrpt\n", " --> tools/a.yaml:2:7\n"),
        ("tools/a.yaml", "name: t\nkind: scrpt\n", "did you mean `script`?"),
        (
            "replies/a.yaml",
            "agent: a\nreplys: []\n",
            "error[MODELS-002]: replies/a.yaml: the document: unknown field `replys`",
        ),
        ("agents/a.yaml", "type: [\n", "error[DEF-002]: "),
    ] {
        TestFolder::with(&[("baton.toml", ""), (file, text)]).baton(&["validate"]).expect_code(2).expect_stderr(says);
    }
}

#[test]
fn a_folder_that_is_not_there_is_said_to_be_none() {
    for arguments in [&["validate"][..], &["runs", "list"], &["run", "x"], &["test"], &["graph", "x"]] {
        let place = TestFolder::empty();
        let mut all = vec!["-C", "nowhere"];
        all.extend(arguments);
        place.baton(&all).expect_code(2).expect_stderr("nowhere is no folder");
        assert!(!place.path().join("nowhere").exists());
    }
}

#[test]
fn what_only_a_project_has_is_not_looked_for_elsewhere() {
    for arguments in [&["validate"][..], &["run", "x"], &["test"], &["graph", "x"]] {
        let place = TestFolder::empty();
        place.baton(arguments).expect_code(2).expect_stderr("is no project").expect_stderr("baton init FOLDER");
        assert!(std::fs::read_dir(place.path()).expect("a folder").next().is_none(), "{arguments:?} left something");
    }
}

#[test]
fn a_variable_that_is_no_text_is_nobodys_setting() {
    let place = TestFolder::empty();
    place
        .shell("BATON_ODD=$(printf '\\377') ODD=$(printf '\\377') baton runs list")
        .expect_code(0)
        .expect_stdout("no runs");
}

#[test]
fn looking_at_runs_makes_no_database() {
    let place = TestFolder::empty();
    place.baton(&["runs", "list"]).expect_code(0).expect_stdout("no runs");
    place.baton(&["runs", "show", "r1"]).expect_code(2).expect_stderr("nothing has run here");
    assert!(!place.path().join(".baton").exists());
}
