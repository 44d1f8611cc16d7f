//! Credentials for Google: a refresh token, or a service account's key.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use baton_core::bundle::ContentHash;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde::Deserialize;
use serde_json::{Value, json};

use super::config::GoogleCalendarConfig;
use crate::config::SecretString;

/// Reads and writes events, and reads busy times.
const SCOPE: &str = "https://www.googleapis.com/auth/calendar";
/// Lifetime of an assertion, in seconds: the longest that Google allows.
const ASSERTION_LASTS: i64 = 3_600;
/// RFC 7523.
const BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

pub(super) enum GoogleCredentials {
    Refresh { client_id: String, client_secret: SecretString, refresh_token: SecretString },
    Account(Box<GoogleServiceAccount>),
}

/// A service account.
pub(super) struct GoogleServiceAccount {
    email: String,
    subject: Option<String>,
    /// The audience of the assertion.
    audience: String,
    key_id: Option<String>,
    key: RsaKeyPair,
}

/// The credential files that Google provides, by their `type`.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum CredentialsFile {
    ServiceAccount {
        client_email: String,
        private_key: SecretString,
        private_key_id: Option<String>,
        #[serde(default)]
        token_uri: Option<String>,
    },
    AuthorizedUser {
        client_id: String,
        client_secret: SecretString,
        refresh_token: SecretString,
    },
}

impl GoogleCredentials {
    /// Reads the credentials. The error names what is missing or wrong, and contains no part of a secret.
    pub(super) fn read(settings: &GoogleCalendarConfig) -> Result<Self, String> {
        let GoogleCalendarConfig { credentials, client_id, client_secret, refresh_token, subject, .. } = settings;
        // Fields of the project's settings take precedence over the content of a credentials file, which may come
        // from an environment variable of the machine.
        if let (Some(client_id), Some(client_secret), Some(refresh_token)) = (client_id, client_secret, refresh_token) {
            return Ok(Self::Refresh {
                client_id: client_id.clone(),
                client_secret: client_secret.clone(),
                refresh_token: refresh_token.clone(),
            });
        }
        let file = credentials
            .as_ref()
            .ok_or_else(|| "needs `credentials`, or `client_id`, `client_secret` and `refresh_token`".to_owned())?;
        match serde_json::from_str(file.expose()) {
            Ok(file) => Self::of_file(file, subject.clone()),
            // The error itself may quote the input.
            Err(error) => Err(format!(
                "has `credentials` that are not the text of a file of Google's, a service account's or an authorised \
                 user's: {:?} error at line {}",
                error.classify(),
                error.line()
            )),
        }
    }

    fn of_file(file: CredentialsFile, subject: Option<String>) -> Result<Self, String> {
        Ok(match file {
            CredentialsFile::AuthorizedUser { client_id, client_secret, refresh_token } => {
                Self::Refresh { client_id, client_secret, refresh_token }
            }
            CredentialsFile::ServiceAccount { client_email, private_key, private_key_id, token_uri } => {
                let key = pkcs8(private_key.expose()).and_then(|der| RsaKeyPair::from_pkcs8(&der).ok());
                Self::Account(Box::new(GoogleServiceAccount {
                    email: client_email,
                    subject,
                    audience: token_uri.unwrap_or_else(|| "https://oauth2.googleapis.com/token".to_owned()),
                    key_id: private_key_id,
                    key: key.ok_or("has a `private_key` in `credentials` that is no RSA key in PKCS #8")?,
                }))
            }
        })
    }

    /// Identifies the owner of the calendars, to be hashed. The owner of a refresh token is unknown, so another token
    /// may belong to another person.
    pub(super) fn holder(&self) -> String {
        match self {
            Self::Refresh { client_id, refresh_token, .. } => format!("{client_id}\n{}", refresh_token.expose()),
            Self::Account(account) => format!("{}\n{}", account.email, account.subject.as_deref().unwrap_or_default()),
        }
    }

    /// The owner of the calendars, as shown to people.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Refresh { client_id, refresh_token, .. } => {
                format!("{client_id}, {}", ContentHash::of(refresh_token.expose().as_bytes()).short())
            }
            Self::Account(account) => match &account.subject {
                Some(subject) => format!("{} for {subject}", account.email),
                None => account.email.clone(),
            },
        }
    }

    /// The fields of a token request, with those that no message may contain.
    pub(super) fn grant(&self, now_seconds: i64) -> Result<TokenGrant, String> {
        Ok(match self {
            Self::Refresh { client_id, client_secret, refresh_token } => TokenGrant {
                fields: vec![
                    ("grant_type", "refresh_token".to_owned()),
                    ("client_id", client_id.clone()),
                    ("client_secret", client_secret.expose().to_owned()),
                    ("refresh_token", refresh_token.expose().to_owned()),
                ],
                secrets: vec![client_secret.clone(), refresh_token.clone()],
            },
            Self::Account(account) => {
                let assertion = account.assertion(now_seconds)?;
                TokenGrant {
                    fields: vec![("grant_type", BEARER.to_owned()), ("assertion", assertion.clone())],
                    secrets: vec![SecretString::new(assertion)],
                }
            }
        })
    }
}

/// The form of a token request.
pub(super) struct TokenGrant {
    pub(super) fields: Vec<(&'static str, String)>,
    pub(super) secrets: Vec<SecretString>,
}

impl GoogleServiceAccount {
    /// A signed JSON Web Token (RS256) with the account and the requested scope.
    fn assertion(&self, now_seconds: i64) -> Result<String, String> {
        let mut header = json!({"alg": "RS256", "typ": "JWT"});
        if let Some(id) = &self.key_id {
            header["kid"] = id.as_str().into();
        }
        let mut claims = json!({
            "iss": self.email,
            "scope": SCOPE,
            "aud": self.audience,
            "iat": now_seconds,
            "exp": now_seconds + ASSERTION_LASTS,
        });
        if let Some(subject) = &self.subject {
            claims["sub"] = subject.as_str().into();
        }
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        let made = self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature);
        made.map_err(|_| "the service account's key signs nothing".to_owned())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

impl fmt::Debug for GoogleCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

/// Decodes a PEM key (RFC 7468).
fn pkcs8(pem: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once("-----BEGIN PRIVATE KEY-----")?;
    let (body, _) = rest.split_once("-----END PRIVATE KEY-----")?;
    let body: String = body.chars().filter(|character| !character.is_whitespace()).collect();
    STANDARD.decode(body).ok()
}
