//! Type names: nouns, each used once in the project (STYLE.md, docs/glossary.md).

use std::collections::BTreeMap;

use crate::code::BlankedSource;

/// Former type names, and their replacements. A variant or a local may still have such a name.
const REPLACED: &[(&str, &str)] = &[
    ("Books", "ModelIndex"),
    ("Chronicle", "RunHistory"),
    ("Debris", "GarbageBatch"),
    ("Door", "AppState"),
    ("Fare", "ModelHealth"),
    ("Flight", "CallState"),
    ("Guest", "Principal"),
    ("House", "AdminServices"),
    ("Judge", "JwtVerifier"),
    ("Keeper", "AggregateOwner"),
    ("Lack", "UnavailableProvider"),
    ("Lapse", "OnExpiry"),
    ("Leave", "Approval"),
    ("Lookout", "WorkPoller"),
    ("Mind", "AgentTrace"),
    ("Neighbours", "SharedCircuits"),
    ("Paces", "RateLimiters"),
    ("Patience", "WaitPreference"),
    ("Plain", "Aggregate"),
    ("Purse", "BudgetLedger"),
    ("Roster", "AgentRegistry"),
    ("Shelf", "LruCache"),
    ("Stranger", "UnknownKeyLimiter"),
    ("Talk", "ConversationHandle"),
    ("Winding", "DrainReason"),
];

/// Irregular participles and question words.
const NO_NOUNS: &[&str] = &[
    "Became", "Begun", "Broken", "Came", "Chosen", "Done", "Drawn", "Fallen", "Found", "Given", "Gone", "Heard",
    "Held", "How", "Kept", "Known", "Laid", "Left", "Lent", "Made", "Meant", "Met", "Paid", "Put", "Ran", "Said",
    "Seen", "Sent", "Shown", "Spent", "Spoken", "Stood", "Taken", "Told", "Undone", "Wanted", "What", "When", "Where",
    "Which", "Who", "Whom", "Whose", "Why", "Worn", "Wound", "Written",
];

/// Nouns that end in `ed`.
const NOUNS: &[&str] = &["Feed", "Need", "Seed", "Speed"];

/// All type names of the project, with the places that define them.
#[derive(Default)]
pub struct TypeNames(BTreeMap<String, Vec<(String, usize)>>);

impl TypeNames {
    /// Adds a file's types. Returns the names in it that are not allowed.
    pub fn add(&mut self, path: &str, code: &BlankedSource) -> Vec<String> {
        let mut findings = Vec::new();
        for (number, line) in code.lines() {
            let Some(name) = defined_type(line) else { continue };
            if let Some((_, new)) = REPLACED.iter().find(|(old, _)| *old == name) {
                findings.push(format!("{path}:{number}: `{name}` is called `{new}` (docs/glossary.md)"));
            } else if !is_noun(name) {
                findings.push(format!(
                    "{path}:{number}: `{name}` is not a noun: use two words that say what it is (STYLE.md)"
                ));
            }
            self.0.entry(name.to_owned()).or_default().push((path.to_owned(), number));
        }
        findings
    }

    /// One finding for each name that several files define. One file may define a name once for each platform.
    pub fn duplicates(&self) -> Vec<String> {
        let is_twice = |places: &[(String, usize)]| places.iter().any(|(path, _)| *path != places[0].0);
        let named_twice = self.0.iter().filter(|(_, places)| is_twice(places));
        named_twice
            .map(|(name, places)| {
                let places: Vec<String> = places.iter().map(|(path, number)| format!("{path}:{number}")).collect();
                format!("`{name}` is the name of several types: {}; each needs its own (STYLE.md)", places.join(", "))
            })
            .collect()
    }
}

/// Returns the name of the type that the line defines. Associated types do not count.
fn defined_type(line: &str) -> Option<&str> {
    let is_indented = line.starts_with(' ');
    let mut words = line.split(|one: char| !(one.is_alphanumeric() || one == '_')).filter(|word| !word.is_empty());
    let mut is_public = false;
    let keyword = words.find(|word| {
        is_public |= *word == "pub";
        !matches!(*word, "pub" | "crate" | "super" | "in" | "self" | "unsafe" | "const" | "auto")
    })?;
    let is_type = match keyword {
        "struct" | "enum" | "trait" | "union" => true,
        "type" => is_public || !is_indented,
        _ => false,
    };
    words.next().filter(|name| is_type && name.starts_with(char::is_uppercase))
}

fn is_noun(name: &str) -> bool {
    let is_one_word = name.chars().filter(|one| one.is_uppercase()).count() == 1;
    let is_participle = name.ends_with("ed") && !NOUNS.contains(&name);
    !is_one_word || !(is_participle || NO_NOUNS.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(source: &str) -> Vec<String> {
        TypeNames::default().add("crates/core/src/run.rs", &BlankedSource::new(source))
    }

    #[test]
    fn participles_and_question_words_are_no_type_names() {
        for source in ["pub struct Asked;", "enum Why {", "    pub(super) struct Kept<T> {", "pub type Found = u8;"] {
            assert_eq!(findings(source).len(), 1, "{source}");
        }
        for source in
            ["struct FinishedProcess;", "struct Feed;", "    type Asked = u8;", "fn asked() {", "let kept = Why::A;"]
        {
            assert_eq!(findings(source), [] as [String; 0], "{source}");
        }
    }

    #[test]
    fn replaced_names_are_refused_with_the_name_to_use() {
        let findings = findings("// struct Door\nenum Mode {\n    Plain,\n}\npub(crate) struct Door;\n");
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].contains("run.rs:5: `Door` is called `AppState`"), "{findings:?}");
    }

    #[test]
    fn two_files_do_not_define_one_name() {
        let mut names = TypeNames::default();
        for (path, source) in [
            ("a.rs", "#[cfg(unix)]\nstruct Signals;\n#[cfg(not(unix))]\nstruct Signals;\nstruct Run;\n"),
            ("b.rs", "pub enum Run {}\nstruct Other;\n"),
        ] {
            assert_eq!(names.add(path, &BlankedSource::new(source)), [] as [String; 0]);
        }
        let duplicates = names.duplicates();
        assert_eq!(duplicates.len(), 1, "{duplicates:?}");
        assert!(duplicates[0].contains("`Run`") && duplicates[0].contains("a.rs:5, b.rs:1"), "{duplicates:?}");
    }
}
