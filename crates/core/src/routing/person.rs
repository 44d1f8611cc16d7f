//! A person who takes conversations over.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::refusal::RoutingRefusal;
use super::routed_conversation::RoutingRequirements;
use super::{CAPACITY_DEFAULT, CAPACITY_MAX, NAME_CHARS_MAX, SKILL_CHARS_MAX, SKILLS_MAX};
use crate::actor;
use crate::id::{PersonId, RunId};
use crate::mutant::{Mutant, planted};
use crate::time::Time;

/// Whether a person is available.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// Receives conversations.
    Online,
    /// Keeps their conversations, but receives no new ones.
    Away,
    /// Has no conversations.
    #[default]
    Offline,
}

/// A person's profile, as an administrator sets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonProfile {
    pub id: PersonId,
    pub name: String,
    /// Unique in a routing queue, regardless of case.
    pub email: String,
    #[serde(default)]
    pub skills: BTreeSet<String>,
    /// Further roles, for approvals that require one: `manager`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub roles: BTreeSet<String>,
    /// Number of concurrent conversations: 1 to [`CAPACITY_MAX`].
    #[serde(default = "capacity")]
    pub max_capacity: u32,
    /// Spoken languages as codes (`es`); empty: any language.
    #[serde(default)]
    pub languages: BTreeSet<String>,
}

/// A person in the routing queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HumanAgent {
    pub profile: PersonProfile,
    pub presence: Presence,
    /// The time of their last activity; `last_active` of the seed.
    pub heard_at: Time,
    /// When they last received a conversation, lost one or came online, whichever is latest.
    pub idle_since: Time,
    pub created_at: Time,
    /// The conversations that they own now.
    pub has: BTreeSet<RunId>,
}

impl Presence {
    pub const ALL: [Self; 3] = [Self::Online, Self::Away, Self::Offline];

    pub fn word(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Away => "away",
            Self::Offline => "offline",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|presence| presence.word() == word)
    }
}

impl PersonProfile {
    pub(super) fn check(&self) -> Result<(), RoutingRefusal> {
        let field = |field| move |reason| RoutingRefusal::Field { field, reason };
        actor::check_name(self.id.as_str(), NAME_CHARS_MAX).map_err(field("id"))?;
        actor::check_text(&self.name, NAME_CHARS_MAX).map_err(field("name"))?;
        actor::check_text(&self.email, NAME_CHARS_MAX).map_err(field("email"))?;
        let address = self.email.split_once('@').is_some_and(|(who, place)| !who.is_empty() && !place.is_empty());
        if !address || self.email.chars().any(char::is_whitespace) {
            let reason = "an e-mail address has no spaces, and an `@` with something on both sides".to_owned();
            return Err(RoutingRefusal::Field { field: "email", reason });
        }
        names("skills", &self.skills)?;
        names("roles", &self.roles)?;
        names("languages", &self.languages)?;
        if self.max_capacity == 0 || self.max_capacity > CAPACITY_MAX {
            let reason = format!("it is {}, and 1 to {CAPACITY_MAX} are possible", self.max_capacity);
            return Err(RoutingRefusal::Field { field: "max_capacity", reason });
        }
        Ok(())
    }

    /// Returns whether they meet these requirements.
    pub fn qualifies_for(&self, wants: &RoutingRequirements) -> bool {
        let speaks = |language| self.languages.is_empty() || self.languages.contains(language);
        wants.skills.is_subset(&self.skills) && wants.language.as_ref().is_none_or(speaks)
    }
}

impl HumanAgent {
    pub fn load(&self) -> u32 {
        u32::try_from(self.has.len()).unwrap_or(u32::MAX)
    }

    pub fn has_capacity(&self) -> bool {
        self.load() < self.profile.max_capacity + u32::from(planted(Mutant::RoomIgnored))
    }

    /// Returns whether they may receive a conversation.
    pub(super) fn is_assignable(&self) -> bool {
        self.presence == Presence::Online && self.has_capacity()
    }
}

/// Checks names of skills or languages.
pub(super) fn names(field: &'static str, names: &BTreeSet<String>) -> Result<(), RoutingRefusal> {
    if names.len() > SKILLS_MAX {
        let reason = format!("{} are named, and {SKILLS_MAX} are possible", names.len());
        return Err(RoutingRefusal::Field { field, reason });
    }
    texts(field, names, SKILL_CHARS_MAX)
}

/// Returns whether this is a valid name of a skill or a language.
pub(super) fn is_name(name: &str) -> bool {
    fits(name, SKILL_CHARS_MAX)
}

fn fits(text: &str, limit: usize) -> bool {
    !text.trim().is_empty() && text.chars().count() <= limit
}

fn texts<'a>(
    field: &'static str,
    texts: impl IntoIterator<Item = &'a String>,
    limit: usize,
) -> Result<(), RoutingRefusal> {
    match texts.into_iter().all(|text| fits(text, limit)) {
        true => Ok(()),
        false => Err(RoutingRefusal::Field { field, reason: format!("1 to {limit} characters are possible") }),
    }
}

fn capacity() -> u32 {
    CAPACITY_DEFAULT
}
