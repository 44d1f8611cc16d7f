//! Credentials of a request: the first security requirement of the document for which the definition provides
//! everything.

use baton_expr::ParamsTemplate;
use reqwest::header::HeaderName;

use super::cursor::DocumentCursor;
use super::{ImportContext, ImportDiagnostic};

/// A secret, and where a request carries it.
#[derive(Clone, Debug)]
pub(crate) struct RequestCredential {
    pub(crate) place: CredentialPlace,
    pub(crate) secret: ParamsTemplate,
}

#[derive(Clone, Debug)]
pub(crate) enum CredentialPlace {
    Header(HeaderName),
    Query(String),
    Cookie(String),
    /// `Authorization: Bearer …`
    Bearer,
    /// `Authorization: Basic …` of `user:password`.
    Basic,
}

/// Reads the security requirements. They are alternatives; each is a set of schemes that are used together.
pub(super) fn read(
    source: &ImportContext<'_>,
    operation: &DocumentCursor<'_>,
    notes: &mut Vec<ImportDiagnostic>,
) -> Result<Vec<RequestCredential>, ImportDiagnostic> {
    let own = operation.field("security");
    let security = if own.is_null() { source.root.field("security") } else { own };
    let ways = security.items();
    let is_given = |scheme: &str| source.auth.iter().any(|(name, _)| name == scheme);
    let complete = ways.iter().find(|way| way.fields().iter().all(|(scheme, _)| is_given(scheme)));
    let Some(way) = complete else {
        if let Some(first) = ways.first() {
            let missing: Vec<&str> = first.fields().iter().map(|(scheme, _)| *scheme).collect();
            let reason = format!("it is called without a key; give `auth.{}` for one", missing.join("` and `auth."));
            notes.push(ImportDiagnostic { place: first.place(), reason });
        }
        return Ok(Vec::new());
    };
    way.fields().iter().map(|(scheme, _)| credential(source, scheme)).collect()
}

fn credential(source: &ImportContext<'_>, name: &str) -> Result<RequestCredential, ImportDiagnostic> {
    let written = source.root.field("components").field("securitySchemes").field(name);
    let place = written.place();
    let wrong = |reason: String| ImportDiagnostic { place: place.clone(), reason };
    let scheme = written.resolved().map_err(wrong)?;
    let secret = source.auth.iter().find(|(given, _)| given == name).map(|(_, secret)| secret.clone());
    let secret = secret.ok_or_else(|| wrong("has no key".to_owned()))?;
    let named = || scheme.field("name").text().unwrap_or_default();
    let http = || scheme.field("scheme").text().unwrap_or_default().to_ascii_lowercase();
    let place = match (scheme.field("type").text(), scheme.field("in").text()) {
        (Some("apiKey"), Some("header")) => {
            CredentialPlace::Header(named().parse().map_err(|_| wrong(format!("`{}` is no header's name", named())))?)
        }
        (Some("apiKey"), Some("query")) => CredentialPlace::Query(named().to_owned()),
        (Some("apiKey"), Some("cookie")) => CredentialPlace::Cookie(named().to_owned()),
        (Some("http"), _) if http() == "basic" => CredentialPlace::Basic,
        (Some("http"), _) if http() == "bearer" => CredentialPlace::Bearer,
        // The token is provided in the settings; this tool does not fetch one.
        (Some("oauth2" | "openIdConnect"), _) => CredentialPlace::Bearer,
        (kind, _) => {
            let kind = kind.unwrap_or("nothing");
            return Err(wrong(format!("is a scheme that is not supported: {kind} {}", http())));
        }
    };
    Ok(RequestCredential { place, secret })
}
