//! Sources that exceed the limits of an expression. Each ends in an error, quickly and with little memory.

use serde_json::json;

use super::{expr, template};
use crate::{Condition, ConditionLanguage, EvalError, EvalErrorCode, JinjaTemplate};

fn names() -> serde_json::Value {
    json!({"xs": vec![1; 1_000], "text": "abc ".repeat(20_000), "o": {"a": 1}})
}

fn assert_limited(source: &str, result: Result<usize, EvalError>) {
    match result {
        Err(error) => assert_eq!(error.code, EvalErrorCode::Limit, "{source}: {error}"),
        Ok(bytes) => panic!("{source} gave {bytes} bytes"),
    }
}

#[test]
fn expressions_that_grow_without_end_are_stopped() {
    for source in [
        "'a' * 10 ** 9",
        "('a' * 1000000) * 1000000",
        "[0] * 10 ** 9",
        "range(10 ** 9)",
        "range(0, 10 ** 9, 1)|length",
        "range(9000)|map('string')|join(text)",
        "text.replace('a', text)",
        "text.replace('', text)",
        "text * 4",
        "text ~ text ~ text ~ text",
        "[text] * 1000",
        "text.replace(' ', '\\n')|indent(10000)",
        "xs|batch(1, 0)|map('list')|list * 10000",
        "(range(9999)|list + [0]) in [range(10000)|list] * 1000",
        "(xs * 10)|unique|length + (range(9000)|unique|length)",
        "text.split(' ') * 100",
        "(text|list)|join(text)",
        "[[xs] * 100] * 100 == [[xs] * 100] * 100",
    ] {
        assert_limited(source, expr(source, &names()).map(|value| value.to_string().len()));
    }
}

#[test]
fn templates_that_grow_without_end_are_stopped() {
    let doubled = format!("{{% set x = 'ab' %}}{}{{{{ x }}}}", "{% set x = x ~ x %}".repeat(60));
    let nested = format!("{{% set x = [1] %}}{}{{{{ x }}}}", "{% set x = [x, x] %}".repeat(60));
    let compared = format!(
        "{{% set x = [1] %}}{{% set y = [1] %}}{}{{{{ x == y }}}}",
        "{% set x = [x, x] %}{% set y = [y, y] %}".repeat(40)
    );
    let deep =
        format!("{{% set ns = namespace(x=1) %}}{}", "{% for i in range(1000) %}{% set ns.x = [ns.x] %}{% endfor %}");
    let looped = "{% for a in range(5000) %}{% for b in range(5000) %}{% endfor %}{% endfor %}";
    let written = "{% for a in range(9000) %}{{ text }}{% endfor %}";
    let raw = format!("{{% for a in range(9000) %}}{}{{% endfor %}}", "x".repeat(1_000));
    let captured = "{% set ns = namespace(s='abcdefgh') %}{% for i in range(60) %}\
                    {% set ns.s %}{{ ns.s }}{{ ns.s }}{% endset %}{% endfor %}";
    let joined =
        "{% set ns = namespace(s='abcdefgh') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}";
    let recursive = "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}";
    let mutual = "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{{ a() }}{% endmacro %}{{ a() }}";
    let tree = "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(40) }}";
    let defaults = "{% macro m(a=m()) %}{% endmacro %}{{ m() }}";
    let assigned: String = (0..4_000).map(|n| format!("{{% set a{n} = 1 %}}")).collect();
    let searched = format!("{assigned}{{% for i in range(9999) %}}{{% set b = a0 + a0 + a0 + a0 %}}{{% endfor %}}");
    for source in [
        doubled.as_str(),
        &searched,
        &nested,
        &compared,
        &deep,
        looped,
        written,
        &raw,
        captured,
        joined,
        recursive,
        mutual,
        tree,
        defaults,
    ] {
        assert_limited(source, template(source, &names()).map(|text| text.len()));
    }
}

