//! The person who makes a decision, with their verified attributes; and the assignees of a `human` node.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A person who makes a decision. The entry point (HTTP, the command line, a decision link) verifies the roles and
/// skills; they are never taken from the person's own input.
///
/// Serialized as the bare name if nothing else is known, as in older inboxes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "DecisionMakerWire", into = "DecisionMakerWire")]
pub struct DecisionMaker {
    pub name: String,
    pub roles: BTreeSet<String>,
    pub skills: BTreeSet<String>,
    /// The channel of the decision, if it came without a key or token of the person's own.
    pub via: Option<DecisionChannel>,
}

/// The channel of a decision without the person's own key or token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecisionChannel {
    /// The owner of the machine typed the name.
    CommandLine,
    /// By a link that was delivered to the person.
    Link {
        /// The person who had it sent.
        asked_by: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum DecisionMakerWire {
    Name(String),
    Known {
        name: String,
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        roles: BTreeSet<String>,
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        skills: BTreeSet<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        via: Option<DecisionChannel>,
    },
}

impl From<DecisionMakerWire> for DecisionMaker {
    fn from(written: DecisionMakerWire) -> Self {
        match written {
            DecisionMakerWire::Name(name) => Self { name, ..Self::default() },
            DecisionMakerWire::Known { name, roles, skills, via } => Self { name, roles, skills, via },
        }
    }
}

impl From<DecisionMaker> for DecisionMakerWire {
    fn from(decider: DecisionMaker) -> Self {
        let DecisionMaker { name, roles, skills, via } = decider;
        match roles.is_empty() && skills.is_empty() && via.is_none() {
            true => Self::Name(name),
            false => Self::Known { name, roles, skills, via },
        }
    }
}

impl From<String> for DecisionMaker {
    fn from(name: String) -> Self {
        Self { name, ..Self::default() }
    }
}

impl From<&str> for DecisionMaker {
    fn from(name: &str) -> Self {
        name.to_owned().into()
    }
}

impl fmt::Display for DecisionMaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl DecisionMaker {
    /// Returns the person who had the link of this decision sent.
    pub fn link_requested_by(&self) -> Option<&str> {
        match &self.via {
            Some(DecisionChannel::Link { asked_by }) => Some(asked_by),
            Some(DecisionChannel::CommandLine) | None => None,
        }
    }
}

/// The assignees of a `human` node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assignees {
    Anybody,
    Names(Vec<String>),
    /// People with the role, if one is named, and all of the skills.
    Qualified {
        role: Option<String>,
        skills: Vec<String>,
    },
}

impl Assignees {
    /// Reads assignees as a definition writes them.
    ///
    /// # Errors
    /// The reason why the assignees are invalid, as text.
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

    /// Returns whether this person is an assignee. Invalid assignees include no person: see [`Self::read`].
    pub fn includes(written: &Value, who: &DecisionMaker) -> bool {
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

    fn decision_maker(role: &str, skills: &[&str]) -> DecisionMaker {
        let (roles, skills) = ([role.to_owned()].into(), skills.iter().map(|skill| (*skill).to_owned()).collect());
        DecisionMaker { name: "eve".to_owned(), roles, skills, via: None }
    }

    #[test]
    fn a_role_and_every_skill_are_needed_where_both_are_named() {
        let both = json!({"role": "manager", "skills": ["finance", "legal"]});
        assert!(Assignees::includes(&both, &decision_maker("manager", &["finance", "legal", "art"])));
        assert!(!Assignees::includes(&both, &decision_maker("manager", &["finance"])));
        assert!(!Assignees::includes(&both, &decision_maker("clerk", &["finance", "legal"])));
        assert!(!Assignees::includes(&both, &"eve".into()), "a name alone has no role");
        assert!(Assignees::includes(&json!({"skills": "finance"}), &decision_maker("clerk", &["finance"])));
        assert!(
            Assignees::includes(&json!(["bob", "eve"]), &"eve".into())
                && !Assignees::includes(&json!("bob"), &"eve".into())
        );
        assert!(Assignees::includes(&Value::Null, &"eve".into()));
    }

    #[test]
    fn what_cannot_be_read_says_why_and_asks_nobody() {
        let wrong =
            [json!(7), json!(""), json!([]), json!({}), json!([7]), json!({"role": 7}), json!({"rôle": "manager"})];
        for wrong in wrong {
            assert!(Assignees::read(&wrong).is_err(), "{wrong}");
            assert!(!Assignees::includes(&wrong, &decision_maker("manager", &["finance"])), "{wrong}");
        }
    }

    #[test]
    fn a_bare_name_is_written_and_read_as_before() {
        let bare = DecisionMaker::from("eve");
        assert_eq!((json!(bare), serde_json::from_value(json!("eve")).ok()), (json!("eve"), Some(bare)));
        let via = Some(DecisionChannel::Link { asked_by: "bob".to_owned() });
        let known = DecisionMaker { via, ..decision_maker("manager", &["finance"]) };
        assert_eq!(serde_json::from_value::<DecisionMaker>(json!(known)).ok(), Some(known));
    }
}
