//! Text, tags, names and macros.

use serde_json::json;

use super::{check_text, template};
use crate::JinjaTemplate;

#[test]
fn templates_write_text_around_values() {
    check_text(
        &json!({"message": "I want a refund", "n": 3, "f": 1.0, "yes": true, "no": null, "xs": [1, "a"]}),
        &[
            ("Classify: {{message}}", "Classify: I want a refund"),
            ("{{ n }} {{ f }} {{ yes }} {{ no }}", "3 1.0 true none"),
            ("{{ xs }} {{ {'a': none} }}", "[1, \"a\"] {\"a\": null}"),
            ("a{# not this #}b", "ab"),
            ("{% raw %}{{ as it is }}{% endraw %}", "{{ as it is }}"),
            ("{{ '{{' }} {{ \"}}\" }}", "{{ }}"),
            ("{ no } { % tag }", "{ no } { % tag }"),
            ("{{ {'a': {'b': 1}}['a']['b'] }}", "1"),
            ("one line\n", "one line"),
            ("two lines\n\n", "two lines\n"),
            ("", ""),
            ("{{ 'x' if false }}|", "|"),
        ],
    );
}

#[test]
fn a_list_field_may_choose_between_literals() {
    let source = "{% if classify_intent.intent == 'return_request' %}['returns']\n\
                  {% elif classify_intent.intent == 'technical_issue' %}['technical']\n\
                  {% else %}['general']\n{% endif %}\n";
    for (intent, wanted) in [("return_request", "returns"), ("technical_issue", "technical"), ("x", "general")] {
        let text = template(source, &json!({"classify_intent": {"intent": intent}})).unwrap();
        assert_eq!(crate::literal_list(&text), Ok(json!([wanted])));
    }
}

#[test]
fn tags_take_the_white_space_they_are_told_to() {
    check_text(
        &json!({"xs": [1, 2]}),
        &[
            ("a {{- 1 }} b", "a1 b"),
            ("a {{ 1 -}} b", "a 1b"),
            ("a\n{%- if true -%}\n b\n{%- endif %} c", "ab c"),
            ("{% for x in xs -%} {{ x }}, {% endfor %}", "1, 2, "),
            ("a {#- gone -#} b", "ab"),
            ("a {%- raw -%} x {%- endraw -%} b", "axb"),
            ("a {%+ if true %}b{% endif %}", "a b"),
        ],
    );
}

#[test]
fn loops_go_through_lists_and_objects() {
    check_text(
        &json!({"xs": ["a", "b", "c"], "o": {"k": 1, "l": 2}, "empty": [], "pairs": [[1, 2], [3, 4]]}),
        &[
            ("{% for x in xs %}{{ loop.index }}{{ x }}{% if not loop.last %},{% endif %}{% endfor %}", "1a,2b,3c"),
            ("{% for x in xs if x != 'b' %}{{ loop.index0 }}{{ x }}/{{ loop.length }} {% endfor %}", "0a/2 1c/2 "),
            ("{% for x in empty %}x{% else %}nothing{% endfor %}", "nothing"),
            ("{% for k, v in o.items() %}{{ k }}={{ v }};{% endfor %}", "k=1;l=2;"),
            ("{% for k in o %}{{ k }}{% endfor %}", "kl"),
            ("{% for (a, b) in pairs %}{{ a + b }} {% endfor %}", "3 7 "),
            ("{% for x in xs %}{{ loop.cycle('odd', 'even') }} {% endfor %}", "odd even odd "),
            ("{% for x in xs %}{{ loop.previtem|d('-') }}{{ loop.nextitem|d('-') }} {% endfor %}", "-b ac b- "),
            (
                "{% for a in [1, 2] %}{% for b in [1, 2] %}{{ loop.revindex }}{% endfor %}{{ loop.first }} {% endfor %}",
                "21true 21false ",
            ),
            ("{% for c in 'ab' %}{{ c }}.{% endfor %}", "a.b."),
        ],
    );
}

#[test]
fn names_can_be_given_values() {
    check_text(
        &json!({"x": 1, "xs": [1, 2, 3]}),
        &[
            ("{% set y = x + 1 %}{{ y }}", "2"),
            ("{% set a, b = 1, 2 %}{{ a }}{{ b }}", "12"),
            ("{% set x = 5 %}{{ x }}", "5"),
            ("{% if true %}{% set z = 3 %}{% endif %}{{ z }}", "3"),
            ("{% set s %}<{{ x }}>{% endset %}{{ s }}{{ s }}", "<1><1>"),
            ("{% set s | upper %}abc{% endset %}{{ s }}", "ABC"),
            ("{% with a = 1, b = a + 1 %}{{ b }}{% endwith %}", "2"),
            ("{% set y = 0 %}{% for x in xs %}{% set y = y + x %}{% endfor %}{{ y }}", "0"),
            (
                "{% set ns = namespace(sum=0) %}{% for x in xs %}{% set ns.sum = ns.sum + x %}{% endfor %}{{ ns.sum }}",
                "6",
            ),
            ("{% filter upper %}a{{ x }}{% endfilter %}", "A1"),
        ],
    );
}

#[test]
fn macros_see_their_arguments_and_the_names_of_the_run() {
    check_text(
        &json!({"company": "Acme"}),
        &[
            (
                "{% macro hi(name, mark='!') %}{{ name }} from {{ company }}{{ mark }}{% endmacro %}{{ hi('Bo') }} {{ hi('Cy', mark='?') }}",
                "Bo from Acme! Cy from Acme?",
            ),
            ("{% macro down(n) %}{{ n }}{% if n > 0 %}{{ down(n - 1) }}{% endif %}{% endmacro %}{{ down(3) }}", "3210"),
            (
                "{% set top = 1 %}{% macro m() %}{{ top }}{{ inner|default('-') }}{% endmacro %}{% for inner in [1] %}{{ m() }}{% endfor %}",
                "1-",
            ),
        ],
    );
}

#[test]
fn roots_are_the_names_that_come_from_outside() {
    let roots = |source: &str| JinjaTemplate::parse(source).unwrap().roots().iter().cloned().collect::<Vec<_>>();
    assert_eq!(roots("{{ a.b[c] | default(d) }} {{ now() }} {{ e is defined }}"), ["a", "c", "d", "e"]);
    assert_eq!(roots("{% for x in xs if x > y %}{{ loop.index }}{{ x.z }}{% endfor %}{{ x }}"), ["x", "xs", "y"]);
    assert_eq!(
        roots("{% set a = b %}{{ a }}{% macro m(p, q=r) %}{{ p }}{{ q }}{{ s }}{% endmacro %}{{ m(t) }}"),
        ["b", "r", "s", "t"]
    );
    assert_eq!(roots("no holes"), Vec::<String>::new());
}

#[test]
fn a_name_without_a_value_here_is_looked_for_outside() {
    check_text(
        &json!({"z": "outside", "flag": false}),
        &[("{% if flag %}{% set z = 'inside' %}{% endif %}{{ z }}", "outside")],
    );
}
