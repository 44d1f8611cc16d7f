//! The exact output of `validate`, `graph` and `eval`.

use serde_json::json;

use super::test_folder::TestFolder;

const GOOD: &str = "\
name: greet
nodes:
  - {id: add, tool: calculator, parameters: {expression: 1 + 2}}
  - {id: big, type: condition, condition: add.result > 2}
  - {id: yes, type: transform, set: {answer: big}}
  - {id: no, type: transform, set: {answer: small}}
edges:
  - {from: add, to: big}
  - {from: big, to: 'yes', when: true}
  - {from: big, to: 'no', when: false}
";
const BAD: &str = "\
name: greet
nodes:
  - id: add
    tool: calculater
    parameters: {expression: 1 + 2}
  - id: after
    type: transform
    set: {a: 1}
edges:
  - {from: ad, to: after}
";

#[test]
fn a_finding_has_its_place_a_caret_and_a_hint() {
    let place = TestFolder::with(&[("workflows/greet.yaml", BAD)]);
    let done = place.baton(&["validate", "workflows/greet.yaml"]).expect_code(2);
    let expected = "\
draft[DEF-032]: there is no tool `calculater`
 --> workflows/greet.yaml:4:11
  |
4 |     tool: calculater
  |           ^^^^^^^^^^
  = hint: did you mean `calculator`?
";
    assert!(done.out.contains(expected), "{}", done.out);
    assert!(done.out.contains("workflows/greet.yaml:10:12"), "{}", done.out);
    assert!(done.out.ends_with("1 workflow: 2 drafts\n"), "{}", done.out);
}

#[test]
fn an_editor_gets_each_finding_as_json() {
    let place = TestFolder::with(&[("workflows/greet.yaml", BAD)]);
    let found = place.baton(&["validate", "--json"]).expect_code(2).json();
    assert_eq!((&found["ok"], &found["errors"], &found["drafts"]), (&json!(false), &json!(0), &json!(2)));
    let first = &found["files"][0]["diagnostics"][0];
    assert_eq!(first["code"], "DEF-032");
    assert_eq!((&first["line"], &first["column"], &first["len"]), (&json!(4), &json!(11), &json!(10)));
}

#[test]
fn what_is_wrong_beside_the_workflows_is_told_as_json_too() {
    let place = TestFolder::with(&[("agents/a.yaml", "type: nonsense\n")]);
    let found = place.baton(&["validate", "--json"]).expect_code(2).json();
    assert_eq!(found["ok"], false);
    assert!(found["error"].as_str().is_some_and(|error| error.contains("agents/a.yaml")), "{found}");
}

#[test]
fn a_file_of_a_project_may_name_what_the_project_has_and_a_file_alone_may_not() {
    let tool = "name: greetings\nkind: script\nclass: read\nresults: [{output: {text: hello}}]\n";
    let workflow = "name: greet\nnodes:\n  - {id: hello, tool: greetings}\n";
    let place =
        TestFolder::with(&[("tools/a.yaml", tool), ("workflows/greet.yaml", workflow), ("alone.yaml", workflow)]);
    place.baton(&["validate", "workflows/greet.yaml"]).expect_code(0).expect_stdout("1 workflow: nothing found");
    place.baton(&["validate", "alone.yaml"]).expect_code(2).expect_stdout("`greetings`");
}

#[test]
fn warnings_are_errors_only_where_asked() {
    let workflow = "\
name: mail
nodes:
  - {id: ticket, tool: create_ticket, parameters: {subject: a}}
  - {id: mail, tool: send_email, parameters: {to: a@example.com, subject: a, body: b}}
  - {id: pay, tool: charge_payment, parameters: {amount: 1, method: visa}}
edges:
  - {from: ticket, to: mail}
  - {from: mail, to: pay}
";
    let place = TestFolder::with(&[("workflows/mail.yaml", workflow)]);
    place.baton(&["validate"]).expect_code(0).expect_stdout("warning[DEF-060]");
    place.baton(&["validate", "--strict"]).expect_code(2).expect_stdout("warning[DEF-060]");
}

