//! From bytes to text that can be a definition, with a clear word about what cannot.

use super::super::diagnostic::{Code, Diagnostic};
use super::{SOURCE_BYTES_MAX, Span};

const BYTE_ORDER_MARK: char = '\u{feff}';

/// The text without its byte order mark.
pub(super) fn check(source: &[u8]) -> Result<&str, Diagnostic> {
    let start = Span { line: 1, column: 1, len: 1 };
    if source.len() > SOURCE_BYTES_MAX {
        let message = format!("the file has {} bytes; a definition has at most {SOURCE_BYTES_MAX}", source.len());
        return Err(start.error(Code::Unreadable, message).hint("split it: a node of type `subworkflow` runs another"));
    }
    if source.starts_with(&[0xff, 0xfe]) || source.starts_with(&[0xfe, 0xff]) {
        return Err(start.error(Code::Unreadable, "the file is UTF-16").hint("save it as UTF-8"));
    }
    let text = std::str::from_utf8(source).map_err(|error| {
        let before = String::from_utf8_lossy(source.get(..error.valid_up_to()).unwrap_or_default());
        end_of(&before)
            .error(Code::Unreadable, format!("byte {} is not UTF-8 text", error.valid_up_to()))
            .hint("a definition is YAML or JSON text in UTF-8")
    })?;
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    if let Some((offset, control)) = text.char_indices().find(|(_, c)| is_forbidden(*c)) {
        return Err(end_of(text.get(..offset).unwrap_or_default())
            .error(Code::Unreadable, format!("the file holds the control character U+{:04X}", u32::from(control)))
            .hint("a definition is plain text; is this the right file?"));
    }
    if text.trim().is_empty() {
        return Err(empty(start));
    }
    Ok(text)
}

pub(super) fn empty(at: Span) -> Diagnostic {
    at.error(Code::Unreadable, "the definition is empty").hint("begin with `name:` and `nodes:` or `steps:`")
}

fn is_forbidden(c: char) -> bool {
    c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}')
}

/// The place just behind a text.
fn end_of(text: &str) -> Span {
    let lines = text.matches('\n').count();
    let last = text.rsplit('\n').next().unwrap_or_default();
    let count = |n: usize| u32::try_from(n.saturating_add(1)).unwrap_or(u32::MAX);
    Span { line: count(lines), column: count(last.chars().count()), len: 1 }
}
