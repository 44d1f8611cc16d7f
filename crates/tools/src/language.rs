//! The languages of the texts for customers.

use serde::Deserialize;

/// A language for customers. Default: English.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum CustomerLanguage {
    #[default]
    #[serde(rename = "en")]
    English,
    #[serde(rename = "es")]
    Spanish,
}

impl CustomerLanguage {
    /// Finds the language of an IETF tag such as `es-MX`; `None` if no texts exist in it.
    pub fn of_tag(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_']).next().unwrap_or_default();
        match primary {
            _ if primary.eq_ignore_ascii_case("en") => Some(Self::English),
            _ if primary.eq_ignore_ascii_case("es") => Some(Self::Spanish),
            _ => None,
        }
    }

    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Spanish => "es",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_known_by_its_tag_whatever_the_region() {
        assert_eq!(CustomerLanguage::of_tag("es-MX"), Some(CustomerLanguage::Spanish));
        assert_eq!(CustomerLanguage::of_tag("EN"), Some(CustomerLanguage::English));
        assert_eq!(CustomerLanguage::of_tag("est"), None);
        assert_eq!(CustomerLanguage::of_tag(""), None);
    }
}
