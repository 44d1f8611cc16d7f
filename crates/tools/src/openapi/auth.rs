//! Whose key goes where: the first way a document offers for which the definition has everything.

use baton_core::expr::Params;
use reqwest::header::HeaderName;

use super::within::Within;
use super::{Source, Unsupported};

/// A secret, and where a request carries it.
#[derive(Clone, Debug)]
pub(crate) struct Credential {
    pub(crate) place: Place,
    pub(crate) secret: Params,
}

#[derive(Clone, Debug)]
pub(crate) enum Place {
    Header(HeaderName),
    Query(String),
    Cookie(String),
    /// `Authorization: Bearer …`
    Bearer,
    /// `Authorization: Basic …` of `user:password`.
    Basic,
}

/// Ways are alternatives; each is a set of schemes that go together.
pub(super) fn read(
    source: &Source<'_>,
    operation: &Within<'_>,
    notes: &mut Vec<Unsupported>,
) -> Result<Vec<Credential>, Unsupported> {
    let own = operation.field("security");
    let security = if own.is_null() { source.root.field("security") } else { own };
    let ways = security.items();
    let is_given = |scheme: &str| source.auth.iter().any(|(name, _)| name == scheme);
    let complete = ways.iter().find(|way| way.fields().iter().all(|(scheme, _)| is_given(scheme)));
    let Some(way) = complete else {
        if let Some(first) = ways.first() {
            let missing: Vec<&str> = first.fields().iter().map(|(scheme, _)| *scheme).collect();
            let reason = format!("it is called without a key; give `auth.{}` for one", missing.join("` and `auth."));
            notes.push(Unsupported { place: first.place(), reason });
        }
        return Ok(Vec::new());
    };
    way.fields().iter().map(|(scheme, _)| credential(source, scheme)).collect()
}

fn credential(source: &Source<'_>, name: &str) -> Result<Credential, Unsupported> {
    let written = source.root.field("components").field("securitySchemes").field(name);
    let place = written.place();
    let wrong = |reason: String| Unsupported { place: place.clone(), reason };
    let scheme = written.resolved().map_err(wrong)?;
    let secret = source.auth.iter().find(|(given, _)| given == name).map(|(_, secret)| secret.clone());
    let secret = secret.ok_or_else(|| wrong("has no key".to_owned()))?;
    let named = || scheme.field("name").text().unwrap_or_default();
    let http = || scheme.field("scheme").text().unwrap_or_default().to_ascii_lowercase();
    let place = match (scheme.field("type").text(), scheme.field("in").text()) {
        (Some("apiKey"), Some("header")) => {
            Place::Header(named().parse().map_err(|_| wrong(format!("`{}` is no header's name", named())))?)
        }
        (Some("apiKey"), Some("query")) => Place::Query(named().to_owned()),
        (Some("apiKey"), Some("cookie")) => Place::Cookie(named().to_owned()),
        (Some("http"), _) if http() == "basic" => Place::Basic,
        (Some("http"), _) if http() == "bearer" => Place::Bearer,
        // Whoever has the token gives it; getting one is not this tool's.
        (Some("oauth2" | "openIdConnect"), _) => Place::Bearer,
        (kind, _) => {
            let kind = kind.unwrap_or("nothing");
            return Err(wrong(format!("is a scheme that is not supported: {kind} {}", http())));
        }
    };
    Ok(Credential { place, secret })
}
