//! Malicious definitions and expressions: rejected with exit code 2 within 5 CPU seconds and 512 MB.

use super::test_folder::TestFolder;

/// Limits of CPU seconds and KiB of memory for one command. The system kills a command that exceeds them.
const LIMITS: &str = "ulimit -t 5; ulimit -v 524288";

#[track_caller]
fn refused(text: impl AsRef<[u8]>, says: &str) {
    let place = TestFolder::empty();
    place.write("hostile.yaml", text);
    place.shell(&format!("{LIMITS}; exec baton validate hostile.yaml")).expect_code(2).expect_stdout(says);
}

#[test]
fn nothing_at_all_is_no_workflow() {
    refused("", "error[DEF-");
    refused("\n\n# only a comment\n", "error[DEF-");
}

#[test]
fn what_is_no_text_is_no_workflow() {
    refused([0xFF, 0xFE, 0x00, 0x9F, 0x92, 0x96].repeat(1_000), "error[DEF-001]");
    refused(b"name: a\0b\n".repeat(100), "error[DEF-");
}

#[test]
fn ten_megabytes_are_refused_before_they_are_read() {
    let line = "  - {id: node, tool: calculator, parameters: {expression: 1 + 2}}\n";
    let text = format!("name: big\nnodes:\n{}", line.repeat(10 << 20 >> 6));
    assert!(text.len() > 10 << 20);
    refused(text, "error[DEF-001]: the file has 108");
}

#[test]
fn an_alias_bomb_costs_no_more_than_its_budget() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let before = format!("*a{}", level - 1);
        text.push_str(&format!("a{level}: &a{level} [{}]\n", [before.as_str(); 10].join(", ")));
    }
    refused(format!("{text}name: bomb\nnodes: *a9\n"), "error[DEF-003]");
}

#[test]
fn three_hundred_thousand_nodes_are_too_many() {
    let nodes: Vec<String> = (0..300_000).map(|place| format!("{{id: {place}}}")).collect();
    refused(format!("name: many\nnodes: [{}]\n", nodes.join(",")), "error[DEF-001]");
    // Within the size limit, and over the limit on values.
    refused(format!("name: many\nnodes: [{}]\n", vec!["{}"; 300_000].join(",")), "error[DEF-003]");
}

#[test]
fn what_is_nested_too_deep_is_refused() {
    refused(format!("name: deep\nnodes: {}{}\n", "[".repeat(100_000), "]".repeat(100_000)), "error[DEF-003]");
    refused(format!("{{\"name\": {}1{}}}", "{\"a\":".repeat(50_000), "}".repeat(50_000)), "error[DEF-003]");
}

#[test]
fn workflows_that_run_each_other_in_a_circle_are_refused() {
    let workflow = |name: &str, other: &str| {
        format!("name: {name}\nnodes:\n  - {{id: go, type: subworkflow, workflow: {other}}}\n")
    };
    let place = TestFolder::empty();
    place.write("workflows/a.yaml", workflow("a", "b"));
    place.write("workflows/b.yaml", workflow("b", "a"));
    place.write("workflows/self.yaml", workflow("self", "self"));
    place.shell(&format!("{LIMITS}; exec baton validate")).expect_code(2).expect_stdout("[DEF-03");
}

#[test]
fn a_device_is_no_file() {
    let place = TestFolder::empty();
    place
        .shell(&format!("{LIMITS}; exec baton validate /dev/zero"))
        .expect_code(2)
        .expect_stderr("/dev/zero is no file");
}

#[track_caller]
fn stopped(language: &str, expression: &str, input: &str) {
    let place = TestFolder::empty();
    place.write("input.json", input);
    place.write("expression", expression);
    let line = format!("{LIMITS}; exec baton eval --type {language} \"$(cat expression)\" --input @input.json");
    let done = place.shell(&line).expect_code(2);
    assert!(done.err.contains("error"), "{}", done.err);
}

#[test]
fn an_expression_that_never_ends_is_stopped() {
    let numbers: Vec<String> = (0..1_000).map(|number| number.to_string()).collect();
    let input = format!("{{\"n\": [{}]}}", numbers.join(","));
    let loops = "{% for a in n %}".repeat(6);
    stopped("template", &format!("{loops}x{}", "{% endfor %}".repeat(6)), &input);
    stopped("template", "{% for a in range(1000000000) %}{{ a }}{% endfor %}", "{}");
    stopped("expr", &format!("{}1{}", "(".repeat(20_000), ")".repeat(20_000)), "{}");
    stopped("jmespath", &format!("{}n{}", "[".repeat(20_000), "]".repeat(20_000)), "{}");
}

#[test]
fn a_template_that_grows_is_stopped() {
    stopped("template", "{{ 'x' * 1000000000 }}", "{}");
    let doubled = "{% set a = a ~ a %}".repeat(64);
    stopped("template", &format!("{{% set a = 'xxxxxxxxxxxxxxxx' %}}{doubled}{{{{ a }}}}"), "{}");
}
