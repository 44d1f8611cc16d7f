//! Content lines: unfolded, and split into name, parameters and value.

use super::ICalendarError;

/// A content line such as `DTSTART;TZID=Europe/Madrid:20250120T100000`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ContentLine {
    /// The line number in the text, from 1.
    pub(super) number: usize,
    /// In upper case.
    pub(super) name: String,
    parameters: Vec<(String, String)>,
    pub(super) value: String,
}

impl ContentLine {
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn error(&self, reason: impl Into<String>) -> ICalendarError {
        ICalendarError { line: self.number, reason: reason.into() }
    }

    /// Returns the value as TEXT, unescaped.
    pub(super) fn text(&self) -> String {
        let mut text = String::with_capacity(self.value.len());
        let mut characters = self.value.chars();
        while let Some(character) = characters.next() {
            match character {
                '\\' => match characters.next() {
                    Some('n' | 'N') => text.push('\n'),
                    Some(escaped) => text.push(escaped),
                    None => {}
                },
                plain => text.push(plain),
            }
        }
        text
    }
}

/// Splits a text into content lines. A line that starts with a space or a tab continues the previous one (3.1).
pub(super) fn lines(text: &str) -> Result<Vec<ContentLine>, ICalendarError> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (at, raw) in text.split('\n').enumerate() {
        let raw = raw.strip_suffix('\r').unwrap_or(raw);
        match raw.strip_prefix([' ', '\t']) {
            Some(rest) if !lines.is_empty() => {
                if let Some((_, last)) = lines.last_mut() {
                    last.push_str(rest);
                }
            }
            _ if raw.trim().is_empty() => {}
            _ => lines.push((at + 1, raw.to_owned())),
        }
    }
    lines.into_iter().map(|(number, line)| parse(number, &line)).collect()
}

fn parse(number: usize, line: &str) -> Result<ContentLine, ICalendarError> {
    let error = |reason: &str| ICalendarError { line: number, reason: reason.to_owned() };
    let mut quoted = false;
    let mut colon = None;
    let mut cuts = Vec::new();
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b';' if !quoted => cuts.push(at),
            b':' if !quoted => {
                colon = Some(at);
                break;
            }
            _ => {}
        }
    }
    let colon = colon.ok_or_else(|| error("has no `:`"))?;
    cuts.push(colon);
    let mut parts = Vec::with_capacity(cuts.len());
    let mut from = 0;
    for cut in cuts {
        parts.push(line.get(from..cut).unwrap_or_default());
        from = cut + 1;
    }
    let mut parts = parts.into_iter();
    let name = parts.next().unwrap_or_default().trim().to_ascii_uppercase();
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(error("does not begin with a property's name"));
    }
    let parameters = parts
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (name.trim().to_ascii_uppercase(), value.trim_matches('"').to_owned())
        })
        .collect();
    Ok(ContentLine { number, name, parameters, value: line.get(colon + 1..).unwrap_or_default().to_owned() })
}
