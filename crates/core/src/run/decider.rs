//! Who decides, with what is established of them; and whom a `human` node asks.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A person who decides. Whoever lets the decision in (HTTP, the command line, a decision link) establishes the roles and
/// skills; they are never taken from what the person sends.
///
/// Written as the bare name where nothing else is known, as inboxes of before have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Decider {
    pub name: String,
    pub roles: BTreeSet<String>,
    pub skills: BTreeSet<String>,
    /// How the decision came in, where it came with no key or token of the person's own.
    pub via: Option<Via>,
}

/// How a decision came in, other than with the person's own key or token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// Whoever owns the machine typed the name.
    CommandLine,
    /// By a link that was delivered to the person.
    Link {
        /// Who had it sent.
        asked_by: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Name(String),
    Known {
        name: String,
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        roles: BTreeSet<String>,
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        skills: BTreeSet<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        via: Option<Via>,
    },
}

impl From<Written> for Decider {
    fn from(written: Written) -> Self {
        match written {
            Written::Name(name) => Self { name, ..Self::default() },
            Written::Known { name, roles, skills, via } => Self { name, roles, skills, via },
        }
    }
}

impl From<Decider> for Written {
    fn from(decider: Decider) -> Self {
        let Decider { name, roles, skills, via } = decider;
        match roles.is_empty() && skills.is_empty() && via.is_none() {
            true => Self::Name(name),
            false => Self::Known { name, roles, skills, via },
        }
    }
}

impl From<String> for Decider {
    fn from(name: String) -> Self {
        Self { name, ..Self::default() }
    }
}

impl From<&str> for Decider {
    fn from(name: &str) -> Self {
        name.to_owned().into()
    }
}

impl fmt::Display for Decider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Decider {
    /// Who had the link sent that this decision came by.
    pub fn link_asked_by(&self) -> Option<&str> {
        match &self.via {
            Some(Via::Link { asked_by }) => Some(asked_by),
            Some(Via::CommandLine) | None => None,
        }
    }
}

/// Whom a `human` node asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assignees {
    Anybody,
    Names(Vec<String>),
    /// Whoever has the role, where one is named, and every one of the skills.
    Qualified {
        role: Option<String>,
        skills: Vec<String>,
    },
}

impl Assignees {
    /// As a definition writes them.
    ///
    /// # Errors
    /// Why it asks nobody that can be told, in words.
    pub fn read(written: &Value) -> Result<Self, String> {
        match written {
            Value::Null => Ok(Self::Anybody),
            Value::String(name) if !name.trim().is_empty() => Ok(Self::Names(vec![name.clone()])),
            Value::Array(names) if !names.is_empty() => Ok(Self::Names(texts(names)?)),
            Value::Object(written) => Self::qualified(written),
            Value::Array(_) => Err("the list names nobody".to_owned()),
            Value::String(_) | Value::Bool(_) | Value::Number(_) => {
                Err(format!("`{written}` is no name, no list of names and no `{{role, skills}}`"))
            }
        }
    }

    fn qualified(written: &Map<String, Value>) -> Result<Self, String> {
        if let Some(odd) = written.keys().find(|key| !matches!(key.as_str(), "role" | "skills")) {
            return Err(format!("`{odd}` means nothing there; `role` and `skills` do"));
        }
        let role = match written.get("role") {
            None | Some(Value::Null) => None,
            Some(Value::String(role)) if !role.trim().is_empty() => Some(role.clone()),
            Some(other) => return Err(format!("`role` is one name, not `{other}`")),
        };
        let skills = match written.get("skills") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::String(skill)) => texts(&[Value::String(skill.clone())])?,
            Some(Value::Array(skills)) => texts(skills)?,
            Some(other) => return Err(format!("`skills` is a list of names, not `{other}`")),
        };
        if role.is_none() && skills.is_empty() {
            return Err("it names neither a `role` nor `skills`".to_owned());
        }
        Ok(Self::Qualified { role, skills })
    }

    /// Whether the node asks this person. What cannot be read asks nobody: see [`Self::read`].
    pub fn ask(written: &Value, who: &Decider) -> bool {
        match Self::read(written) {
            Ok(Self::Anybody) => true,
            Ok(Self::Names(names)) => names.contains(&who.name),
            Ok(Self::Qualified { role, skills }) => {
                role.is_none_or(|role| who.roles.contains(&role))
                    && skills.iter().all(|skill| who.skills.contains(skill))
            }
            Err(_) => false,
        }
    }
}

fn texts(written: &[Value]) -> Result<Vec<String>, String> {
    let text = |value: &Value| match value.as_str() {
        Some(text) if !text.trim().is_empty() => Ok(text.to_owned()),
        Some(_) | None => Err(format!("`{value}` is no name")),
    };
    written.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn whoever(role: &str, skills: &[&str]) -> Decider {
        let (roles, skills) = ([role.to_owned()].into(), skills.iter().map(|skill| (*skill).to_owned()).collect());
        Decider { name: "eve".to_owned(), roles, skills, via: None }
    }

    #[test]
    fn a_role_and_every_skill_are_needed_where_both_are_named() {
        let both = json!({"role": "manager", "skills": ["finance", "legal"]});
        assert!(Assignees::ask(&both, &whoever("manager", &["finance", "legal", "art"])));
        assert!(!Assignees::ask(&both, &whoever("manager", &["finance"])));
        assert!(!Assignees::ask(&both, &whoever("clerk", &["finance", "legal"])));
        assert!(!Assignees::ask(&both, &"eve".into()), "a name alone has no role");
        assert!(Assignees::ask(&json!({"skills": "finance"}), &whoever("clerk", &["finance"])));
        assert!(Assignees::ask(&json!(["bob", "eve"]), &"eve".into()) && !Assignees::ask(&json!("bob"), &"eve".into()));
        assert!(Assignees::ask(&Value::Null, &"eve".into()));
    }

    #[test]
    fn what_cannot_be_read_says_why_and_asks_nobody() {
        let wrong =
            [json!(7), json!(""), json!([]), json!({}), json!([7]), json!({"role": 7}), json!({"rôle": "manager"})];
        for wrong in wrong {
            assert!(Assignees::read(&wrong).is_err(), "{wrong}");
            assert!(!Assignees::ask(&wrong, &whoever("manager", &["finance"])), "{wrong}");
        }
    }

    #[test]
    fn a_bare_name_is_written_and_read_as_before() {
        let bare = Decider::from("eve");
        assert_eq!((json!(bare), serde_json::from_value(json!("eve")).ok()), (json!("eve"), Some(bare)));
        let via = Some(Via::Link { asked_by: "bob".to_owned() });
        let known = Decider { via, ..whoever("manager", &["finance"]) };
        assert_eq!(serde_json::from_value::<Decider>(json!(known)).ok(), Some(known));
    }
}
