//! From bytes to the text of a definition, with clear errors.

use std::fmt::Write as _;

use super::super::diagnostic::{Diagnostic, DiagnosticCode};
use super::{SOURCE_BYTES_MAX, SourceSpan};

const BYTE_ORDER_MARK: char = '\u{feff}';

/// Returns the text without its byte order mark.
pub(super) fn check(source: &[u8]) -> Result<&str, Diagnostic> {
    let start = SourceSpan { line: 1, column: 1, len: 1 };
    if source.len() > SOURCE_BYTES_MAX {
        let message = format!("the file has {} bytes; a definition has at most {SOURCE_BYTES_MAX}", source.len());
        return Err(start
            .error(DiagnosticCode::Unreadable, message)
            .hint("split it: a node of type `subworkflow` runs another"));
    }
    if source.starts_with(&[0xff, 0xfe]) || source.starts_with(&[0xfe, 0xff]) {
        return Err(start.error(DiagnosticCode::Unreadable, "the file is UTF-16").hint("save it as UTF-8"));
    }
    let text = std::str::from_utf8(source).map_err(|error| {
        let before = String::from_utf8_lossy(source.get(..error.valid_up_to()).unwrap_or_default());
        end_of(&before)
            .error(DiagnosticCode::Unreadable, format!("byte {} is not UTF-8 text", error.valid_up_to()))
            .hint("a definition is YAML or JSON text in UTF-8")
    })?;
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    if let Some((offset, control)) = text.char_indices().find(|(_, c)| is_forbidden(*c)) {
        return Err(end_of(text.get(..offset).unwrap_or_default())
            .error(
                DiagnosticCode::Unreadable,
                format!("the file holds the control character U+{:04X}", u32::from(control)),
            )
            .hint("a definition is plain text; is this the right file?"));
    }
    if text.trim().is_empty() {
        return Err(empty(start));
    }
    Ok(text)
}

/// JSON writes a character beyond U+FFFF as two escapes, `\ud83d\ude00`; YAML only supports `\U0001f600`. Rewrites the
/// former as the latter if the text is JSON. Returns `None` if there are none. Columns after a rewritten escape shift
/// by two.
pub(super) fn join_surrogates(text: &str) -> Option<String> {
    if !text.trim_start().starts_with(['{', '[']) || !(text.contains("\\ud") || text.contains("\\uD")) {
        return None;
    }
    let mut joined = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        joined.push_str(&rest[..at]);
        rest = &rest[at..];
        let pair = code_unit(rest).zip(rest.get(6..).and_then(code_unit));
        let decoded =
            pair.and_then(|(high, low)| char::decode_utf16([high, low]).next()?.ok()).filter(|c| c.len_utf16() == 2);
        let taken = if let Some(c) = decoded {
            let _ = write!(joined, "\\U{:08x}", u32::from(c));
            12
        } else {
            // An escaped backslash is consumed together with the next character, so that `\\ud83d` stays text.
            let taken = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
            joined.push_str(&rest[..taken]);
            taken
        };
        rest = &rest[taken..];
    }
    joined.push_str(rest);
    Some(joined)
}

/// Returns the code unit of the escape `\uXXXX` at the start of a text.
fn code_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

pub(super) fn empty(at: SourceSpan) -> Diagnostic {
    at.error(DiagnosticCode::Unreadable, "the definition is empty").hint("begin with `name:` and `nodes:` or `steps:`")
}

fn is_forbidden(c: char) -> bool {
    c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}')
}

/// Returns the position after the end of a text.
fn end_of(text: &str) -> SourceSpan {
    let lines = text.matches('\n').count();
    let last = text.rsplit('\n').next().unwrap_or_default();
    let count = |n: usize| u32::try_from(n.saturating_add(1)).unwrap_or(u32::MAX);
    SourceSpan { line: count(lines), column: count(last.chars().count()), len: 1 }
}
