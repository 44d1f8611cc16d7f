//! Hostile input is refused clearly, quickly, and without a panic.

use std::fmt::Write as _;

use super::super::source::{DEPTH_MAX, SOURCE_BYTES_MAX};
use super::super::{CheckedDefinition, DefinitionCatalog, Severity, check};

/// Speed is tested on the binary, from outside: here a hang is caught by the test runner's own time limit.
fn checked(source: &[u8]) -> CheckedDefinition {
    check(source, &DefinitionCatalog::default())
}

/// Asserts that the source is refused with an error whose message contains `words`.
fn refused(source: impl AsRef<[u8]>, words: &str) {
    let checked = self::checked(source.as_ref());
    let said: Vec<&str> = checked.diagnostics.iter().map(|diagnostic| diagnostic.message.as_str()).collect();
    assert_eq!(checked.worst_severity(), Some(Severity::Error), "{said:?}");
    assert!(said.iter().any(|message| message.contains(words)), "{said:#?}");
    assert!(checked.workflow.is_none() && checked.bundle.is_none());
}

#[test]
fn ten_megabytes_are_refused_at_once() {
    refused("a: b\n".repeat(2 * 1024 * 1024), "a definition has at most 2097152");
    refused(vec![b'x'; SOURCE_BYTES_MAX + 1], "a definition has at most");
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    refused([0x7f, b'E', b'L', b'F', 2, 1, 1, 0], "control character");
    refused([b'a', b':', b' ', 0xff, 0xfe, 0x80], "byte 3 is not UTF-8");
    refused([0xff, 0xfe, b'n', 0, b'a', 0], "UTF-16");
    refused(b"name: a\0b", "control character U+0000");
    refused(vec![0_u8; 100_000], "control character");
}

#[test]
fn nothing_at_all_is_refused() {
    for empty in ["", " \n\t\n", "# only a comment\n", "---\n", "~", "\u{feff}", "---\n...\n"] {
        refused(empty, "the definition is empty");
    }
}

#[test]
fn an_alias_bomb_costs_no_more_than_its_budget() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..60 {
        let before = level - 1;
        let _ = writeln!(bomb, "a{level}: &a{level} [{}]", vec![format!("*a{before}"); 9].join(", "));
    }
    refused(bomb, "more than 200000 values");
}

#[test]
fn an_alias_to_a_long_text_is_counted_by_its_bytes() {
    let mut bomb = format!("a: &a {}\nb:\n", "x".repeat(100_000));
    bomb.push_str(&"  - *a\n".repeat(10_000));
    refused(bomb, "bytes of text");
}

#[test]
fn an_alias_inside_what_it_names_is_refused() {
    refused("a: &a [1, *a]", "stands inside what it names");
    refused("a: *nowhere", "not valid YAML");
}

#[test]
fn three_hundred_thousand_values_are_refused() {
    refused("- \n".repeat(300_000), "more than 200000 values");
    refused(format!("[{}]", "1,".repeat(300_000)), "more than 200000 values");
}

#[test]
fn more_nodes_than_a_workflow_may_have_are_refused() {
    let mut many = String::from("name: many\nnodes:\n");
    (0..10_001).for_each(|n| writeln!(many, "- {{id: n{n}, tool: t}}").unwrap());
    refused(many, "more than 10000 nodes");
}

#[test]
fn deep_nesting_is_refused_in_every_form() {
    let words = &format!("more than {DEPTH_MAX} levels");
    refused("[".repeat(1_000_000), words);
    refused("{a: ".repeat(400_000), words);
    refused("- ".repeat(900_000), words);
    refused("? ".repeat(900_000), "");
    refused((0..1_400).map(|n| format!("{}a:\n", " ".repeat(n))).collect::<String>(), words);
    let mut nested = String::from("*a64");
    for level in (0..64).rev() {
        nested = format!("x{level}: &a{} [*a{level}]\n{nested}", level + 1);
    }
    refused(format!("x: &a0 [1]\n{}", nested.replace("*a64", "z: *a64")), "");
}

#[test]
fn bodies_within_bodies_are_bounded() {
    let mut nested = String::from("{nodes: [{id: n, tool: t}]}");
    for _ in 0..12 {
        nested = format!("{{nodes: [{{id: n, for_each: [1], body: {nested}}}]}}");
    }
    refused(format!("{{name: deep, {}", &nested[1..]), "bodies nest more than 8");
}

