//! The base address of a vendor's API.

use std::borrow::Cow;
use std::fmt;

use reqwest::Url;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::outbound::display_url;

/// An address without query, such as `https://api.stripe.com` or `http://proxy.internal/stripe`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(Cow<'static, str>);

impl BaseUrl {
    /// The address that the vendor documents.
    pub(crate) const fn documented(url: &'static str) -> Self {
        Self(Cow::Borrowed(url))
    }

    /// Returns the address of a path below it; the error states why the path is invalid.
    pub(crate) fn join(&self, path: &[&str]) -> Result<Url, String> {
        let mut url = self.url()?;
        if let Some(part) = path.iter().find(|part| matches!(**part, "" | "." | "..")) {
            return Err(format!("a part of the path below {} came out as `{part}`", display_url(&url)));
        }
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        Ok(url)
    }

    /// Resolves an address or an absolute path from the vendor; the error states why it is refused.
    pub(super) fn at(&self, href: &str) -> Result<Url, String> {
        let base = self.url()?;
        let url = base.join(href).map_err(|error| format!("{} names `{href}`: {error}", display_url(&base)))?;
        if url.origin() != base.origin() {
            return Err(format!(
                "{} leads to {}, another host, which is not asked",
                display_url(&base),
                display_url(&url)
            ));
        }
        Ok(url)
    }

    pub(crate) fn url(&self) -> Result<Url, String> {
        let url: Url = self.0.parse().map_err(|error| format!("`{}` is no URL: {error}", self.0))?;
        let plain = url.username().is_empty() && url.password().is_none();
        if !matches!(url.scheme(), "http" | "https") || !plain || url.query().is_some() || url.fragment().is_some() {
            return Err(format!("`{}` is no base URL; write `https://host` or `https://host/path`", display_url(&url)));
        }
        Ok(url)
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.trim_end_matches('/'))
    }
}

impl<'de> Deserialize<'de> for BaseUrl {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let base = Self(Cow::Owned(String::deserialize(from)?));
        base.url().map_err(D::Error::custom)?;
        Ok(base)
    }
}