#[test]
fn a_folder_that_is_no_project_is_said_to_be_none() {
    TestFolder::empty().baton(&["validate"]).expect_code(2).expect_stderr("is no project").expect_stderr("baton init");
    TestFolder::empty().baton(&["validate", "not-there.yaml"]).expect_code(2).expect_stderr("not-there.yaml");
}

#[test]
fn all_that_is_wrong_with_a_project_is_said_in_one_go_each_with_its_place() {
    let place = TestFolder::with(&[
        ("baton.toml", "tennant = \"a\"\n"),
        ("agents/a.yaml", "agents:\n  - {name: one, typ: simple}\n  - {name: two, type: simpel}\n"),
        (
            "tools/t.yaml",
            "tools:\n  - {name: x, kind: script, clas: read}\n  - {name: y, kind: scrip}\n  - {name: z, kind: script, class: read, results: [{output: {}}]}\n",
        ),
        ("triggers/one.yaml", "schedule: []\n"),
        ("triggers/two.yaml", "webhook: []\n"),
        ("workflows/w.yaml", "name: w\nnodes: [{id: a, tool: x}, {id: b, tool: z}, {id: c, type: transfrm}]\n"),
    ]);
    let done = place.baton(&["validate"]).expect_code(2);
    let said = format!("{}{}", done.err, done.out);
    for what in [
        "baton.toml:1:1",
        "`tenant`",
        "agents/a.yaml:2:",
        "agents/a.yaml:3:",
        "tools/t.yaml:2:",
        "`class`",
        "tools/t.yaml:3:",
        "triggers/one.yaml",
        "`schedules`",
        "triggers/two.yaml",
        "`webhooks`",
        "workflows/w.yaml:2:",
        "`transform`",
    ] {
        assert!(said.contains(what), "`{what}` is not in\n{said}");
    }
    assert!(!said.contains("DEF-032"), "`x` may be there once its file can be read:\n{said}");
    let told = place.baton(&["validate", "--json"]).expect_code(2).json();
    assert_eq!((told["faults"].as_array().expect("a list").len(), &told["ok"]), (7, &json!(false)), "{told}");
}

#[test]
fn a_misspelt_argument_in_a_tools_definition_is_found_with_the_nearest() {
    let tool = |read: &str| {
        format!(
            "name: pay\nkind: script\nclass: read\nparameters: {{type: object, properties: {{amount: {{type: number}}}}}}\n\
             results: [{{output: {{paid: '{{{{ arguments.{read} }}}}'}}}}]\n"
        )
    };
    let place = TestFolder::with(&[("baton.toml", ""), ("tools/pay.yaml", &tool("amuont"))]);
    let found = place.baton(&["validate"]).expect_code(0);
    found
        .expect_stdout("warning: tools/pay.yaml:5:")
        .expect_stdout("`arguments.amuont`")
        .expect_stdout("did you mean `amount`?");
    for right in ["amount", "note", "amuont | default(1)"] {
        place.write("tools/pay.yaml", tool(right));
        assert!(!place.baton(&["validate"]).expect_code(0).out.contains("warning"), "{right}");
    }
}

#[test]
fn a_workflow_is_drawn() {
    let place = TestFolder::with(&[("workflows/greet.yaml", GOOD)]);
    let mermaid = place.baton(&["graph", "greet"]).expect_code(0).out;
    assert_eq!(mermaid, include_str!("graph.mmd"));
    let levels = place.baton(&["graph", "workflows/greet.yaml", "--format", "levels"]).expect_code(0).out;
    assert_eq!(levels, "add\nbig\nyes no\n");
    place.baton(&["graph", "greet", "--format", "dot"]).expect_code(0).expect_stdout("digraph");
    place.baton(&["graph", "great"]).expect_code(2).expect_stderr("no workflow `great`");
}

