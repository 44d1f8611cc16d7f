use serde_json::{Value as Json, json};

use super::{SourceSpan, YamlNode, read};

fn json_of(source: &str) -> Json {
    read(source.as_bytes()).unwrap_or_else(|wrong| panic!("{source:?}: {wrong:#?}")).to_json()
}

fn wrong(source: &str) -> Vec<(u32, u32, String)> {
    let wrong = read(source.as_bytes()).expect_err(source);
    wrong.into_iter().map(|d| (d.span.line, d.span.column, d.message)).collect()
}

fn span(line: u32, column: u32, len: u32) -> SourceSpan {
    SourceSpan { line, column, len }
}

#[test]
fn plain_words_follow_the_core_schema() {
    let source = "[on, yes, No, true, False, ~, null, 1, -2, +3, 0x1F, 0o17, 1.5, .5, 1e3, -0.0, 1.10.1, 0b1, 1_000, 12:30, 2025-01-20, '1', \"true\"]";
    let meant = json!([
        "on",
        "yes",
        "No",
        true,
        false,
        null,
        null,
        1,
        -2,
        3,
        31,
        15,
        1.5,
        0.5,
        1000.0,
        -0.0,
        "1.10.1",
        "0b1",
        "1_000",
        "12:30",
        "2025-01-20",
        "1",
        "true"
    ]);
    assert_eq!(json_of(source), meant);
}

#[test]
fn json_is_read_as_json() {
    let source = "{\n\t\"a\": [1, 2.5, \"x\\ty\\/z\\u00e9\"],\n\t\"b\":{\"c\":null,\"d\":\"\"},\"e\" : true\n}\n";
    assert_eq!(json_of(source), serde_json::from_str::<Json>(source).unwrap());
}

#[test]
fn json_with_a_character_beyond_the_first_plane_is_read() {
    assert_eq!(json_of(r#"{"a": "\ud83d\ude00 ok"}"#), json!({ "a": "😀 ok" }));
    assert_eq!(json_of(r#"["\\ud83d\\ude00", "\\\ud83d\ude00", "\u00e9"]"#), json!(["\\ud83d\\ude00", "\\😀", "é"]));
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_taken() {
    assert_eq!(json_of("\u{feff}a: 1\r\nb:\r\n  - x\r\n"), json!({ "a": 1, "b": ["x"] }));
}

#[test]
fn anchors_and_merge_keys_are_expanded_and_what_is_written_wins() {
    let source =
        "base: &base {a: 1, b: 2}\nmore: &more {b: 3, c: 4}\nuse:\n  <<: [*base, *more]\n  a: 9\nalso: *base\n";
    let read = json_of(source);
    assert_eq!(read["use"], json!({ "a": 9, "b": 2, "c": 4 }));
    assert_eq!(read["also"], json!({ "a": 1, "b": 2 }));
    assert_eq!(json_of("'<<': 1"), json!({ "<<": 1 }));
}

#[test]
fn every_value_and_key_knows_its_place() {
    let tree = read("name: order\nnodes:\n  - id: \"first one\"\n    set: {a: 1}\n".as_bytes()).unwrap();
    fn at<'t>(tree: &'t YamlNode, path: &[&str]) -> &'t YamlNode {
        tree.deepest_at(path.iter().copied())
    }
    assert_eq!(at(&tree, &["name"]).span, span(1, 7, 5));
    assert_eq!(at(&tree, &["nodes", "0"]).span, span(3, 5, 1));
    assert_eq!(at(&tree, &["nodes", "0", "id"]).span, span(3, 10, 9), "behind the quote");
    assert_eq!(at(&tree, &["nodes", "0", "set", "a"]).span, span(4, 14, 1));
    let (key, _) = tree.as_map().unwrap().get("nodes").unwrap();
    assert_eq!(key.span, span(2, 1, 5));
}

#[test]
fn a_key_written_twice_is_an_error_at_both_places() {
    assert_eq!(
        wrong("a:\n  x: 1\n  y: 2\n  x: 3\n"),
        [
            (4, 3, "`x` is written twice, first in line 2".to_owned()),
            (2, 3, "`x` is written again in line 4".to_owned())
        ]
    );
}

#[test]
fn a_second_document_is_refused() {
    assert_eq!(wrong("a: 1\n---\nb: 2\n"), [(2, 1, "the file holds more than one document".to_owned())]);
}

#[test]
fn a_tab_that_indents_is_told_apart() {
    let refused = read(b"a:\n\tb: 1\n").unwrap_err();
    assert_eq!(refused[0].hint.as_deref(), Some("a tab cannot indent; use spaces"));
}

#[test]
fn a_template_without_quotes_is_told_what_it_lacks() {
    for source in ["a: {{ name }}\n", "a: {{ name }} is here\n"] {
        let refused = read(source.as_bytes()).unwrap_err();
        assert!(refused[0].hint.as_deref().is_some_and(|hint| hint.contains("quotes")), "{refused:?}");
    }
}

#[test]
fn numbers_that_cannot_be_kept_exactly_are_refused() {
    assert!(wrong("phone: 34600111222333444555666")[0].2.contains("too large"));
    assert_eq!(json_of("a: 18446744073709551615\nb: -9223372036854775808"), json!({ "a": u64::MAX, "b": i64::MIN }));
}

#[test]
fn tags_of_yaml_are_taken_and_others_refused() {
    assert_eq!(
        json_of("a: !!str 5\nb: !!int '5'\nc: !!map {}\nd: ! 5"),
        json!({ "a": "5", "b": 5, "c": {}, "d": "5" })
    );
    assert!(wrong("a: !secret x")[0].2.contains("tags other than"));
}
