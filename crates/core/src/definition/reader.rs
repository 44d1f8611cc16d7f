//! State while a definition is read: findings, the dialect, and the names that its expressions reference.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::diagnostic::{Diagnostic, DiagnosticCode, DiagnosticList, clip_word};
use super::duration;
use super::fields::{FieldSchema, FieldShape, MappingReader, describe_node, field, required, wrong_shape};
use super::source::{SourceSpan, SpannedValue, YamlNode, YamlString, YamlValue};
use super::spec::{FieldReference, NameReference};
use baton_expr::{Condition, ConditionLanguage, FieldRead, JinjaTemplate, ParamsDialect, ParamsTemplate, ParseError};

pub(crate) struct DefinitionReader {
    pub findings: DiagnosticList,
    /// The dialect of parameters in the current body.
    pub dialect: ParamsDialect,
    /// Number of bodies around the current one.
    pub nesting: usize,
    /// Nodes read so far.
    pub nodes: usize,
    /// Number of regular expressions in the schemas read so far.
    pub patterns: usize,
    /// The definition is a version that runs are pinned to: what was accepted once is not rejected now.
    pub is_pinned: bool,
    references: Vec<NameReference>,
}

/// The object form of an expression.
pub(crate) const EXPRESSION: &[FieldSchema] = &[
    field(
        "type",
        FieldShape::Word(&["jmespath", "expr", "python", "field", "structured"]),
        "The language; `expr` where none is named.",
    ),
    field("expression", FieldShape::Text, "The source."),
    field("field", FieldShape::Text, "Structured: what is looked at, such as `weather.temp`."),
    field("operator", FieldShape::Text, "Structured: how it is compared: `==`, `!=`, `>`, `contains`, `is_none`, …"),
    field("value", FieldShape::Any, "Structured: what it is compared with."),
];

pub(crate) const AT_DEADLINE: &[FieldSchema] =
    &[required("default", FieldShape::Any, "The output the node completes with.")];

impl Default for DefinitionReader {
    fn default() -> Self {
        Self {
            findings: DiagnosticList::default(),
            dialect: ParamsDialect::Edges,
            nesting: 0,
            nodes: 0,
            patterns: 0,
            is_pinned: false,
            references: Vec::new(),
        }
    }
}

impl DefinitionReader {
    /// Takes the references since the last call.
    pub(crate) fn take_references(&mut self) -> Vec<NameReference> {
        std::mem::take(&mut self.references)
    }

    pub(crate) fn add_reference(&mut self, mention: NameReference) {
        self.references.push(mention);
    }