#[track_caller]
fn eval(language: &str, expression: &str, input: &str, expected: &str) {
    let done = TestFolder::empty().baton(&["eval", "--type", language, expression, "--input", input]).expect_code(0);
    assert_eq!(done.out, format!("{expected}\n"));
}

#[test]
fn an_expression_is_evaluated_to_json() {
    eval("jmespath", "a[?b > `1`].c | [0]", r#"{"a": [{"b": 1, "c": "x"}, {"b": 2, "c": "y"}]}"#, r#""y""#);
    eval("expr", "'10:00' in slots and confidence > 0.7", r#"{"slots": ["10:00"], "confidence": 0.8}"#, "true");
    eval("python", "'many' if ns | length > 1 else 'few'", r#"{"ns": [1, 2]}"#, r#""many""#);
    eval("template", "Hola {{ name | upper }}", r#"{"name": "Ana"}"#, r#""Hola ANA""#);
}

#[test]
fn a_bare_literal_in_jmespath_is_one_as_it_is_in_a_workflow() {
    eval("jmespath", "a.success == true", r#"{"a": {"success": true}}"#, "true");
    eval("jmespath", "a.success == false || b == null", r#"{"a": {"success": true}, "b": 1}"#, "false");
    eval("jmespath", "a[?ok == true].n", r#"{"a": [{"ok": true, "n": 1}, {"ok": false, "n": 2}]}"#, "[1]");
    eval("jmespath", "true", r#"{"true": "a field"}"#, r#""a field""#);
}

#[test]
fn an_expression_that_does_not_parse_shows_where() {
    let expected = "\
error: expected an expression, found the end
 --> expression:1:4
  |
1 | x +
  |    ^
";
    TestFolder::empty().baton(&["eval", "--type", "expr", "x +"]).expect_code(2).expect_stderr(expected);
    let done = TestFolder::empty().baton(&["eval", "--type", "jmespath", "a[?b > 1]"]).expect_code(2);
    done.expect_stderr(" --> expression:1:8\n").expect_stderr("hint: numbers to compare with stand in backticks");
}

#[test]
fn an_expression_that_meets_what_it_cannot_use_says_its_code() {
    for (expression, input, code) in [
        ("b", "{}", "EXPR-001"),
        ("a.b", r#"{"a": {}}"#, "EXPR-002"),
        ("a > 1", r#"{"a": "2"}"#, "EXPR-003"),
        ("1 / a", r#"{"a": 0}"#, "EXPR-004"),
        ("range(1000000000) | sum", "{}", "EXPR-005"),
    ] {
        let done = TestFolder::empty().baton(&["eval", "--type", "expr", expression, "--input", input]).expect_code(2);
        done.expect_stderr(&format!("error[{code}]: "));
    }
}

#[test]
fn a_workflow_that_cannot_be_drawn_says_why() {
    let place = TestFolder::with(&[("workflows/greet.yaml", GOOD), ("workflows/bad.yaml", "name: bad\nnodes: 7\n")]);
    place
        .baton(&["graph", "gret"])
        .expect_code(2)
        .expect_stderr("no workflow `gret`")
        .expect_stderr("did you mean `greet`?");
    place
        .baton(&["graph", "bad"])
        .expect_code(2)
        .expect_stderr("error[DEF-010]: ")
        .expect_stderr("workflows/bad.yaml:2:8");
    place.baton(&["graph", "workflows/bad.yaml"]).expect_code(2).expect_stderr("error[DEF-010]: ");
}

#[test]
fn a_name_that_is_not_there_is_an_error_that_names_it_and_what_there_is() {
    let done =
        TestFolder::empty().baton(&["eval", "--type", "expr", "temprature > 3", "--input", r#"{"temperature": 4}"#]);
    done.expect_code(2).expect_stderr("temprature").expect_stderr("temperature");
}

/// Errors in these files are reported with their place, and without terms of the programming language.
#[test]
fn a_file_that_is_wrong_is_refused_in_plain_words() {
    let tool = |line: &str| format!("name: t\nkind: http\nurl: https://a.example/x\nirreversible: sent\n{line}\n");
    let script = |line: &str| format!("name: t\nkind: script\n{line}\n");
    let wrong = [
        ("tools/t.yaml", tool("timeout_ms: soon"), "`timeout_ms`: `soon` is text, and a whole number"),
        ("tools/t.yaml", tool("timeout_ms: -5"), "`-5` is a number, and a whole number, zero or more is wanted"),
        ("tools/t.yaml", tool("retry: {max_attempts: many}"), "`retry.max_attempts`: `many` is text"),
        ("tools/t.yaml", tool("retry: often"), "`retry`: `often` is text, and a mapping of keys is wanted"),
        (
            "tools/t.yaml",
            tool("output_fields: {id: 1}"),
            "`output_fields`: it is a mapping of keys, and a list is wanted",
        ),
        ("tools/t.yaml", tool("compensation: undo_it"), "`undo_it` is text, and a mapping of keys is wanted"),
        ("tools/t.yaml", tool("headers: [a, b]"), "it is a list"),
        ("tools/t.yaml", tool("description: {a: 1}"), "`description`: it is a mapping of keys, and text is wanted"),
        ("tools/t.yaml", tool("class: sometimes"), "`sometimes`"),
        ("tools/t.yaml", tool("cost_usd: cheap"), "`cost_usd`: `cheap` is text, and a number is wanted"),
        ("tools/t.yaml", tool("on_unavailable: wait"), "`wait` is none of `empty`"),
        ("tools/t.yaml", "kind: http\nurl: https://a.example\n".to_owned(), "the key `name` is missing"),
        ("tools/t.yaml", script("latency_ms: [1]"), "it is a list, and a whole number"),
        ("tools/t.yaml", script("results: {output: 1}"), "`results`: it is a mapping of keys, and a list is wanted"),
        ("agents/a.yaml", "type: simple\nprompt: hi\ntools: find\n".to_owned(), "`tools`: `find` is text, and a list"),
        ("agents/a.yaml", "type: simple\nprompt: 7\n".to_owned(), "and text is wanted"),
    ];
    for (file, text, says) in wrong {
        let place =
            TestFolder::with(&[("workflows/w.yaml", "name: w\nnodes: [{id: a, tool: calculator}]\n"), (file, &text)]);
        let done = place.baton(&["validate"]).expect_code(2);
        assert!(done.err.contains(says), "`{says}` is not in\n{}\nof\n{text}", done.err);
        for word in
            ["struct", "invalid type", "invalid value", "sequence", "u64", "u32", "Some(", "None", "enum", "Err("]
        {
            assert!(!done.err.contains(word), "`{word}` is in\n{}", done.err);
        }
    }
}

#[test]
fn what_is_wrong_in_a_tools_file_is_shown_where_it_stands() {
    let tool = |line: &str| format!("name: t\nkind: http\nurl: https://a.example/x\nclass: read\n{line}\n");
    let second = "tools:\n  - {name: a, kind: script, results: [{output: 1}]}\n  - {name: b, kind: http, url: [7]}\n";
    for (text, place) in [
        (tool("timeout_ms: soon"), "5:13"),
        (tool("retry: {max_attempts: many}"), "5:23"),
        (tool("timeout: 700"), "5:1"),
        (tool("body: {a: '{{ nobody.x }}'}"), "5:12"),
        (second.to_owned(), "3:32"),
        ("name: t\nkind: mcp\ncommand: [a]\n".to_owned(), "3:10"),
    ] {
        let found = TestFolder::with(&[("baton.toml", ""), ("tools/t.yaml", &text)]);
        found.baton(&["validate"]).expect_code(2).expect_stderr(&format!(" --> tools/t.yaml:{place}\n"));
    }
}
