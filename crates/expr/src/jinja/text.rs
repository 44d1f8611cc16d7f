//! Operations on text.

use super::arguments::EvaluatedArguments;
use super::evaluator::JinjaEvaluator;
use super::operation::ValueOperation;
use super::value::{JinjaText, JinjaValue};
use super::write;
use crate::error::EvalError;

/// Maximum width for `indent`, `truncate` and `zfill`.
const WIDTH_MAX: usize = 10_000;

impl<'v> JinjaEvaluator<'v> {
    pub(super) fn with_text(
        &mut self,
        operation: ValueOperation,
        value: &JinjaValue<'v>,
        given: &mut EvaluatedArguments<'v>,
    ) -> Result<JinjaValue<'v>, EvalError> {
        let text = self.receiver(operation, value)?;
        self.meter.charge_read(text.len())?;
        let made = match operation {
            ValueOperation::Trim => return self.trimmed(&text, given, true, true),
            ValueOperation::TrimStart => return self.trimmed(&text, given, true, false),
            ValueOperation::TrimEnd => return self.trimmed(&text, given, false, true),
            ValueOperation::StartsWith => {
                return Ok(JinjaValue::Bool(text.starts_with(&*given.required_text("prefix")?)));
            }
            ValueOperation::EndsWith => return Ok(JinjaValue::Bool(text.ends_with(&*given.required_text("suffix")?))),
            ValueOperation::IsDigit => return Ok(all(&text, |c| c.is_ascii_digit())),
            ValueOperation::IsAlpha => return Ok(all(&text, char::is_alphabetic)),
            ValueOperation::Find => {
                let part = given.required_text("part")?;
                let found = text.find(&*part).map(|at| text[..at].chars().count());
                return Ok(found.map_or(JinjaValue::Int(-1), JinjaValue::count));
            }
            ValueOperation::WordCount => return Ok(JinjaValue::count(text.split_whitespace().count())),
            ValueOperation::Lines => return self.texts(text.lines()),
            ValueOperation::Split => return self.split(&text, given),
            ValueOperation::JoinItems => {
                let items = given.required("items")?.items(&mut self.meter)?;
                return self.joined(&items, &text);
            }
            ValueOperation::Replace => self.replaced(&text, given)?,
            ValueOperation::Indent => self.indented(&text, given)?,
            ValueOperation::Truncate => truncated(&text, given)?,
            ValueOperation::PadZeros => {
                let width = given.count("width")?.unwrap_or(0).min(WIDTH_MAX);
                padded(&text, width)
            }
            ValueOperation::Escape => self.replaced_each(&text, |c| match c {
                '&' => Some("&amp;"),
                '<' => Some("&lt;"),
                '>' => Some("&gt;"),
                '"' => Some("&quot;"),
                '\'' => Some("&#39;"),
                _ => None,
            }),
            ValueOperation::UrlEncode => url_encoded(&text),
            ValueOperation::Upper => text.to_uppercase(),
            ValueOperation::Lower => text.to_lowercase(),
            ValueOperation::Capitalize => capitalized(&text),
            _ => titled(&text),
        };
        self.new_text(made)
    }

    /// Returns the text that an operation is applied to; a number or a boolean is converted first.
    fn receiver(&mut self, operation: ValueOperation, value: &JinjaValue<'v>) -> Result<JinjaText<'v>, EvalError> {
        match value {
            JinjaValue::Text(text) => Ok(text.clone()),
            JinjaValue::Int(_) | JinjaValue::Float(_) | JinjaValue::Bool(_) => {
                Ok(JinjaText::Shared(write::text(value, &mut self.meter)?.into()))
            }
            other => {
                let error =
                    EvalError::wrong_type(format!("`{}` wants a string, not {}", operation.name(), other.kind()));
                Err(match other {
                    JinjaValue::Null => error.hint("give a default: `value|default('', true)`"),
                    _ => error,
                })
            }
        }
    }

    fn new_text(&mut self, text: String) -> Result<JinjaValue<'v>, EvalError> {
        self.meter.charge_growth(text.len())?;
        Ok(JinjaValue::text(text))
    }

    fn texts<'t>(&mut self, parts: impl Iterator<Item = &'t str>) -> Result<JinjaValue<'v>, EvalError> {
        let mut items = Vec::new();
        for part in parts {
            self.meter.charge_growth(part.len() + size_of::<JinjaValue<'_>>())?;
            items.push(JinjaValue::text(part));
        }
        JinjaValue::list(items, &mut self.meter)
    }

    fn trimmed(
        &mut self,
        text: &str,
        given: &mut EvaluatedArguments<'v>,
        start: bool,
        end: bool,
    ) -> Result<JinjaValue<'v>, EvalError> {
        let letters: Option<Vec<char>> = given.text("chars")?.map(|letters| letters.chars().collect());
        self.meter.charge_read(text.len() * letters.as_ref().map_or(1, |letters| 1 + letters.len() / 16))?;
        let goes = |c: char| letters.as_ref().map_or(c.is_whitespace(), |letters| letters.contains(&c));
        let text = if start { text.trim_start_matches(goes) } else { text };
        let text = if end { text.trim_end_matches(goes) } else { text };
        self.new_text(text.to_owned())
    }

    fn split(&mut self, text: &str, given: &mut EvaluatedArguments<'v>) -> Result<JinjaValue<'v>, EvalError> {
        let separator = given.text("separator")?;
        let most = given.count("maxsplit")?.unwrap_or(usize::MAX).saturating_add(1);
        match separator {
            None => self.texts(text.split_whitespace()),
            Some(separator) if separator.is_empty() => Err(EvalError::bad_value("`split` cannot part at nothing")),
            Some(separator) => self.texts(text.splitn(most, &*separator)),
        }
    }

    /// Joins items as text, with a separator between them.
    pub(super) fn joined(&mut self, items: &[JinjaValue<'v>], between: &str) -> Result<JinjaValue<'v>, EvalError> {
        let mut text = String::new();
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                write::append(between, &mut text, &mut self.meter)?;
            }
            write::write(item, &mut text, &mut self.meter)?;
        }
        Ok(JinjaValue::text(text))
    }

    fn replaced(&mut self, text: &str, given: &mut EvaluatedArguments<'v>) -> Result<String, EvalError> {
        let old = given.required_text("old")?;
        let new = given.required_text("new")?;
        let most = given.count("count")?.unwrap_or(usize::MAX);
        // Counted first, so that a result over the limit is never made.
        let times = text.matches(&*old).take(most).count();
        self.meter.charge_growth(text.len().saturating_add(times.saturating_mul(new.len())))?;
        Ok(text.replacen(&*old, &new, times))
    }

    fn replaced_each(&mut self, text: &str, instead: impl Fn(char) -> Option<&'static str>) -> String {
        let mut made = String::with_capacity(text.len());
        for c in text.chars() {
            match instead(c) {
                Some(other) => made.push_str(other),
                None => made.push(c),
            }
        }
        made
    }

    fn indented(&mut self, text: &str, given: &mut EvaluatedArguments<'v>) -> Result<String, EvalError> {
        let width = given.count("width")?.unwrap_or(4).min(WIDTH_MAX);
        let first = given.flag("first")?;
        let blank = given.flag("blank")?;
        let lines = text.split('\n').count();
        self.meter.charge_growth(lines.saturating_mul(width).saturating_add(text.len()))?;
        let space = " ".repeat(width);
        let mut made = String::new();
        for (index, line) in text.split('\n').enumerate() {
            if index > 0 {
                made.push('\n');
            }
            let wanted = if index == 0 { first } else { blank || !line.is_empty() };
            if wanted {
                made.push_str(&space);
            }
            made.push_str(line);
        }
        Ok(made)
    }
}

