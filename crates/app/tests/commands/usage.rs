//! Wrong usage: exit 2, and a way out.

use super::place::Place;

#[track_caller]
fn check(arguments: &[&str], hint: &str) {
    Place::empty().baton(arguments).ends(2).warns(hint);
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
    let place = Place::with(&[("baton.toml", "tennant = \"a\"\n")]);
    for arguments in [&["validate"][..], &["runs", "list"], &["run", "x"]] {
        place.baton(arguments).ends(2).warns("tennant");
    }
}

#[test]
fn looking_at_runs_makes_no_database() {
    let place = Place::empty();
    place.baton(&["runs", "list"]).ends(0).says("no runs");
    place.baton(&["runs", "show", "r1"]).ends(2).warns("nothing has run here");
    assert!(!place.path().join(".baton").exists());
}
