use serde_json::{Value, json};

use crate::expr::{Code, Condition, Document, EvalError, Language, Limit, ParseError, Template};

mod hostile;

fn moment() -> jiff::Timestamp {
    "2025-11-07T22:30:00Z".parse().unwrap()
}

fn expr(source: &str, names: &Value) -> Result<Value, EvalError> {
    let condition = Condition::parse(Language::Expr, source).unwrap_or_else(|error| panic!("{source}: {error:?}"));
    condition.value(&Document::new(names, moment()))
}

fn template(source: &str, names: &Value) -> Result<String, EvalError> {
    let template = Template::parse(source).unwrap_or_else(|error| panic!("{source}: {error:?}"));
    template.render(&Document::new(names, moment()))
}

fn refused(source: &str) -> ParseError {
    match Template::parse(source) {
        Err(error) => error,
        Ok(_) => panic!("`{source}` was parsed"),
    }
}

/// Each expression, and the value it has over `names`.
fn check(names: &Value, cases: &[(&str, Value)]) {
    for (source, wanted) in cases {
        assert_eq!(expr(source, names).as_ref(), Ok(wanted), "{source}");
    }
}

/// Each template, and what it writes over `names`.
fn check_text(names: &Value, cases: &[(&str, &str)]) {
    for (source, wanted) in cases {
        assert_eq!(template(source, names).as_deref(), Ok(*wanted), "{source}");
    }
}