fn all<'v>(text: &str, wanted: impl Fn(char) -> bool) -> JinjaValue<'v> {
    JinjaValue::Bool(!text.is_empty() && text.chars().all(wanted))
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    first + &letters.as_str().to_lowercase()
}

fn titled(text: &str) -> String {
    let mut made = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        if inside {
            made.extend(c.to_lowercase());
        } else {
            made.extend(c.to_uppercase());
        }
        inside = c.is_alphanumeric() || c == '\'';
    }
    made
}

/// Truncates to a number of characters, including the ellipsis, and not within a word by default.
fn truncated(text: &str, given: &mut EvaluatedArguments<'_>) -> Result<String, EvalError> {
    let length = given.count("length")?.unwrap_or(255).min(WIDTH_MAX);
    let within_words = given.flag("killwords")?;
    let mark = given.text("end")?;
    let mark = mark.as_deref().unwrap_or("...");
    if text.chars().count() <= length {
        return Ok(text.to_owned());
    }
    let kept = length.saturating_sub(mark.chars().count());
    let mut cut: &str = text.char_indices().nth(kept).map_or(text, |(at, _)| &text[..at]);
    if !within_words && let Some((words, _)) = cut.rsplit_once(' ') {
        cut = words;
    }
    Ok(format!("{cut}{mark}"))
}

fn padded(text: &str, width: usize) -> String {
    let (sign, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) => text.split_at(text.len() - digits.len()),
        None => ("", text),
    };
    let missing = width.saturating_sub(text.chars().count());
    format!("{sign}{}{digits}", "0".repeat(missing))
}

fn url_encoded(text: &str) -> String {
    let mut made = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => made.push(char::from(byte)),
            _ => {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                made.push('%');
                made.push(char::from(DIGITS[usize::from(byte >> 4)]));
                made.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
        }
    }
    made
}
