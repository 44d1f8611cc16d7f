//! Rejected sources and their error messages.

use serde_json::json;

use super::{expr, refused, template};
use crate::{EvalErrorCode, ExprLimits};

#[test]
fn what_does_not_parse_says_where_and_what_to_do() {
    for (source, offset, hint) in [
        ("{{ a && b }}", 5, "write `and`"),
        ("{{ a || b }}", 5, "write `or`"),
        ("{{ !a }}", 3, "write `not`"),
        ("{{ a ? 1 : 2 }}", 5, "write `a if condition else b`"),
        ("{% if a = 1 %}{% endif %}", 8, "to compare, write `==`"),
        ("{{ a|uper }}", 5, "did you mean `upper`?"),
        ("{{ a.lowr() }}", 5, "did you mean `lower`?"),
        ("{{ a.length() }}", 5, "`length` is a filter: write `value|length`"),
        ("{{ a.append(1) }}", 5, "values are never changed in place; make a new one, as in `a + [b]`"),
        ("{{ a is defind }}", 8, "did you mean `defined`?"),
        ("{{ ragne(3) }}", 3, "did you mean `range`?"),
        ("{{ customer() }}", 3, "where `customer` is a value, leave out the brackets"),
        ("{% fi a %}{% endif %}", 3, "did you mean `if`?"),
        ("{% include 'x' %}", 3, "a template reads no other file; write the text here"),
        ("{% endfor %}", 3, "the block begins with `{% for … %}`"),
        (
            "{{#each tools}}",
            2,
            "loops are `{% for item in items %}`, conditions `{% if condition %}`, comments `{# … #}`",
        ),
        ("{{ [x for x in xs] }}", 6, "use filters: `people|selectattr('active')|map(attribute='name')`"),
    ] {
        let error = refused(source);
        assert_eq!((error.offset, error.hint.as_deref()), (Some(offset), Some(hint)), "{source}: {error}");
    }
}

#[test]
fn what_is_not_closed_is_refused() {
    for source in [
        "{{ a",
        "{{ a }",
        "{% if a %}",
        "{% for x in xs %}",
        "{% if a",
        "{# a",
        "{% raw %} a",
        "{{ 'a }}",
        "{{ (a }}",
        "{{ [a }}",
        "{{ a[ }}",
        "{{ a. }}",
        "{{ }}",
        "{{ a b }}",
        "{{ a| }}",
        "{% for in xs %}{% endfor %}",
        "{% %}",
        "{% set %}",
        "{% set a = %}",
        "{% macro m( %}{% endmacro %}",
        "{% if a %}{% else %}{% else %}{% endif %}",
        "{{ {'a' 1} }}",
        "{{ '\\q' }}",
        "{{ 1 if }}",
        "{{ f(a=1, 2) }}",
        "{{ a.b.c( }}",
        "{{ 9 * }}",
    ] {
        refused(source);
    }
}

#[test]
fn senseless_operations_say_why() {
    let names = json!({"s": "a", "n": null, "o": {}});
    for (source, message) in [
        ("s + 1", "`+` has no meaning between a string and a number"),
        ("n > 1", "there is no order between null and a number"),
        ("s < 1", "there is no order between a string and a number"),
        ("1 in 5", "`in` has no meaning between a number and a number"),
        ("n|length", "null has no length"),
        ("o|join", ""),
        ("1 / 0", "1 / 0: there is no division by zero"),
        ("1 // 0", "1 // 0: there is no division by zero"),
        ("1.5 % 0", "1.5 % 0: there is no division by zero"),
        ("n|upper", "`upper` wants a string, not null"),
        ("-s", "`-` has no meaning before a string"),
        ("[1, 'a']|sort", "there is no order between a number and a string"),
        ("['a', 1]|sum", "`sum` wants numbers and met a string"),
        ("s|round", "`round` wants a number, not a string"),
        ("s|int", "`a` is not a whole number"),
        ("s|upper(1)", "`upper` was given too many arguments"),
        ("s|join(sep='x')", "`join` has no argument `sep`"),
        ("[1]|map", "`map` needs a filter or an attribute"),
        ("2 ** 1000", "the result of `**` is too large to be a number"),
        ("1e308 * 10", "the result is too large to be a number"),
    ] {
        match expr(source, &names) {
            Err(error) => assert_eq!(error.message, message, "{source}"),
            Ok(value) => assert_eq!(message, "", "{source} = {value}"),
        }
    }
}

#[test]
fn values_that_are_none_of_their_own_cannot_leave_the_template() {
    let kept = "{% set ns = namespace(a=1) %}{% set ns.b = ns %}";
    assert_eq!(template(kept, &json!({})).unwrap_err().code, EvalErrorCode::WrongType);
    let written = "{% for x in [1] %}{{ loop }}{% endfor %}";
    assert_eq!(template(written, &json!({})).unwrap_err().code, EvalErrorCode::WrongType);
}

#[test]
fn a_template_as_long_as_allowed_is_read_and_one_longer_is_not() {
    let longest = "a".repeat(ExprLimits::TEMPLATE_BYTES_MAX);
    assert_eq!(template(&longest, &json!({})).unwrap().len(), ExprLimits::TEMPLATE_BYTES_MAX);
    assert!(refused(&"a".repeat(ExprLimits::TEMPLATE_BYTES_MAX + 1)).message.contains("may be at most 131072"));
}
