//! Server-sent events (WHATWG HTML §9.2), as far as these APIs use them: the data between blank lines.

use crate::providers::dialect::WireError;

/// Maximum size of one event, in bytes.
const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// Splits bytes into events.
#[derive(Default)]
pub(super) struct SseDecoder {
    line: Vec<u8>,
    data: String,
}

impl SseDecoder {
    /// Returns the events that end in these bytes.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<String>, WireError> {
        let mut events = Vec::new();
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            if self.line.len() + self.data.len() + piece.len() > EVENT_BYTES_MAX {
                return Err(WireError::malformed(format!(
                    "an event of the stream has more than {EVENT_BYTES_MAX} bytes"
                )));
            }
            self.line.extend_from_slice(piece);
            if self.line.ends_with(b"\n") {
                events.extend(self.line()?);
            }
        }
        Ok(events)
    }

    /// Returns the data after the last line break: some servers omit the blank line after the last event.
    pub fn finish(&mut self) -> Result<Option<String>, WireError> {
        self.line()?;
        let data = std::mem::take(&mut self.data);
        Ok(Some(data).filter(|data| !data.is_empty()))
    }

    /// Ends a line; a blank line ends the event.
    fn line(&mut self) -> Result<Option<String>, WireError> {
        let bytes = std::mem::take(&mut self.line);
        let line = std::str::from_utf8(&bytes).map_err(|_| WireError::malformed("the stream is not UTF-8"))?;
        let line = line.trim_end_matches(['\n', '\r']);
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            return Ok(Some(data).filter(|data| !data.is_empty()));
        }
        // Comments, names, ids and retry times are not used.
        if let Some(data) = line.strip_prefix("data:") {
            if !self.data.is_empty() {
                self.data.push('\n');
            }
            self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::SseDecoder;

    /// The events of these bytes, fed in chunks of this size.
    fn events(bytes: &[u8], size: usize) -> Option<Vec<String>> {
        let mut events = SseDecoder::default();
        let mut all = Vec::new();
        for piece in bytes.chunks(size) {
            all.extend(events.feed(piece).ok()?);
        }
        all.extend(events.finish().ok()?);
        Some(all)
    }

    #[test]
    fn events_are_data_between_blank_lines() {
        let bytes = b": comment\nevent: x\ndata: one\r\n\r\ndata:two\ndata: more\n\n\n\nid: 7\n\ndata: three";
        assert_eq!(events(bytes, 7), Some(vec!["one".into(), "two\nmore".into(), "three".into()]));
    }

    proptest! {
        #[test]
        fn however_bytes_are_cut_the_events_are_the_same(
            text in "((data: ?|: |event: |)[a-z é{}]{0,6}\r?\n){0,12}",
            size in 1_usize..9,
        ) {
            prop_assert_eq!(events(text.as_bytes(), size), events(text.as_bytes(), usize::MAX));
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..200), size in 1_usize..50) {
            let _ = events(&bytes, size);
        }
    }
}