#[test]
fn unfinished_and_odd_texts_are_errors_not_panics() {
    let odd = [
        "name: \"unfinished",
        "name: 'unfinished",
        "nodes: [",
        "nodes: {",
        "a: b: c",
        "\t- x",
        "a:\n\t- b",
        "%YAML 9.9\n---\na: b",
        "--- |\n",
        "!!binary aGk=",
        "!x y",
        "a: !!int x",
        "? [a]\n: b",
        "? {a: b}\n: c",
        "a: .inf",
        "a: .nan",
        "a: 99999999999999999999999999",
        "<<: 1",
        "<<: [1]",
        "a: &a\n<<: *a",
        "- ",
        "\"\\ud800\"",
        "a: 0x",
        "a: 1e999",
        "nodes: 5",
        "nodes: [5]",
        "steps: {}",
        "nodes: null",
        "edges: []",
        "workflow: []",
        "true",
        "5",
        "[]",
        "{}",
        "nodes: [{}]",
        "nodes: [{id: 5, tool: 5}]",
        "nodes: [{id: a, type: 5}]",
        "---\na: 1\n---\nb: 2",
        "@",
        "`",
        "|",
        ">-",
        "{a: {a: {a: ",
        "[[]]]",
        "}",
        "&",
        "*",
        "!",
        "%",
        "a: |9\n  x",
        "\u{85}\u{2028}",
        "- - -\n -",
        "{{ x }}",
        "a: {{ x }}",
    ];
    for text in odd {
        let checked = self::checked(text.as_bytes());
        assert_eq!(checked.worst_severity(), Some(Severity::Error), "{text:?}");
    }
}

#[test]
fn long_tokens_and_lines_are_read_in_linear_time() {
    for source in [
        "a".repeat(2_000_000),
        format!("\"{}", "a".repeat(2_000_000)),
        format!("a: \"{}\"", "\\n".repeat(900_000)),
        format!("a: |\n{}", "  x\n".repeat(400_000)),
        format!("a: >\n{}", "  x\n\n".repeat(300_000)),
        format!("a: {}", "x ".repeat(900_000)),
        format!("{}: 1", "k".repeat(1_000_000)),
        "#".repeat(2_000_000),
        "\n".repeat(2_000_000),
        " ".repeat(2_000_000),
        "&a ".repeat(600_000),
        "!".repeat(2_000_000),
        "'".repeat(2_000_000),
        "%".repeat(2_000_000),
        "a: &a ".repeat(300_000),
        "{".repeat(60) + &",".repeat(1_000_000),
        "[a, ".repeat(60) + &"b, ".repeat(150_000),
        "[".to_owned() + &"a: b, ".repeat(90_000),
        "[".to_owned() + &"? a : b, ".repeat(90_000),
        "{a b c d e f ".repeat(100_000),
        "*a ".repeat(600_000),
    ] {
        let checked = self::checked(source.as_bytes());
        assert_eq!(checked.worst_severity(), Some(Severity::Error), "{:?}", source.get(..20));
    }
}

#[test]
fn as_many_keys_as_fit_are_looked_up_in_time() {
    let keys: String = (0..90_000).map(|n| format!("k{n}: 1\n")).collect();
    refused(&keys, "means nothing");
    refused(format!("{keys}k5: 2\n"), "written twice");
    let steps: String = (0..9_000).map(|n| format!("- {{id: n{n}, tol: x}}\n")).collect();
    refused(format!("steps:\n{steps}"), "cannot be told");
}

#[test]
fn the_largest_graphs_are_checked_in_time() {
    let chain: String = (0..9_999).map(|n| format!("- {{id: n{n}, tool: t}}\n")).collect();
    let edges: String = (0..9_998).map(|n| format!("- {{from: n{n}, to: n{}}}\n", n + 1)).collect();
    let checked = self::checked(format!("name: chain\nnodes:\n{chain}edges:\n{edges}").as_bytes());
    assert!(checked.workflow.is_some(), "{:?}", checked.diagnostics.first());

    refused(format!("name: ring\nnodes:\n{chain}edges:\n{edges}- {{from: n9998, to: n0}}\n"), "in a circle: n0 → n1");
}

