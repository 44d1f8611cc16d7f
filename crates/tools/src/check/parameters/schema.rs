//! A tool's JSON Schema, compiled when the first call needs it.

use std::fmt::Write as _;
use std::sync::OnceLock;

use baton_expr::nearest;
use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use serde_json::{Map, Value};

/// Maximum number of validation errors in one refusal.
const MISTAKES_MAX: usize = 5;
/// Maximum size of one validation error's description, in bytes.
const MISTAKE_BYTES_MAX: usize = 300;

/// The schema of a call's arguments: draft 2020-12 unless it names another. A missing schema accepts any arguments.
pub(crate) struct ArgumentSchema {
    document: Value,
    compiled: OnceLock<Result<Validator, String>>,
    defaults: Map<String, Value>,
    /// Arguments of `format: date`, in which relative dates are resolved.
    dates: Vec<String>,
}

impl ArgumentSchema {
    pub(crate) fn new(document: Value) -> Self {
        let properties = document.get("properties").and_then(Value::as_object);
        let properties = || properties.into_iter().flatten();
        let defaults = properties()
            .filter_map(|(name, property)| Some((name.clone(), property.get("default")?.clone())))
            .collect();
        let is_date = |property: &Value| property.get("format").and_then(Value::as_str) == Some("date");
        let dates = properties().filter(|(_, property)| is_date(property)).map(|(name, _)| name.clone()).collect();
        Self { document, compiled: OnceLock::new(), defaults, dates }
    }

    pub(crate) fn into_document(self) -> Value {
        self.document
    }

    pub(crate) fn defaults(&self) -> &Map<String, Value> {
        &self.defaults
    }

    pub(crate) fn dates(&self) -> &[String] {
        &self.dates
    }

    /// Compiles the schema now, to find out whether it is valid.
    pub(crate) fn compile(&self) -> Result<(), &str> {
        match self.validator() {
            Some(Err(reason)) => Err(reason),
            Some(Ok(_)) | None => Ok(()),
        }
    }

    /// Validates the arguments. The error omits the values, which may be private.
    pub(crate) fn check(&self, arguments: &Value) -> Result<(), String> {
        match self.validator() {
            None => Ok(()),
            Some(Ok(validator)) if validator.is_valid(arguments) => Ok(()),
            Some(Ok(validator)) => Err(self.mistakes(validator, arguments)),
            Some(Err(reason)) => Err(format!("the tool's own schema of parameters is broken: {reason}")),
        }
    }

    fn validator(&self) -> Option<&Result<Validator, String>> {
        if self.document.is_null() {
            return None;
        }
        Some(self.compiled.get_or_init(|| {
            jsonschema::options().should_validate_formats(true).build(&self.document).map_err(|error| error.to_string())
        }))
    }

    #[cold]
    fn mistakes(&self, validator: &Validator, arguments: &Value) -> String {
        let mut text = String::new();
        for (index, error) in validator.iter_errors(arguments).take(MISTAKES_MAX + 1).enumerate() {
            if index == MISTAKES_MAX {
                text.push_str("; and more");
                break;
            }
            let between = if index == 0 { "" } else { "; " };
            let place = match error.instance_path().as_str().trim_start_matches('/') {
                "" => String::new(),
                path => format!("`{}`: ", path.replace('/', ".")),
            };
            let mut what = error.masked_with("the value").to_string();
            what.truncate(what.floor_char_boundary(MISTAKE_BYTES_MAX));
            let _ = write!(text, "{between}{place}{what}");
            match error.kind() {
                ValidationErrorKind::AdditionalProperties { unexpected } => text.push_str(&self.hint(unexpected)),
                ValidationErrorKind::Format { format } => text.push_str(written(format)),
                ValidationErrorKind::Pattern { .. } => {
                    let keyword = error.schema_path().as_str();
                    let property = keyword.rsplit_once('/').and_then(|(property, _)| self.document.pointer(property));
                    if let Some(wanted) = property.and_then(|property| property["description"].as_str()) {
                        let _ = write!(text, " ({wanted})");
                    }
                }
                _ => {}
            }
        }
        text
    }

    fn hint(&self, unexpected: &[String]) -> String {
        let Some(known) = self.document.get("properties").and_then(Value::as_object) else { return String::new() };
        let known: Vec<&str> = known.keys().map(String::as_str).collect();
        match unexpected.first().and_then(|name| nearest(name, known.iter().copied())) {
            Some(meant) => format!(" (did you mean `{meant}`?)"),
            None => format!(" (there are `{}`)", known.join("`, `")),
        }
    }
}

/// Describes how to write a value of this format, for an error message.
fn written(format: &str) -> &'static str {
    match format {
        "date" => " (written YYYY-MM-DD)",
        "date-time" => " (written 2025-03-21T09:30:00Z)",
        "time" => " (written 09:30:00Z)",
        "duration" => " (written PT1H30M)",
        _ => "",
    }
}
