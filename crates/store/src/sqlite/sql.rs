//! One SQL text for two databases: statements are written with `$1`, which PostgreSQL accepts as it is.

use std::borrow::Cow;

/// The text for SQLite. There `$1` is a *name*, numbered by first appearance, so `$2 … $1` would silently be bound in
/// the wrong order; `?1` is a number.
pub(super) fn numbered(sql: &str) -> Cow<'_, str> {
    if !sql.contains('$') {
        return Cow::Borrowed(sql);
    }
    let mut text = String::with_capacity(sql.len());
    let mut quoted = false;
    let mut parts = sql.split('$').peekable();
    while let Some(part) = parts.next() {
        text.push_str(part);
        quoted ^= part.bytes().filter(|byte| *byte == b'\'').count() % 2 == 1;
        if let Some(behind) = parts.peek() {
            let is_parameter = !quoted && behind.as_bytes().first().is_some_and(u8::is_ascii_digit);
            text.push(if is_parameter { '?' } else { '$' });
        }
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_become_numbers_and_text_stays() {
        let cases = [
            ("SELECT 1", "SELECT 1"),
            ("a = $2 AND b = $1", "a = ?2 AND b = ?1"),
            ("a = '$1' AND b = $12", "a = '$1' AND b = ?12"),
            ("a = 'it''s $1', b = $3", "a = 'it''s $1', b = ?3"),
            ("a = $name", "a = $name"),
        ];
        for (given, expect) in cases {
            assert_eq!(numbered(given), expect);
        }
    }

    #[test]
    fn values_are_bound_by_number_not_by_place() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        let row = connection
            .query_row(&numbered("SELECT $2 || $1"), ["first", "second"], |row| row.get::<_, String>(0))
            .unwrap();
        assert_eq!(row, "secondfirst");
    }
}
