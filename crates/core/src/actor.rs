//! Names of actors in journals and audit rows: which names are valid, and which are reserved for Baton itself.
//!
//! No person may use a reserved name. A row with the actor `deadline` means that no person decided in time.

use crate::identifier::fold;
use crate::run::DEADLINE_ACTOR;

/// The owner of the machine, if no name is known.
pub const COMMAND_LINE: &str = "command line";
/// The job that deletes old rows according to the retention settings.
pub const RETENTION: &str = "retention";
/// Prefix of a schedule's name: the actor that starts the schedule's runs.
pub const SCHEDULE: &str = "schedule";
/// Prefix of a webhook's name: the actor that starts the webhook's runs.
pub const WEBHOOK: &str = "webhook";

/// Reserved names. Each is also reserved as the first word of a longer name.
const RESERVED_NAMES: [&str; 4] = [DEADLINE_ACTOR, COMMAND_LINE, RETENTION, "conversation"];
const RESERVED_PREFIXES: [&str; 4] = [SCHEDULE, WEBHOOK, "trigger", "run"];

/// Checks that people can tell this text from any other by sight: it is not blank, it has no surrounding white space,
/// and it contains no invisible characters except plain spaces.
///
/// # Errors
/// The reason, as text.
pub fn check_text(text: &str, chars_max: usize) -> Result<(), String> {
    let chars = text.chars().count();
    if text.trim().is_empty() || chars > chars_max {
        return Err(format!("it has 1 to {chars_max} characters that can be read, not {chars}"));
    }
    check_visible(text)
}

/// Same as `check_text`, for a text of any length.
///
/// # Errors
/// The reason, as text.
pub fn check_visible(text: &str) -> Result<(), String> {
    if text.trim() != text {
        return Err("it begins or ends with white space".to_owned());
    }
    match text.chars().find(|c| is_invisible(*c)) {
        Some(unseen) => Err(format!("it has a character that cannot be seen, U+{:04X}", u32::from(unseen))),
        None => Ok(()),
    }
}

/// Checks that a person may use this name.
///
/// # Errors
/// The reason, as text.
pub fn check_name(name: &str, chars_max: usize) -> Result<(), String> {
    check_text(name, chars_max)?;
    match is_reserved(name) {
        true => Err(format!("`{name}` is reserved: Baton itself acts under it in journals and in the audit trail")),
        false => Ok(()),
    }
}

/// Returns whether this name is reserved, regardless of its spelling.
pub fn is_reserved(name: &str) -> bool {
    let name = fold(name);
    let words: Vec<&str> = name.split_whitespace().collect();
    RESERVED_NAMES.contains(&words.join(" ").as_str()) || (words.len() > 1 && RESERVED_PREFIXES.contains(&words[0]))
}

/// Returns whether a character is invisible: control characters, white space other than the plain space, and characters
/// that have no width or change the direction of the text.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{115f}'
                | '\u{1160}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_told_from_every_other_by_looking() {
        for good in ["ana", "Ana María", "shop-frontend", "王小明", "first start", "schedules", "deadline keeper"] {
            assert_eq!(check_name(good, 20), Ok(()), "{good}");
        }
        for (wrong, why) in [
            ("", "1 to 20"),
            ("   ", "1 to 20"),
            ("a name of many characters", "1 to 20"),
            (" ana", "white space"),
            ("ana ", "white space"),
            ("ana\u{a0}", "white space"),
            ("\u{3000}ana", "white space"),
            ("a\u{a0}b", "U+00A0"),
            ("a\nb", "U+000A"),
            ("a\u{200b}b", "U+200B"),
            ("a\u{202e}b", "U+202E"),
            ("ana\u{ad}", "U+00AD"),
            ("deadline\u{200e}", "U+200E"),
            ("ana\u{fe0f}", "U+FE0F"),
            ("\u{3164}ana", "U+3164"),
        ] {
            let refused = check_name(wrong, 20).expect_err(wrong);
            assert!(refused.contains(why), "{wrong:?}: {refused}");
        }
    }

    #[test]
    fn reserved_names_are_refused() {
        for own in [
            "deadline",
            "Deadline",
            "command line",
            "Command  Line",
            "retention",
            "schedule daily",
            "webhook in",
            "trigger x",
            "conversation",
            "run 7",
            "ｄeadline",
        ] {
            assert!(check_name(own, 20).expect_err(own).contains("is reserved"), "{own}");
        }
    }
}
