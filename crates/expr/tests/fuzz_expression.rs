//! Expressions: for any text, parsing and evaluating end within their limits and without a panic.

#[path = "../../core/tests/fuzz/drive.rs"]
mod drive;

use baton_expr::{Condition, ConditionLanguage, JinjaTemplate, JsonContext, ParamsDialect, ParamsTemplate, jmespath};
use serde_json::{Value, json};

const SOURCES: [&str; 18] = [
    "classify_intent.output.intent == 'return_request'",
    "\"10:00-11:00\" in available_slots and confidence > 0.7",
    "people[?age > `20`].{name: name, tags: tags[*] | sort(@)} | [0:3:1]",
    "reverse(sort_by(people, &age))[*].name | join(', ', @)",
    "not (a or b) and len(items) >= 2 if c else d ** 2",
    "Hello {{ name | upper }}{% if items %}, {{ items | length }} items{% endif %}",
    "{% for item in items %}{{ loop.index }}: {{ item.name|default('?') }}{% else %}none{% endfor %}",
    "{% set x = items | map(attribute='name') | list %}{{ x | join('; ') }}",
    "{{ {'a': [1, 2, (3, 4)], 'b': none} | tojson }}",
    "{{ 'x' * 100 ~ items }}",
    "$weather.temp",
    "{weather[temp]}",
    "date_is_future(date) and days_until(date) < 30",
    "{% macro m(a, b=2) %}{{ a + b }}{% endmacro %}{{ m(1) }}",
    "max_by(people, &age).name || 'nobody'",
    "a.b.c[0].d['e']",
    "length(keys(@)) > `3` && !contains(tags, 'x')",
    "{{ now() }} {{ range(3) | list }} {{ date | date('%d/%m/%Y') }}",
];

#[test]
fn any_expression_ends() {
    let corpus: Vec<Vec<u8>> = SOURCES.iter().map(|source| source.as_bytes().to_vec()).collect();
    let given = json!({
        "name": "Ana", "confidence": 0.8, "available_slots": ["09:00-10:00", "10:00-11:00"], "date": "2030-01-20",
        "items": [{"name": "a"}, {"name": "b"}], "people": [{"name": "x", "age": 30, "tags": ["u"]}, {"name": "y", "age": 20}],
        "a": {"b": {"c": [{"d": {"e": 1}}]}}, "c": true, "d": 3, "weather": {"temp": 18}, "tags": [],
        "classify_intent": {"intent": "return_request"},
    });
    drive::fuzz("expression", &corpus, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let names = JsonContext::new(&given, jiff::Timestamp::UNIX_EPOCH);
        for language in [ConditionLanguage::JmesPath, ConditionLanguage::Expr, ConditionLanguage::Field] {
            if let Ok(condition) = Condition::parse(language, &text) {
                let _ = condition.value(&names);
                let _ = condition.holds(&names);
            }
        }
        if let Ok(template) = JinjaTemplate::parse(&text) {
            let _ = template.render(&names);
        }
        for dialect in [ParamsDialect::Edges, ParamsDialect::Steps] {
            if let Ok(params) = ParamsTemplate::parse(&Value::String(text.clone().into_owned()), dialect) {
                let _ = params.render(&names);
            }
        }
        let _ = jmespath::search(&text, &given);
    });
}
