//! Comma-separated values according to RFC 4180, one record at a time: quoted fields may contain commas, line breaks
//! and doubled quotes.

use std::io::BufRead;

/// Maximum size of one record, in bytes.
pub(super) const RECORD_BYTES_MAX: usize = 16 << 20;

/// The records of a text, each with the line on which it begins.
pub(super) struct CsvRecords<R> {
    input: R,
    line: usize,
}

impl<R: BufRead> CsvRecords<R> {
    pub fn new(input: R) -> Self {
        Self { input, line: 0 }
    }

    /// Returns the next record that is not blank.
    pub fn next(&mut self) -> Result<Option<(usize, Vec<String>)>, String> {
        loop {
            let begins = self.line + 1;
            let Some(text) = self.whole()? else { return Ok(None) };
            if !text.trim().is_empty() {
                return Ok(Some((begins, fields(&text))));
            }
        }
    }

    /// Reads lines until no quote is open.
    fn whole(&mut self) -> Result<Option<String>, String> {
        let mut text = String::new();
        loop {
            let begun = text.len();
            let read = self.input.read_line(&mut text).map_err(|error| format!("line {}: {error}", self.line + 1))?;
            if read == 0 {
                return if text.is_empty() {
                    Ok(None)
                } else {
                    Err(format!("line {}: a quoted field does not end", self.line))
                };
            }
            self.line += 1;
            if text.len() > RECORD_BYTES_MAX {
                return Err(format!("line {}: a record is over the limit of {RECORD_BYTES_MAX} bytes", self.line));
            }
            let is_open = text.matches('"').count() % 2 == 1;
            if !is_open {
                return Ok(Some(text));
            }
            debug_assert!(text.len() > begun);
        }
    }
}

/// Splits a complete record into its fields.
fn fields(record: &str) -> Vec<String> {
    let record = record.trim_end_matches(['\r', '\n']);
    let mut fields = Vec::new();
    let mut field = String::new();
    let mut quoted = false;
    let mut rest = record.trim_start_matches('\u{feff}').chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' if quoted && rest.peek() == Some(&'"') => {
                rest.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            other => field.push(other),
        }
    }
    fields.push(field);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Result<Vec<(usize, Vec<String>)>, String> {
        let mut records = CsvRecords::new(text.as_bytes());
        let mut all = Vec::new();
        while let Some(record) = records.next()? {
            all.push(record);
        }
        Ok(all)
    }

    #[test]
    fn quoted_fields_hold_anything() {
        let text = "\u{feff}a,b\r\n\"x, \"\"y\"\"\nz\",2\n\n,\n";
        let found = all(text).expect("records");
        let expect = [(1, vec!["a", "b"]), (2, vec!["x, \"y\"\nz", "2"]), (5, vec!["", ""])];
        assert_eq!(found, expect.map(|(line, fields)| (line, fields.into_iter().map(str::to_owned).collect())));
    }

    #[test]
    fn a_quote_that_does_not_end_is_named() {
        assert_eq!(all("a\n\"b\nc"), Err("line 3: a quoted field does not end".into()));
    }
}
