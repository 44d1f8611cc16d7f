//! Error messages of file parsers in plain words: parsers mention `u64`, `sequence` and `struct`.

/// How parsers report a value of another type, or over a limit.
const MISFITS: [&str; 3] = ["invalid type: ", "invalid value: ", "invalid length "];
/// Number types with their limits.
const NUMBERS: [(&str, &str); 12] = [
    ("u8", "a whole number from 0 to 255"),
    ("u16", "a whole number from 0 to 65,535"),
    ("u32", "a whole number from 0 to 4,294,967,295"),
    ("u64", "a whole number, zero or more"),
    ("usize", "a whole number, zero or more"),
    ("a nonzero u16", "a whole number from 1 to 65,535"),
    ("a nonzero u32", "a whole number from 1 to 4,294,967,295"),
    ("a nonzero u64", "a whole number, one or more"),
    ("i32", "a whole number"),
    ("i64", "a whole number"),
    ("f32", "a number"),
    ("f64", "a number"),
];

/// Returns the message in plain words; unchanged if it is already plain.
pub fn friendly(message: &str) -> String {
    if let Some(name) = message.strip_prefix("missing field ") {
        return format!("the key {name} is missing");
    }
    if message.starts_with("data did not match any variant") {
        return "it is written in none of the ways that there are for it".to_owned();
    }
    let misfit = MISFITS.iter().find_map(|how| message.strip_prefix(how));
    match misfit.and_then(|rest| rest.split_once(", expected ")) {
        Some((found, wanted)) => {
            format!("{}, and {} is wanted", found_text(found), expected_text(without_position(wanted)))
        }
        None => message.to_owned(),
    }
}

/// Returns the position at which a parser stopped, as a path of keys, and the error there in plain words. An unknown
/// key is reported at its parent.
pub fn friendly_at(path: &str, message: &str) -> (String, String) {
    let path = if path == "." { "" } else { path };
    let holder = path.rsplit_once('.').map_or("", |(holder, _)| holder);
    let place = if message.starts_with("unknown field") { holder } else { path };
    (place.to_owned(), friendly(message))
}

/// Returns the value that was found.
fn found_text(found: &str) -> String {
    match found {
        "map" => "it is a mapping of keys".to_owned(),
        "sequence" => "it is a list".to_owned(),
        "null" | "unit value" | "Option value" => "nothing is there".to_owned(),
        found => {
            let text = found.strip_prefix("string \"").and_then(|text| text.strip_suffix('"'));
            let number = ["integer ", "floating point "].iter().find_map(|kind| found.strip_prefix(kind));
            match (text, number) {
                (Some(text), _) => format!("`{text}` is text"),
                (None, Some(number)) => format!("{number} is a number"),
                // A boolean is in backticks; a length is a number alone.
                (None, None) => match found.strip_prefix("boolean ") {
                    Some(flag) => format!("{flag} is a yes or a no"),
                    None => format!("it has {found} parts"),
                },
            }
        }
    }
}

/// Returns the value that was expected.
fn expected_text(wanted: &str) -> String {
    if let Some((_, words)) = NUMBERS.iter().find(|(kind, _)| *kind == wanted) {
        return (*words).to_owned();
    }
    match wanted {
        "a string" | "a borrowed string" | "a char" | "a character" => "text".to_owned(),
        "a boolean" => "`true` or `false`".to_owned(),
        "unit" => "nothing".to_owned(),
        wanted
            if wanted.starts_with("a sequence") || wanted.starts_with("a tuple") || wanted.starts_with("an array") =>
        {
            "a list".to_owned()
        }
        wanted if wanted.starts_with("a map") || wanted.starts_with("struct ") => "a mapping of keys".to_owned(),
        wanted if wanted.contains("enum ") || wanted.starts_with("variant") => "one of the words for it".to_owned(),
        wanted if wanted.starts_with("tuple struct") => "a list".to_owned(),
        wanted => wanted.to_owned(),
    }
}

/// Removes the position that text parsers append: ` at line 3 column 5`.
fn without_position(wanted: &str) -> &str {
    wanted.split_once(" at line ").map_or(wanted, |(wanted, _)| wanted)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::num::NonZeroU32;

    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum LowercaseEnum {
        #[expect(dead_code, reason = "never read")]
        Held(u8),
    }

    #[derive(Debug, Deserialize)]
    #[serde(untagged)]
    #[expect(dead_code, reason = "never read")]
    enum UntaggedEnum {
        One(u8),
        Two(bool),
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "never read")]
    struct CountStruct {
        count: u32,
    }

    fn said<T: for<'de> Deserialize<'de> + std::fmt::Debug>(value: Value) -> String {
        friendly(&serde_json::from_value::<T>(value).unwrap_err().to_string())
    }

    #[test]
    fn what_is_there_and_what_is_wanted_is_said_in_plain_words() {
        assert_eq!(said::<u64>(json!("soon")), "`soon` is text, and a whole number, zero or more is wanted");
        assert_eq!(said::<u32>(json!(-5)), "`-5` is a number, and a whole number from 0 to 4,294,967,295 is wanted");
        assert_eq!(said::<String>(json!(1.5)), "`1.5` is a number, and text is wanted");
        assert_eq!(said::<bool>(json!("yes")), "`yes` is text, and `true` or `false` is wanted");
        assert_eq!(said::<Vec<u8>>(json!({"a": 1})), "it is a mapping of keys, and a list is wanted");
        assert_eq!(said::<BTreeMap<String, u8>>(json!([1])), "it is a list, and a mapping of keys is wanted");
        assert_eq!(said::<CountStruct>(json!("x")), "`x` is text, and a mapping of keys is wanted");
        assert_eq!(said::<CountStruct>(json!({})), "the key `count` is missing");
        assert_eq!(said::<f64>(json!(null)), "nothing is there, and a number is wanted");
        assert_eq!(said::<u8>(json!(true)), "`true` is a yes or a no, and a whole number from 0 to 255 is wanted");
    }

    #[test]
    fn an_unknown_key_is_wrong_in_what_holds_it() {
        let place = |path, message| friendly_at(path, message).0;
        assert_eq!(place("retry.max", "unknown field `max`, expected `max_attempts`"), "retry");
        assert_eq!(place("max", "unknown field `max`, expected `min`"), "");
        assert_eq!(place("retry.max_ms", "invalid type: map, expected u64"), "retry.max_ms");
        assert_eq!(place(".", "missing field `url`"), "");
    }

    #[test]
    fn no_word_of_the_language_it_is_written_in_is_said() {
        let all = [
            said::<LowercaseEnum>(json!([1])),
            said::<UntaggedEnum>(json!("x")),
            said::<CountStruct>(json!([])),
            said::<(u8, u8)>(json!([1])),
            said::<NonZeroU32>(json!(0)),
            said::<[u8; 3]>(json!({"a": 1})),
            said::<Option<CountStruct>>(json!(3)),
        ];
        for said in all {
            for word in ["struct", "enum", "invalid", "sequence", "u8", "u32", "Option", "variant", "tuple", "Some("] {
                assert!(!said.contains(word), "`{word}` is in: {said}");
            }
        }
    }
}
