//! One action of a toolkit: its stored form and its effect class.

use baton_core::tool::EffectClass;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::catalogue::ToolRisk;
use crate::check::ArgumentSchema;

/// Maximum size of one action's schema, in bytes. A larger one is not stored; then Composio alone validates the
/// arguments.
const SCHEMA_BYTES_MAX: usize = 64 << 10;
const SLUG_BYTES_MAX: usize = 200;
/// Maximum size of a description, in bytes. Models receive all of it at each step.
const DESCRIPTION_BYTES_MAX: usize = 1_000;
const TAGS_MAX: usize = 20;
const TAG_BYTES_MAX: usize = 64;

/// Composio's tags for what an action does.
const READS: &str = "readOnlyHint";
const DESTROYS: &str = "destructiveHint";
const CHANGES: [&str; 3] = ["createHint", "updateHint", DESTROYS];
/// Verbs that start the names of read-only actions.
const READ_VERBS: [&str; 5] = ["get", "list", "search", "find", "fetch"];
/// Words that mark an action with side effects, however its name starts: `find_or_create_contact`.
const WRITE_VERBS: [&str; 22] = [
    "add", "archive", "assign", "cancel", "charge", "create", "delete", "edit", "insert", "mark", "merge", "move",
    "patch", "post", "remove", "replace", "send", "set", "trash", "update", "upload", "upsert",
];
/// The write verbs whose effect is hard to undo.
const DESTRUCTIVE_VERBS: [&str; 6] = ["cancel", "charge", "delete", "merge", "remove", "trash"];

/// A stored action. Its class is derived from the settings at each start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ToolkitAction {
    /// `SHOPIFY_GET_ORDER`.
    pub(super) slug: String,
    /// The tool's name: `shopify.get_order`.
    pub(super) name: String,
    pub(super) description: String,
    /// JSON Schema.
    pub(super) parameters: Value,
    pub(super) tags: Vec<String>,
    pub(super) version: String,
    /// Whether it needs no connected account.
    pub(super) no_auth: bool,
}

/// An action as Composio lists it, limited to the fields in use.
#[derive(Deserialize)]
struct ActionListing {
    slug: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    input_parameters: Value,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    version: String,
    #[serde(default)]
    no_auth: bool,
    #[serde(default)]
    is_deprecated: bool,
}

/// Why an item of the list became no tool, or only a partial one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ActionDiagnostic {
    pub slug: String,
    pub reason: String,
}

impl ToolkitAction {
    /// Reads an item of the list, without its tool name yet, and any diagnostic. Returns no action if the item must
    /// be skipped.
    pub(super) fn read(item: Value) -> (Option<Self>, Option<ActionDiagnostic>) {
        let slug = item.get("slug").and_then(Value::as_str).unwrap_or_default().to_owned();
        let doubt = |reason: &str| {
            let end = slug.floor_char_boundary(SLUG_BYTES_MAX);
            Some(ActionDiagnostic { slug: slug.get(..end).unwrap_or_default().to_owned(), reason: reason.to_owned() })
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if slug.is_empty() || slug.len() > SLUG_BYTES_MAX || !slug.bytes().all(plain) {
            return (None, doubt("its slug is none"));
        }
        let Ok(listed) = serde_json::from_value::<ActionListing>(item) else {
            return (None, doubt("it is not as Composio documents actions"));
        };
        if listed.is_deprecated {
            return (None, None);
        }
        let (parameters, reason) = schema(listed.input_parameters);
        let mut description = if listed.description.trim().is_empty() { listed.name } else { listed.description };
        description.truncate(description.floor_char_boundary(DESCRIPTION_BYTES_MAX));
        let mut tags = listed.tags;
        tags.retain(|tag| tag.len() <= TAG_BYTES_MAX);
        tags.truncate(TAGS_MAX);
        let action = Self {
            slug: listed.slug,
            name: String::new(),
            description,
            parameters,
            tags,
            version: listed.version,
            no_auth: listed.no_auth,
        };
        (Some(action), reason.and_then(|reason| doubt(&reason)))
    }

    /// The slug without the toolkit's prefix, in lower case: `get_order`.
    pub(super) fn local_name<'s>(slug: &'s str, app: &str) -> &'s str {
        let cut = |prefix: &str| {
            let head = slug.get(..prefix.len())?;
            head.eq_ignore_ascii_case(prefix).then(|| slug.get(prefix.len()..)).flatten()
        };
        let rest = cut(app).or_else(|| cut(&app.replace('-', "_"))).and_then(|rest| rest.strip_prefix('_'));
        rest.filter(|rest| !rest.is_empty()).unwrap_or(slug)
    }

    /// The effect class after an unknown outcome. An action is a read only if its source is trusted and either tags
    /// it as a read, or has no tag and a name that starts like a read.
    pub(super) fn class(&self, is_trusted: bool) -> EffectClass {
        let tagged = |tag: &str| self.tags.iter().any(|known| known == tag);
        let changes = CHANGES.into_iter().any(tagged);
        let reads = tagged(READS) || self.is_named_like_a_read();
        if is_trusted && !changes && reads { EffectClass::Read } else { EffectClass::Once }
    }

    pub(super) fn risk(&self, is_trusted: bool) -> ToolRisk {
        let destroys =
            self.tags.iter().any(|tag| tag == DESTROYS) || self.words().any(|word| DESTRUCTIVE_VERBS.contains(&word));
        match self.class(is_trusted) {
            EffectClass::Pure | EffectClass::Read => ToolRisk::Low,
            EffectClass::Keyed | EffectClass::Verify | EffectClass::Once if is_trusted && !destroys => ToolRisk::Medium,
            EffectClass::Keyed | EffectClass::Verify | EffectClass::Once => ToolRisk::High,
        }
    }

    fn is_named_like_a_read(&self) -> bool {
        let looks = self.words().next().is_some_and(|first| READ_VERBS.contains(&first));
        looks && !self.words().any(|word| WRITE_VERBS.contains(&word))
    }

    /// The words of its name, without the app's.
    fn words(&self) -> impl Iterator<Item = &str> {
        let bare = self.name.split_once('.').map_or(self.name.as_str(), |(_, bare)| bare);
        bare.split(['_', '-'])
    }
}

/// Returns the schema to store, and why it differs from the given one.
fn schema(given: Value) -> (Value, Option<String>) {
    let anything = || json!({"type": "object"});
    if given.is_null() {
        return (anything(), None);
    }
    if !given.is_object() {
        return (anything(), Some("its schema is no object; Composio alone checks its arguments".to_owned()));
    }
    let bytes = given.to_string().len();
    if bytes > SCHEMA_BYTES_MAX {
        let reason = format!("its schema has {bytes} bytes, over the limit of {SCHEMA_BYTES_MAX}");
        return (anything(), Some(format!("{reason}; Composio alone checks its arguments")));
    }
    match ArgumentSchema::new(given.clone()).compile() {
        Ok(()) => (given, None),
        Err(reason) => {
            (anything(), Some(format!("its schema is none ({reason}); Composio alone checks its arguments")))
        }
    }
}