#[test]
fn dense_graphs_of_merges_and_choices_are_checked_in_time() {
    let mut dense = String::from("name: dense\nnodes:\n- {id: n0, type: condition, condition: 'true'}\n");
    for n in 1..5_000 {
        let kind = match n % 3 {
            0 => "type: merge, mode: any",
            1 => "type: condition, condition: 'true'",
            _ => "type: transform, set: {k: 1}",
        };
        let _ = writeln!(dense, "- {{id: n{n}, {kind}}}");
    }
    dense.push_str("edges:\n");
    for n in 1..5_000_u32 {
        for back in [1, 7, 40, 900, 2_500] {
            if let Some(from) = n.checked_sub(back) {
                let _ = writeln!(dense, "- {{from: n{from}, to: n{n}}}");
            }
        }
    }
    checked(dense.as_bytes());
}

#[test]
fn many_findings_are_cut_short() {
    let steps: String = (0..9_000).map(|n| format!("- {{id: n{n}, tool: t, depends_on: [x{n}]}}\n")).collect();
    let checked = self::checked(format!("name: many\nsteps:\n{steps}").as_bytes());
    assert_eq!(checked.diagnostics.len(), super::super::DIAGNOSTICS_MAX + 1);
    assert!(checked.diagnostics.last().unwrap().message.contains("more findings"));
}

/// Checks with a catalogue, so that the checks against tool contracts run, too.
fn checked_with_catalog(source: &str) -> CheckedDefinition {
    check(source.as_bytes(), &super::fixture_catalog::catalog())
}

fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(|n| line(n) + "\n").collect()
}

#[test]
fn as_many_calls_as_fit_are_checked_in_time() {
    let call = "tool: google_calendar, parameters: {action: create_booking, date: tomorrow, time: '10:00'}";
    let calls = lines(9_999, |n| format!("- {{id: n{n}, {call}}}"));
    assert!(checked_with_catalog(&format!("name: x\nnodes:\n{calls}")).runnable().is_some());
}

#[test]
fn the_saga_check_of_a_long_chain_ends_in_time() {
    let send = "tool: send_email, parameters: {to: x, subject: y}";
    let chain = lines(9_900, |n| format!("- {{id: n{}, {send}, depends_on: n{n}}}", n + 1));
    let first = "- {id: n0, tool: create_ticket, parameters: {subject: x}}";
    let checked = checked_with_catalog(&format!("name: x\nsteps:\n{first}\n{chain}"));
    assert_eq!(checked.worst_severity(), Some(Severity::Warning));
}

#[test]
fn regular_expressions_that_take_long_to_compile_are_counted() {
    let forms =
        lines(9_000, |n| format!("- {{id: n{n}, title: x, form: {{pattern: '((a{{0,9}}){{0,9}}){{0,{n}}}'}}}}"));
    let checked = checked_with_catalog(&format!("name: x\nnodes:\n{forms}"));
    let said = |words: &str| checked.diagnostics.iter().any(|found| found.message.contains(words));
    assert!(said("more than 500 patterns"), "{:?}", checked.diagnostics.last());
}

#[test]
fn implied_edges_without_end_are_cut_short() {
    let publish =
        lines(5_000, |n| format!("- {{id: n{n}, tool: web_search, parameters: {{query: x}}, output_key: k}}"));
    let read = lines(4_900, |n| format!("- {{id: m{n}, tool: web_search, parameters: {{query: $k}}}}"));
    refused(format!("name: x\nsteps:\n{publish}{read}"), "more than 50000 edges");
    let cases = lines(9_000, |n| format!("  - {{name: c{n}, condition: 'true'}}"));
    let after = lines(9_900, |n| format!("- {{id: n{n}, duration: 1, depends_on: s}}"));
    refused(format!("name: x\nnodes:\n- id: s\n  cases:\n{cases}{after}"), "more than 50000 edges");
}

#[test]
fn a_schema_cannot_reach_for_other_files() {
    let form = |reference: &str| format!("name: x\nnodes: [{{id: a, title: x, form: {{$ref: '{reference}'}}}}]");
    refused(form("http://127.0.0.1:9/x"), "is not a JSON Schema");
    refused(form("file:///etc/passwd"), "is not a JSON Schema");
}
