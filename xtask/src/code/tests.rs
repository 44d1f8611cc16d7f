use super::*;

/// The blanked `source`, with runs of spaces collapsed.
fn left_of(source: &str) -> String {
    let text = blank(source);
    assert_eq!(text.lines().count(), source.lines().count(), "blanking keeps every line");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn functions_of(source: &str) -> Vec<(String, usize, usize)> {
    BlankedSource::new(source).functions().into_iter().map(|one| (one.name, one.line, one.length)).collect()
}

#[test]
fn comments_are_blanked_nested_ones_too() {
    assert_eq!(left_of("a // b {\nc /* d /* e */ f */ g"), "a c g");
}

#[test]
fn strings_are_blanked_with_their_escapes() {
    assert_eq!(left_of(r#"a("\" { \\") b"#), "a( ) b");
    assert_eq!(left_of("a(\"first\nsecond {\") b"), "a( ) b");
}

#[test]
fn raw_and_byte_strings_are_blanked_to_their_own_end() {
    assert_eq!(left_of(r###"a(r#"quote " inside {"#) b"###), "a( ) b");
    assert_eq!(left_of(r#"a(br"\") b"#), "a(b ) b");
    assert_eq!(left_of("let r#type = for_r(x);"), "let r#type = for_r(x);");
}

#[test]
fn characters_are_blanked_and_lifetimes_stay() {
    assert_eq!(left_of(r"a('{', '\'', '\u{7f}') b"), "a( , , ) b");
    assert_eq!(left_of("fn a<'b>(c: &'b str)"), "fn a<'b>(c: &'b str)");
}

#[test]
fn an_unfinished_literal_reaches_to_the_end() {
    assert_eq!(left_of("a \"b {"), "a");
    assert_eq!(left_of("a /* b {"), "a");
    assert_eq!(left_of("a r#\"b {"), "a");
}

#[test]
fn a_function_is_measured_from_its_word_to_its_brace() {
    let source = "/// {\npub fn one(\n    a: [u8; 4],\n) -> bool {\n    a[0] == b'{'\n}\n";
    assert_eq!(functions_of(source), [("one".to_owned(), 2, 5)]);
}

#[test]
fn a_function_inside_another_counts_in_both() {
    let source = "fn outer() {\n    fn inner() {}\n}\n";
    assert_eq!(functions_of(source), [("outer".to_owned(), 1, 3), ("inner".to_owned(), 2, 1)]);
}

#[test]
fn declarations_pointer_types_and_longer_names_are_no_functions() {
    assert_eq!(functions_of("trait T { fn a(&self); }\ntype F = fn(u8) -> u8;\nlet often = 1;\n"), []);
}

#[test]
fn lines_under_cfg_test_are_known() {
    let code = BlankedSource::new("fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n");
    let marked: Vec<usize> = (1..=6).filter(|line| code.is_test(*line)).collect();
    assert_eq!(marked, [2, 3, 4, 5]);
}

#[test]
fn a_test_module_in_its_own_file_marks_only_its_declaration() {
    let code = BlankedSource::new("#[cfg(test)]\nmod tests;\nfn c() {}\n");
    assert_eq!((1..=3).map(|line| code.is_test(line)).collect::<Vec<_>>(), [true, true, false]);
}

#[test]
fn a_word_is_found_only_by_itself() {
    assert!(has_word("let a: HashMap<u8, u8>;", "HashMap"));
    assert!(has_word("std::time::Instant::now()", "Instant::now"));
    assert!(!has_word("MyHashMap", "HashMap"));
    assert!(!has_word("HashMapLike and Instant::nowhere", "HashMap"));
    assert!(!has_word("Instant::nowhere", "Instant::now"));
}

#[test]
fn test_files_are_known_by_where_they_lie() {
    assert!(is_test_file("crates/core/src/run/tests.rs"));
    assert!(is_test_file("crates/core/tests/fuzz_codec.rs"));
    assert!(!is_test_file("crates/core/src/attests.rs"));
}