#[test]
fn format_bombs_are_refused() {
    for source in ["'%1000000000d'|format(1)", "'%.1000000000f'|format(1)", "'%099999999999999999999999d'|format(1)"] {
        assert_eq!(expr(source, &names()).unwrap_err().code, EvalErrorCode::BadValue, "{source}");
    }
    assert_eq!(expr("'7'.zfill(1000000000)|length", &names()), Ok(json!(10_000)));
    assert_eq!(expr("'a'|truncate(1000000000)", &names()), Ok(json!("a")));
    assert_eq!(expr("{}|tojson(1000000000)", &names()), Ok(json!("{}")));
}

#[test]
fn sources_that_nest_without_end_are_refused_on_a_small_stack() {
    let opened = ["(", "[", "{'a': ", "-", "not ", "a[", "a(", "f(a=", "[[", "(1, ", "a if ", "1 ** -", "a|f(", "a.b("];
    let repeated = [
        "a.",
        "a + ",
        "a ~ ",
        "a ** ",
        "a and ",
        "a or ",
        "a == ",
        "a < ",
        "a if a else ",
        "a in ",
        "a is in ",
        "a|upper|",
        "a[0]",
        "a['b'].",
        "'a' ",
        "a, ",
        "1 if a else ",
    ];
    let tags =
        ["{% if a %}", "{% for x in xs %}", "{% with %}", "{% macro m() %}", "{% filter upper %}", "{% set x %}"];
    let expressions: Vec<String> = opened
        .iter()
        .chain(&repeated)
        .flat_map(|part| [part.repeat(5_000 / part.len()), format!("{}a", part.repeat(5_000 / part.len()))])
        .collect();
    let templates: Vec<String> = tags.iter().map(|part| part.repeat(5_000)).collect();
    std::thread::Builder::new()
        .stack_size(1024 * 1024)
        .spawn(move || {
            let names = names();
            for source in &expressions {
                if let Ok(condition) = Condition::parse(ConditionLanguage::Expr, source) {
                    let _ = condition.value(&super::JsonContext::new(&names, super::moment()));
                }
            }
            for source in &templates {
                assert!(JinjaTemplate::parse(source).is_err());
            }
            let deepest = format!("{}1{}", "(".repeat(60), ")".repeat(60));
            assert_eq!(expr(&deepest, &names), Ok(json!(1)));
            let recursive = "{% macro m(n) %}{% if n %}{{ [[[[m(n - 1)]]]] }}{% endif %}{% endmacro %}{{ m(1000) }}";
            assert_eq!(template(recursive, &names).unwrap_err().code, EvalErrorCode::Limit);
        })
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn a_megabyte_of_source_is_refused_unread() {
    for part in ["a", "{{ a }}", "{%", "(", "{{ '", "{#"] {
        let source = part.repeat(1024 * 1024 / part.len());
        assert!(JinjaTemplate::parse(&source).is_err());
        assert!(Condition::parse(ConditionLanguage::Expr, &source).is_err());
    }
}

#[test]
fn every_text_is_read_or_refused_and_never_panics() {
    let pieces = [
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        "-",
        "+",
        "raw",
        "endraw",
        "if",
        "else",
        "endif",
        "for",
        "in",
        "set",
        "=",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "|",
        ".",
        ",",
        ":",
        "'",
        "\"",
        "\\",
        "x",
        "é",
        "\u{1F600}",
        "1",
        "1.5",
        "not",
        "is",
        "upper",
        "default",
        " ",
        "\n",
        "loop",
        "namespace",
        "**",
        "//",
        "~",
        "0",
        "null",
        "range",
        "%",
    ];
    // A small generator, so that the same sources are tested every time.
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let names = json!({"x": [1, {"a": "é"}], "is": null});
    for _ in 0..20_000 {
        let mut source = String::new();
        for _ in 0..(state % 24) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            source.push_str(pieces[usize::try_from(state % 47).unwrap()]);
        }
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let document = super::JsonContext::new(&names, super::moment());
        if let Ok(template) = JinjaTemplate::parse(&source) {
            let _ = template.render(&document);
        }
        if let Ok(condition) = Condition::parse(ConditionLanguage::Expr, &source) {
            let _ = condition.value(&document);
        }
        let _ = crate::jmespath::search(&source, &names);
    }
}
