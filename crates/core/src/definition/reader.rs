//! What reading a definition carries along: what was found wrong, the dialect, and the names its expressions mention.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::diagnostic::{Code, Diagnostic, Findings, shown};
use super::document::{Mention, Read};
use super::duration;
use super::fields::{Field, Fields, Shape, field, found, required, wrong_shape};
use super::source::{Located, Node, Span, Text, Value};
use crate::expr::{Condition, Dialect, FieldRead, Language, Params, ParseError, Template};

pub(crate) struct Reader {
    pub findings: Findings,
    /// How parameters are written in the body being read.
    pub dialect: Dialect,
    /// Bodies around the one being read.
    pub nesting: usize,
    /// Nodes read so far.
    pub nodes: usize,
    /// Regular expressions in the schemas read so far.
    pub patterns: usize,
    /// A version that runs are on is read again: what was let in once is not turned away now.
    pub is_pinned: bool,
    mentions: Vec<Mention>,
}

/// An expression as an object.
pub(crate) const EXPRESSION: &[Field] = &[
    field(
        "type",
        Shape::Word(&["jmespath", "expr", "python", "field", "structured"]),
        "The language; `expr` where none is named.",
    ),
    field("expression", Shape::Text, "The source."),
    field("field", Shape::Text, "Structured: what is looked at, such as `weather.temp`."),
    field("operator", Shape::Text, "Structured: how it is compared: `==`, `!=`, `>`, `contains`, `is_none`, …"),
    field("value", Shape::Any, "Structured: what it is compared with."),
];

pub(crate) const AT_DEADLINE: &[Field] = &[required("default", Shape::Any, "The output the node completes with.")];

impl Default for Reader {
    fn default() -> Self {
        Self {
            findings: Findings::default(),
            dialect: Dialect::Edges,
            nesting: 0,
            nodes: 0,
            patterns: 0,
            is_pinned: false,
            mentions: Vec::new(),
        }
    }
}

impl Reader {
    /// What has been mentioned since the last call.
    pub(crate) fn take_mentions(&mut self) -> Vec<Mention> {
        std::mem::take(&mut self.mentions)
    }

    pub(crate) fn mention(&mut self, mention: Mention) {
        self.mentions.push(mention);
    }