    /// Records the references of an expression, except names `local` to its position.
    fn add_references<'r>(
        &mut self,
        roots: impl IntoIterator<Item = &'r String>,
        fields: &[FieldRead],
        node: &YamlNode,
        local: &[&str],
    ) {
        let own = local.contains(&"output");
        for root in roots {
            if !local.contains(&root.as_str()) {
                let span = node.span_of_word(root);
                let read = fields.iter().filter(|read| read.root == *root);
                let reads = read.map(|read| FieldReference::new(&read.fields, node)).collect();
                self.references.push(NameReference { root: root.clone(), span, is_after_node: own, reads });
            }
        }
    }

    /// Reads a condition: a string in `expr`, an object that names its language, or a structured condition.
    pub(crate) fn condition(&mut self, node: &YamlNode, local: &[&str]) -> Option<Condition> {
        // In a mapping, references are located at its expression.
        let place = match node.as_map().and_then(|map| map.get("expression").or_else(|| map.get("field"))) {
            Some((_, expression)) => expression,
            None => node,
        };
        let condition = match &node.value {
            YamlValue::String(text) => {
                self.ok_or_report(Condition::parse(ConditionLanguage::Expr, &text.text), node.span, Some(text))
            }
            YamlValue::Bool(is) => {
                self.ok_or_report(Condition::parse(ConditionLanguage::Expr, &is.to_string()), node.span, None)
            }
            YamlValue::Map(_) => self.condition_object(node),
            YamlValue::Null | YamlValue::Number { .. } | YamlValue::List(_) => {
                let wrong = wrong_shape("a condition", "a string or a mapping", node);
                self.findings.push(wrong.hint("write an expression, or `{type: jmespath, expression: …}`"));
                None
            }
        }?;
        self.add_references(condition.roots(), &condition.fields(), place, local);
        Some(condition)
    }

    fn condition_object(&mut self, node: &YamlNode) -> Option<Condition> {
        let mut fields = MappingReader::of(node, "a condition", &mut self.findings)?;
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
                self.findings.push(span.error(DiagnosticCode::Conflict, message));
                return None;
            }
            return self.expression(language, expression);
        }
        let (Some(compared), Some(operator)) = (compared, operator) else {
            let message = "a condition needs `expression`, or `field` and `operator`";
            self.findings.push(span.error(DiagnosticCode::MissingKey, message));
            return None;
        };
        let condition = Condition::structured(&compared.value, &operator.value, value.unwrap_or_default());
        self.ok_or_report(condition, compared.span, None)
    }

    fn expression(&mut self, language: Option<SpannedValue<String>>, expression: &YamlNode) -> Option<Condition> {
        let language = match language {
            None => ConditionLanguage::Expr,
            Some(name) => self.ok_or_report(name.value.parse::<ConditionLanguage>(), name.span, None)?,
        };
        let text = match &expression.value {
            YamlValue::String(text) => text.clone(),
            YamlValue::Bool(is) => YamlString { text: is.to_string(), verbatim: true },
            _ => {
                self.findings.push(wrong_shape("`expression`", "a string", expression));
                return None;
            }
        };
        let condition = self.ok_or_report(Condition::parse(language, &text.text), expression.span, Some(&text))?;
        for bare in condition.bare_literals() {
            let at = expression.span.within(&text, bare.offset);
            let message = format!("`{}` is read as a literal only where no field has that name", bare.word);
            let hint = format!("JMESPath writes the literal with backticks: `{}`", bare.word);
            self.findings
                .push(Diagnostic::new(super::Severity::Hint, DiagnosticCode::BareLiteral, at, message).hint(hint));
        }
        Some(condition)
    }

    /// Reads a text template.
    pub(crate) fn template(&mut self, name: &str, node: &YamlNode, local: &[&str]) -> Option<JinjaTemplate> {
        let text = match &node.value {
            YamlValue::String(text) => text.clone(),
            YamlValue::Number { text, .. } => YamlString { text: text.clone(), verbatim: false },
            _ => {
                self.findings.push(wrong_shape(&format!("`{name}`"), "a string", node));
                return None;
            }
        };
        let template = self.ok_or_report(JinjaTemplate::parse(&text.text), node.span, Some(&text))?;
        self.add_references(template.roots(), &template.fields(), node, local);
        Some(template)
    }

    /// Reads a JSON template.
    pub(crate) fn params(&mut self, node: &YamlNode, local: &[&str]) -> Option<ParamsTemplate> {
        let params = match ParamsTemplate::parse(&node.to_json(), self.dialect) {
            Ok(params) => params,
            Err(error) => {
                self.report_params_error(node, error);
                return None;
            }
        };
        if !params.roots().is_empty() {
            self.add_param_references(node, local);
        }
        Some(params)
    }

    /// Reports the leaf that is wrong, or the whole value.
    fn report_params_error(&mut self, node: &YamlNode, error: ParseError) {
        let wrong = node.string_leaves().into_iter().find_map(|(leaf, text)| {
            let error = ParamsTemplate::parse(&Json::String(text.text.clone()), self.dialect).err()?;
            Some((leaf, text, error))
        });
        match wrong {
            Some((leaf, text, error)) => self.ok_or_report::<()>(Err(error), leaf.span, Some(text)),
            None => self.ok_or_report::<()>(Err(error), node.span, None),
        };
    }

    /// Records the references of each leaf at the leaf's own position.
    fn add_param_references(&mut self, node: &YamlNode, local: &[&str]) {
        for (leaf, text) in node.string_leaves() {
            if let Ok(params) = ParamsTemplate::parse(&Json::String(text.text.clone()), self.dialect) {
                self.add_references(params.roots(), &params.fields(), leaf, local);
            }
        }
    }

    /// Returns empty parameters.
    pub(crate) fn empty_params(&mut self) -> Option<ParamsTemplate> {
        self.ok_or_report(ParamsTemplate::parse(&json!({}), self.dialect), SourceSpan::default(), None)
    }

    /// Returns the parsed value, or reports the error as precisely as possible.
    pub(crate) fn ok_or_report<T>(
        &mut self,
        parsed: Result<T, ParseError>,
        span: SourceSpan,
        text: Option<&YamlString>,
    ) -> Option<T> {
        let error = match parsed {
            Ok(parsed) => return Some(parsed),
            Err(error) => error,
        };
        let at = match (text, error.offset) {
            (Some(text), Some(offset)) => span.within(text, offset),
            _ => span,
        };
        let diagnostic = at.error(DiagnosticCode::Expression, error.message);
        self.findings.push(match error.hint {
            Some(hint) => diagnostic.hint(hint),
            None => diagnostic,
        });
        None
    }

    /// Reads a duration: `10s`, `1h30m`, or a number of seconds.
    pub(crate) fn duration(&mut self, name: &'static str, fields: &mut MappingReader<'_>) -> Option<Duration> {
        let node = fields.take(name, &mut self.findings)?;
        let parsed = match &node.value {
            YamlValue::Number { number, .. } => duration::of_seconds(number.as_f64().unwrap_or(-1.0)),
            YamlValue::String(text) => duration::parse(&text.text),
            _ => Err("not a duration".to_owned()),
        };
        match parsed {
            Ok(duration) => Some(duration),
            Err(reason) => {
                let message = format!("`{name}` cannot be {}: {reason}", describe_node(node));
                let hint = "write `500ms`, `10s`, `5m`, `1h30m`, `2d`, or a number of seconds";
                self.findings.push(node.span.error(DiagnosticCode::BadValue, message).hint(hint));
                None
            }
        }
    }

    /// Reads a duration that cannot be zero.
    pub(crate) fn positive_duration(&mut self, name: &'static str, fields: &mut MappingReader<'_>) -> Option<Duration> {
        let duration = self.duration(name, fields)?;
        if duration.is_zero() {
            self.findings.push(fields.span().error(DiagnosticCode::BadValue, format!("`{name}` cannot be zero")));
            return None;
        }
        Some(duration)
    }

    /// Returns whether a name can be the name of a node, a variable or a branch: it must be an identifier in every
    /// expression language.
    pub(crate) fn check_name(&mut self, what: &str, name: &SpannedValue<String>) -> bool {
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
        let message = format!("`{}` cannot be {what}: {reason}", clip_word(word));
        self.findings.push(name.span.error(DiagnosticCode::BadName, message));
        false
    }
}