#[test]
fn the_conditions_of_the_seeds_hold() {
    let names = json!({"available_slots": ["09:00-10:00", "10:00-11:00"], "confidence": 0.8, "date": "tomorrow"});
    check(
        &names,
        &[
            (r#""10:00-11:00" in available_slots and confidence > 0.7"#, json!(true)),
            (r#""15:00-16:00" in available_slots"#, json!(false)),
            ("date_is_future(date)", json!(true)),
            ("not date_is_past(date)", json!(true)),
            ("available_slots|length == 2 and len(available_slots) == 2", json!(true)),
        ],
    );
}

#[test]
fn operators_bind_as_in_jinja_and_python() {
    check(
        &json!({"x": 5, "s": "abc", "n": null, "xs": [1, 2, 3]}),
        &[
            ("1 + 2 * 3", json!(7)),
            ("(1 + 2) * 3", json!(9)),
            ("7 // 2 - 7 % 4", json!(0)),
            ("-7 // 2", json!(-4)),
            ("-7 % 3", json!(2)),
            ("7 // -2", json!(-4)),
            ("7 % -3", json!(-2)),
            ("6 / 2", json!(3.0)),
            ("2 ** 10", json!(1024)),
            ("2 ** -1", json!(0.5)),
            ("1 < x <= 5 != 4", json!(true)),
            ("1 < x < 3", json!(false)),
            ("not x == 5 or s", json!("abc")),
            ("x and 0", json!(0)),
            ("'a' ~ 1 ~ true", json!("a1true")),
            ("'a' ~ 1 + 'b' ~ 2", json!("a1b2")),
            ("'a' + 'b'", json!("ab")),
            ("'ab' * 2", json!("abab")),
            ("[1] + [2]", json!([1, 2])),
            ("[0] * 3", json!([0, 0, 0])),
            ("-3|abs", json!(3)),
            ("x if x > 3 else 'small'", json!(5)),
            ("'a' if false else 'b' if false else 'c'", json!("c")),
            ("x not in xs", json!(true)),
            ("'b' in s and 2 in xs", json!(true)),
            ("n is none and n == none and n == null and None == n", json!(true)),
            ("x is not none and x is number and s is string", json!(true)),
            ("not x is odd", json!(false)),
            ("x is divisibleby 5", json!(true)),
            ("x is in [5, 6]", json!(true)),
            ("1 == 1.0", json!(true)),
            ("{'a': 1, 'b': [x]}", json!({"a": 1, "b": [5]})),
            ("(1, 'a')", json!([1, "a"])),
        ],
    );
}

#[test]
fn fields_items_and_slices_are_found() {
    check(
        &json!({"o": {"a": {"b": [10, 20, {"c": "x"}]}, "items": 3, "key-1": 1}, "s": "héllo", "k": "a"}),
        &[
            ("o.a.b[0]", json!(10)),
            ("o.a.b.1", json!(20)),
            ("o.a.b[-1].c", json!("x")),
            ("o['a']['b'][2]['c']", json!("x")),
            ("o[k].b|length", json!(3)),
            ("o.items", json!(3)),
            ("o['key-1']", json!(1)),
            ("o.a.b[:2]", json!([10, 20])),
            ("o.a.b[::-1][1]", json!(20)),
            ("s[1]", json!("é")),
            ("s[-1] ~ s[1:3]", json!("oél")),
            ("o.get('nothing')", json!(null)),
            ("o.get('nothing', 7)", json!(7)),
        ],
    );
}

#[test]
fn what_is_not_there_is_an_error_that_says_what_was() {
    let names = json!({"weather": {"temp": 18, "condition": "rainy"}, "stock": null});
    let error = |source: &str| expr(source, &names).unwrap_err();

    let unknown = error("wether.temp > 3");
    assert_eq!(unknown.code, Code::UnknownName);
    assert_eq!(unknown.message, "unknown name `wether`: there are `stock`, `weather`");
    assert_eq!(unknown.hint.as_deref(), Some("did you mean `weather`?"));

    let field = error("weather.tmp > 3");
    assert_eq!(field.code, Code::MissingField);
    assert_eq!(field.message, "`weather` has no field `tmp`: there are `condition`, `temp`");
    assert_eq!(field.hint.as_deref(), Some("did you mean `temp`?"));

    assert_eq!(error("stock.price").message, "`stock` is null, so it has no field `price`");
    assert_eq!(error("weather.temp.max").message, "`weather.temp` is a number, so it has no field `max`");
    assert_eq!(error("weather.a.b.c").message, "`weather` has no field `a`: there are `condition`, `temp`");
    for source in [
        "nothing",
        "not nothing",
        "nothing and true",
        "nothing == 1",
        "nothing ~ ''",
        "[nothing]",
        "nothing|upper",
        "len(nothing)",
        "1 in nothing",
        "'a' if nothing else 'b'",
    ] {
        assert_eq!(error(source).code, Code::UnknownName, "{source}");
    }
}

#[test]
fn what_is_not_there_may_be_defaulted_or_asked_about() {
    let names = json!({"a": {"b": null, "e": ""}});
    check(
        &names,
        &[
            ("nothing|default('x')", json!("x")),
            ("nothing.at.all|d('x')", json!("x")),
            ("a.c|default('x')", json!("x")),
            ("a.c.d.e|default(1) + 1", json!(2)),
            ("a.b|default('x')", json!(null)),
            ("a.b|default('x', true)", json!("x")),
            ("a.e|default('x', boolean=true)", json!("x")),
            ("nothing is defined", json!(false)),
            ("nothing is not defined and nothing is undefined", json!(true)),
            ("a.b is defined", json!(true)),
            ("a.b.c is defined", json!(false)),
            ("nothing is defined and nothing.field > 3", json!(false)),
            ("true or nothing", json!(true)),
            ("1 if true else nothing", json!(1)),
            ("[]|first|default('none')", json!("none")),
        ],
    );
}

#[test]
fn the_methods_of_python_work() {
    check(
        &json!({"s": "  Hello World ", "o": {"b": 2, "a": 1}, "csv": "a,b,c"}),
        &[
            ("s.strip().lower()", json!("hello world")),
            ("s.strip().upper()", json!("HELLO WORLD")),
            ("s.lstrip()", json!("Hello World ")),
            ("'xxaxx'.strip('x')", json!("a")),
            ("csv.startswith('a,') and csv.endswith('c')", json!(true)),
            ("csv.split(',')", json!(["a", "b", "c"])),
            ("csv.split(',', 1)", json!(["a", "b,c"])),
            ("' a  b '.split()", json!(["a", "b"])),
            ("csv.replace(',', ' ')", json!("a b c")),
            ("csv.replace(',', ' ', 1)", json!("a b,c")),
            ("'-'.join(csv.split(','))", json!("a-b-c")),
            ("csv.find('b')", json!(2)),
            ("csv.find('z')", json!(-1)),
            ("csv.count(',')", json!(2)),
            ("'12'.isdigit() and not 'a1'.isalpha()", json!(true)),
            ("'7'.zfill(3)", json!("007")),
            ("'hello world'.title()", json!("Hello World")),
            ("'hELLO'.capitalize()", json!("Hello")),
            ("o.keys()", json!(["a", "b"])),
            ("o.values()", json!([1, 2])),
            ("o.items()", json!([["a", 1], ["b", 2]])),
            ("[3, 1, 3].count(3)", json!(2)),
            ("[3, 1].index(1)", json!(1)),
            ("'a\\nb'.splitlines()", json!(["a", "b"])),
        ],
    );
}

#[test]
fn the_filters_of_jinja_work() {
    let people = json!([
        {"name": "Bea", "age": 40, "team": {"id": 2}, "on": true},
        {"name": "abe", "age": 30, "team": {"id": 1}, "on": false},
        {"name": "Cy", "age": 35, "team": {"id": 2}, "on": true},
    ]);
    check(
        &json!({"people": people, "xs": [3, 1, 2, 3], "words": ["b", "A", "c"]}),
        &[
            ("people|map(attribute='name')|join(', ')", json!("Bea, abe, Cy")),
            ("people|join('/', attribute='team.id')", json!("2/1/2")),
            ("people|map(attribute='nick', default='-')|list", json!(["-", "-", "-"])),
            ("people|selectattr('on')|map(attribute='name')|first", json!("Bea")),
            ("people|rejectattr('on')|map(attribute='name')|list", json!(["abe"])),
            ("people|selectattr('age', 'ge', 35)|length", json!(2)),
            ("people|selectattr('team.id', 'equalto', 1)|map(attribute='age')|first", json!(30)),
            ("people|sort(attribute='name')|map(attribute='name')|list", json!(["abe", "Bea", "Cy"])),
            (
                "people|sort(attribute='age', reverse=true)|first",
                json!({"name": "Bea", "age": 40, "team": {"id": 2}, "on": true}),
            ),
            ("people|sum(attribute='age')", json!(105)),
            ("people|max(attribute='age')", json!({"name": "Bea", "age": 40, "team": {"id": 2}, "on": true})),
            ("people|groupby('team.id')|map('first')|list", json!([1, 2])),
            ("people|groupby('team.id')|map('last')|map('length')|list", json!([1, 2])),
            ("xs|sort", json!([1, 2, 3, 3])),
            ("xs|unique", json!([3, 1, 2])),
            ("xs|min ~ xs|max ~ xs|sum", json!("139")),
            ("max(1, 5, 3) + min([4, 2])", json!(7)),
            ("words|sort", json!(["A", "b", "c"])),
            ("words|map('upper')|join", json!("BAC")),
            ("words|select('equalto', 'b')|list", json!(["b"])),
            ("xs|reject('odd')|list", json!([2])),
            ("xs|reverse|first", json!(3)),
            ("'abc'|reverse", json!("cba")),
            ("xs|batch(3, 0)", json!([[3, 1, 2], [3, 0, 0]])),
            ("range(3)|list + range(4, 0, -2)|list", json!([0, 1, 2, 4, 2])),
            ("{'b': 1, 'a': 2}|dictsort", json!([["a", 2], ["b", 1]])),
            ("{'b': 1, 'a': 2}|items|list", json!([["a", 2], ["b", 1]])),
            ("'<b>'|e", json!("&lt;b&gt;")),
            ("'a b/ñ'|urlencode", json!("a%20b/%C3%B1")),
            ("'one two three'|truncate(9)", json!("one...")),
            ("'one two three'|truncate(9, true)", json!("one tw...")),
            ("'one two'|wordcount", json!(2)),
            ("'a\\nb'|indent(2)", json!("a\n  b")),
            ("'42'|int + '1.5'|float", json!(43.5)),
            ("'x'|int(7)", json!(7)),
            ("3.7|int", json!(3)),
            ("2.5|round ~ ' ' ~ 2.345|round(2)", json!("3.0 2.35")),
            ("2.1|round(method='ceil')", json!(3.0)),
            ("{'a': [1, null]}|tojson", json!("{\"a\":[1,null]}")),
            ("{'a': [1]}|tojson(2)", json!("{\n  \"a\": [\n    1\n  ]\n}")),
            ("[1, 'a', true, none]|string", json!("[1, \"a\", true, null]")),
            ("'%s: %05.1f %x%%'|format('a', 2.25, 255)", json!("a: 002.2 ff%")),
            ("any([0, 1]) and not all([0, 1])", json!(true)),
            ("dict(a=1).a + dict(b=2)['b']", json!(3)),
        ],
    );
}

#[test]
fn dates_are_read_compared_moved_and_written() {
    let names = json!({"d": "2025-11-08", "t": "2025-11-08T10:00:00+01:00", "z": "2025-11-07T22:00"});
    check(
        &names,
        &[
            ("today()", json!("2025-11-07")),
            ("now()", json!("2025-11-07T22:30:00+00:00")),
            ("date_is_future(d)", json!(true)),
            ("date_is_future('today') or date_is_past('hoy')", json!(false)),
            ("date_is_past(z) and date_is_past('ayer')", json!(true)),
            ("days_until(d) + days_until('pasado mañana') + days_until('yesterday')", json!(2)),
            ("date_add(d, 30)", json!("2025-12-08")),
            ("date_add('tomorrow', -1)", json!("2025-11-07")),
            ("date_add(t, 1)", json!("2025-11-09T09:00:00+00:00")),
            ("d|date('%d/%m/%Y')", json!("08/11/2025")),
            ("t|date('%A %-d %B %Y, %H:%M')", json!("Saturday 8 November 2025, 09:00")),
            ("t|date", json!("2025-11-08")),
        ],
    );
    let madrid = Document::new(&names, moment()).in_zone("Europe/Madrid");
    let value = |source: &str| Condition::parse(Language::Expr, source).unwrap().value(&madrid);
    assert_eq!(value("now()"), Ok(json!("2025-11-07T23:30:00+01:00")));
    assert_eq!(value("date_is_past('2025-11-07T23:00')"), Ok(json!(true)));
    assert_eq!(value("t|date('%H:%M')"), Ok(json!("10:00")));
}

#[test]
fn what_is_no_date_is_refused_with_the_way_to_write_one() {
    for source in ["date_is_future('08/11/2025')", "''|date", "'2025-13-01'|date", "date_add('today', 10 ** 30)"] {
        assert_eq!(expr(source, &json!({})).unwrap_err().code, Code::BadValue, "{source}");
    }
    assert_eq!(expr("5|date", &json!({})).unwrap_err().code, Code::WrongType);
    let pattern = expr("'2025-11-08'|date('%99999999d')", &json!({})).unwrap_err();
    assert_eq!(pattern.hint.as_deref(), Some("for instance '%d/%m/%Y %H:%M'"));
    assert!(expr("'2025-11-08'|date('%z')", &json!({})).is_err());
}

#[test]
fn money_is_written_the_same_everywhere_unless_told_otherwise() {
    check(
        &json!({"price": 1_234_567.5}),
        &[
            ("price|money", json!("1234567.50")),
            ("price|money('EUR')", json!("1234567.50 EUR")),
            ("price|money('USD', thousands=',')", json!("1,234,567.50 USD")),
            ("price|money('EUR', point=',', thousands='.')", json!("1.234.567,50 EUR")),
            ("1500|money('JPY')", json!("1500 JPY")),
            ("-0.001|money", json!("0.00")),
            ("-12.5|money('EUR')", json!("-12.50 EUR")),
            ("'12'|money('EUR', 0)", json!("12 EUR")),
        ],
    );
}

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
        assert_eq!(crate::expr::literal_list(&text), Ok(json!([wanted])));
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
    let roots = |source: &str| Template::parse(source).unwrap().roots().iter().cloned().collect::<Vec<_>>();
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
    assert_eq!(template(kept, &json!({})).unwrap_err().code, Code::WrongType);
    let written = "{% for x in [1] %}{{ loop }}{% endfor %}";
    assert_eq!(template(written, &json!({})).unwrap_err().code, Code::WrongType);
}

#[test]
fn large_whole_numbers_are_exact() {
    check(
        &json!({"n": 9_007_199_254_740_993_i64, "u": u64::MAX}),
        &[
            ("n + 1", json!(9_007_199_254_740_994_i64)),
            ("u", json!(u64::MAX)),
            ("u - 1", json!(u64::MAX - 1)),
            ("u == 18446744073709551615", json!(true)),
        ],
    );
    assert_eq!(expr("u + 1", &json!({"u": u64::MAX})).unwrap_err().code, Code::BadValue);
}

#[test]
fn a_template_as_long_as_allowed_is_read_and_one_longer_is_not() {
    let longest = "a".repeat(Limit::TEMPLATE_BYTES_MAX);
    assert_eq!(template(&longest, &json!({})).unwrap().len(), Limit::TEMPLATE_BYTES_MAX);
    assert!(refused(&"a".repeat(Limit::TEMPLATE_BYTES_MAX + 1)).message.contains("may be at most 131072"));
}