    /// Notes what an expression mentions but for the names `local` to where it stands.
    fn note<'r>(
        &mut self,
        roots: impl IntoIterator<Item = &'r String>,
        fields: &[FieldRead],
        node: &Node,
        local: &[&str],
    ) {
        let own = local.contains(&"output");
        for root in roots {
            if !local.contains(&root.as_str()) {
                let span = node.span_of_word(root);
                let read = fields.iter().filter(|read| read.root == *root);
                let reads = read.map(|read| Read::new(&read.fields, node)).collect();
                self.mentions.push(Mention { root: root.clone(), span, own, reads });
            }
        }
    }

    /// A condition: a string in `expr`, or an object that names its language, or a structured one.
    pub(crate) fn condition(&mut self, node: &Node, local: &[&str]) -> Option<Condition> {
        // A mapping mentions names where its expression stands.
        let place = match node.as_map().and_then(|map| map.get("expression").or_else(|| map.get("field"))) {
            Some((_, expression)) => expression,
            None => node,
        };
        let condition = match &node.value {
            Value::String(text) => self.parsed(Condition::parse(Language::Expr, &text.text), node.span, Some(text)),
            Value::Bool(is) => self.parsed(Condition::parse(Language::Expr, &is.to_string()), node.span, None),
            Value::Map(_) => self.condition_object(node),
            Value::Null | Value::Number { .. } | Value::List(_) => {
                let wrong = wrong_shape("a condition", "a string or a mapping", node);
                self.findings.push(wrong.hint("write an expression, or `{type: jmespath, expression: …}`"));
                None
            }
        }?;
        self.note(condition.roots(), &condition.fields(), place, local);
        Some(condition)
    }

    fn condition_object(&mut self, node: &Node) -> Option<Condition> {
        let mut fields = Fields::of(node, "a condition", &mut self.findings)?;
        let language = fields.text("type", &mut self.findings);
        let expression = fields.take("expression", &mut self.findings);
        let compared = fields.text("field", &mut self.findings);
        let operator = fields.text("operator", &mut self.findings);
        let value = fields.json("value", &mut self.findings);
        let span = fields.span();
        fields.finish(&[EXPRESSION], &[], &mut self.findings);
        if let Some(expression) = expression {
            if compared.is_some() || operator.is_some() {
                let message = "a condition is either an `expression` or a `field` with an `operator`";
                self.findings.push(span.error(Code::Conflict, message));
                return None;
            }
            return self.expression(language, expression);
        }
        let (Some(compared), Some(operator)) = (compared, operator) else {
            let message = "a condition needs `expression`, or `field` and `operator`";
            self.findings.push(span.error(Code::MissingKey, message));
            return None;
        };
        let condition = Condition::structured(&compared.value, &operator.value, value.unwrap_or_default());
        self.parsed(condition, compared.span, None)
    }

    fn expression(&mut self, language: Option<Located<String>>, expression: &Node) -> Option<Condition> {
        let language = match language {
            None => Language::Expr,
            Some(name) => self.parsed(name.value.parse::<Language>(), name.span, None)?,
        };
        let text = match &expression.value {
            Value::String(text) => text.clone(),
            Value::Bool(is) => Text { text: is.to_string(), verbatim: true },
            _ => {
                self.findings.push(wrong_shape("`expression`", "a string", expression));
                return None;
            }
        };
        let condition = self.parsed(Condition::parse(language, &text.text), expression.span, Some(&text))?;
        for bare in condition.bare_literals() {
            let at = expression.span.within(&text, bare.offset);
            let message = format!("`{}` is read as a literal only where no field has that name", bare.word);
            let hint = format!("JMESPath writes the literal with backticks: `{}`", bare.word);
            self.findings.push(Diagnostic::new(super::Severity::Hint, Code::BareLiteral, at, message).hint(hint));
        }
        Some(condition)
    }

    /// Text with holes.
    pub(crate) fn template(&mut self, name: &str, node: &Node, local: &[&str]) -> Option<Template> {
        let text = match &node.value {
            Value::String(text) => text.clone(),
            Value::Number { text, .. } => Text { text: text.clone(), verbatim: false },
            _ => {
                self.findings.push(wrong_shape(&format!("`{name}`"), "a string", node));
                return None;
            }
        };
        let template = self.parsed(Template::parse(&text.text), node.span, Some(&text))?;
        self.note(template.roots(), &template.fields(), node, local);
        Some(template)
    }

    /// JSON with holes.
    pub(crate) fn params(&mut self, node: &Node, local: &[&str]) -> Option<Params> {
        let params = match Params::parse(&node.to_json(), self.dialect) {
            Ok(params) => params,
            Err(error) => {
                self.refuse_params(node, error);
                return None;
            }
        };
        if !params.roots().is_empty() {
            self.note_params(node, local);
        }
        Some(params)
    }

    /// Says which leaf is wrong, or that the whole is.
    fn refuse_params(&mut self, node: &Node, error: ParseError) {
        let wrong = node.leaves().into_iter().find_map(|(leaf, text)| {
            let error = Params::parse(&Json::String(text.text.clone()), self.dialect).err()?;
            Some((leaf, text, error))
        });
        match wrong {
            Some((leaf, text, error)) => self.parsed::<()>(Err(error), leaf.span, Some(text)),
            None => self.parsed::<()>(Err(error), node.span, None),
        };
    }

    /// Notes what each leaf mentions at the leaf's own place.
    fn note_params(&mut self, node: &Node, local: &[&str]) {
        for (leaf, text) in node.leaves() {
            if let Ok(params) = Params::parse(&Json::String(text.text.clone()), self.dialect) {
                self.note(params.roots(), &params.fields(), leaf, local);
            }
        }
    }

    /// No parameters at all.
    pub(crate) fn no_params(&mut self) -> Option<Params> {
        self.parsed(Params::parse(&json!({}), self.dialect), Span::default(), None)
    }

    /// What was parsed, or what is wrong with it, pointed at as closely as can be.
    pub(crate) fn parsed<T>(&mut self, parsed: Result<T, ParseError>, span: Span, text: Option<&Text>) -> Option<T> {
        let error = match parsed {
            Ok(parsed) => return Some(parsed),
            Err(error) => error,
        };
        let at = match (text, error.offset) {
            (Some(text), Some(offset)) => span.within(text, offset),
            _ => span,
        };
        let diagnostic = at.error(Code::Expression, error.message);
        self.findings.push(match error.hint {
            Some(hint) => diagnostic.hint(hint),
            None => diagnostic,
        });
        None
    }

    /// `10s`, `1h30m`, or a number of seconds.
    pub(crate) fn duration(&mut self, name: &'static str, fields: &mut Fields<'_>) -> Option<Duration> {
        let node = fields.take(name, &mut self.findings)?;
        let parsed = match &node.value {
            Value::Number { number, .. } => duration::of_seconds(number.as_f64().unwrap_or(-1.0)),
            Value::String(text) => duration::parse(&text.text),
            _ => Err("not a duration".to_owned()),
        };
        match parsed {
            Ok(duration) => Some(duration),
            Err(reason) => {
                let message = format!("`{name}` cannot be {}: {reason}", found(node));
                let hint = "write `500ms`, `10s`, `5m`, `1h30m`, `2d`, or a number of seconds";
                self.findings.push(node.span.error(Code::BadValue, message).hint(hint));
                None
            }
        }
    }

    /// A duration that cannot be zero.
    pub(crate) fn positive(&mut self, name: &'static str, fields: &mut Fields<'_>) -> Option<Duration> {
        let duration = self.duration(name, fields)?;
        if duration.is_zero() {
            self.findings.push(fields.span().error(Code::BadValue, format!("`{name}` cannot be zero")));
            return None;
        }
        Some(duration)
    }

    /// Whether a name can be a node's, a variable's or a branch's: it must be a word in every expression language.
    pub(crate) fn name(&mut self, what: &str, name: &Located<String>) -> bool {
        const NAME_BYTES_MAX: usize = 128;
        let word = name.value.as_str();
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let reason = if word.is_empty() {
            "it is empty".to_owned()
        } else if word.len() > NAME_BYTES_MAX {
            format!("it has more than {NAME_BYTES_MAX} bytes")
        } else if !word.chars().all(fits) {
            "it has more than letters, digits, `_` and `-`".to_owned()
        } else {
            return true;
        };
        let message = format!("`{}` cannot be {what}: {reason}", shown(word));
        self.findings.push(name.span.error(Code::BadName, message));
        false
    }
}
