//! Distinguishes a tool from all others that ever have its name, so that the cached result of one is never returned
//! for another.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use baton_core::canonical::{self, ListPart};

use crate::config::{SecretString, ToolsConfig};
use crate::kinds::query_database::DatabaseUrl;
use crate::providers::memory::knowledge;
use crate::providers::{calendar, crm, email, message, payment, ticket};

/// A random number that identifies this process.
static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().build_hasher().finish());
/// Number of tools that this process has created.
static NEXT_IDENTITY: AtomicU64 = AtomicU64::new(0);

/// Equal for two tools of one name that return the same results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ToolIdentity(Arc<str>);

impl ToolIdentity {
    /// The identity of a tool that other processes cannot recognise as the same.
    pub(crate) fn of_process() -> Self {
        let number = NEXT_IDENTITY.fetch_add(1, Ordering::Relaxed);
        Self(format!("{:x}.{:x}.{number}", std::process::id(), *PROCESS).into())
    }

    /// The identity of a tool that every process builds the same way: from this program, these settings and this
    /// definition.
    pub(crate) fn of_source(settings: &SettingsDigest, words: &[u8; 32]) -> Self {
        let parts = [settings.0.as_slice(), words].map(hex);
        let all = [
            ListPart::Text(Some(env!("CARGO_PKG_VERSION"))),
            ListPart::Text(Some(&parts[0])),
            ListPart::Text(Some(&parts[1])),
        ];
        Self(hex(canonical::digest_of_list(all)).into())
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

/// SHA-256 of the tool settings, including their secrets: those of `[tools.secrets]` and those written in place.
/// Another secret is another account, which may receive other results.
pub(crate) struct SettingsDigest([u8; 32]);

impl SettingsDigest {
    pub(crate) fn of(config: &ToolsConfig) -> Self {
        let shown = format!("{config:?}");
        let secrets = config.secrets.iter().flat_map(|(name, bound)| [name.as_str(), bound.expose()]);
        let named = std::iter::once(shown.as_str()).chain(secrets).map(Some);
        let unnamed = inline_secrets(config).into_iter().map(|secret| secret.map(SecretString::expose));
        Self(canonical::digest_of_list(named.chain(unnamed).map(ListPart::Text)))
    }
}

/// Every inline secret of the settings, in a fixed order. A new setting that holds a secret must be added here,
/// because all secrets look the same when settings are serialised.
fn inline_secrets(config: &ToolsConfig) -> Vec<Option<&SecretString>> {
    let mut found = vec![config.composio.api_key.as_ref(), config.web_search.authorization.as_ref()];
    found.extend(config.databases.values().map(|database| match &database.url {
        DatabaseUrl::Sqlite(_) => None,
        DatabaseUrl::Postgres(url) => Some(url),
    }));
    let shared = AccountConfigs {
        calendar: Some(&config.calendar),
        payment: Some(&config.payment),
        email: Some(&config.email),
        message: Some(&config.message),
        crm: Some(&config.crm),
        tickets: Some(&config.tickets),
        knowledge: Some(&config.knowledge),
    };
    found.extend(shared.secrets());
    for tenant in config.tenants.values() {
        let own = AccountConfigs {
            calendar: tenant.calendar.as_ref(),
            payment: tenant.payment.as_ref(),
            email: tenant.email.as_ref(),
            message: tenant.message.as_ref(),
            crm: tenant.crm.as_ref(),
            tickets: tenant.tickets.as_ref(),
            knowledge: tenant.knowledge.as_ref(),
        };
        found.extend(own.secrets());
    }
    found
}

/// The external accounts that are shared, or that one tenant has.
struct AccountConfigs<'c> {
    calendar: Option<&'c calendar::CalendarConfig>,
    payment: Option<&'c payment::PaymentConfig>,
    email: Option<&'c email::EmailConfig>,
    message: Option<&'c message::MessageConfig>,
    crm: Option<&'c crm::CrmConfig>,
    tickets: Option<&'c ticket::TicketConfig>,
    knowledge: Option<&'c knowledge::KnowledgeConfig>,
}

impl<'c> AccountConfigs<'c> {
    fn secrets(&self) -> [Option<&'c SecretString>; 13] {
        let google = self.calendar.and_then(|calendar| calendar.google.as_ref());
        let smtp = self.email.and_then(|email| email.smtp.as_ref());
        let sendgrid = self.email.and_then(|email| email.sendgrid.as_ref());
        let (chroma, pinecone) =
            self.knowledge.map_or((None, None), |knowledge| (knowledge.chroma.as_ref(), knowledge.pinecone.as_ref()));
        [
            google.and_then(|google| google.credentials.as_ref()),
            google.and_then(|google| google.client_secret.as_ref()),
            google.and_then(|google| google.refresh_token.as_ref()),
            self.calendar.and_then(|calendar| calendar.calendly.as_ref()).map(|calendly| &calendly.token),
            self.calendar.and_then(|calendar| calendar.caldav.as_ref()).map(|caldav| &caldav.password),
            self.payment.and_then(|payment| payment.stripe.as_ref()?.secret_key.as_ref()),
            smtp.and_then(|smtp| smtp.password.as_ref()),
            sendgrid.and_then(|sendgrid| sendgrid.api_key.as_ref()),
            self.message.and_then(|message| message.twilio.as_ref()?.auth_token.as_ref()),
            self.crm.and_then(|crm| crm.rest.as_ref()?.token.as_ref()),
            self.tickets.and_then(|tickets| tickets.rest.as_ref()?.token.as_ref()),
            chroma.and_then(|chroma| chroma.token.as_ref()),
            pinecone.and_then(|pinecone| pinecone.api_key.as_ref()),
        ]
    }
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn accounts(secret: &str) -> Value {
        let rest = json!({"rest": {"base_url": "https://a.example.com", "token": secret}});
        json!({
            "calendar": {
                "google": {"credentials": secret, "client_secret": secret, "refresh_token": secret},
                "calendly": {"token": secret, "event_types": []},
                "caldav": {"url": "https://dav.example.com", "calendars": {}, "username": "u", "password": secret},
            },
            "payment": {"stripe": {"secret_key": secret}},
            "email": {
                "smtp": {"host": "mail.example.com", "from": "a@example.com", "password": secret},
                "sendgrid": {"from": "a@example.com", "api_key": secret},
            },
            "message": {"twilio": {"auth_token": secret}},
            "crm": rest,
            "tickets": rest,
            "knowledge": {
                "chroma": {"base_url": "https://c.example.com", "token": secret},
                "pinecone": {"host": "https://p.example.com", "api_key": secret},
            },
        })
    }

    fn config(secret: &str) -> Value {
        let mut config = accounts(secret);
        config["composio"] = json!({"api_key": secret});
        config["web_search"] = json!({"authorization": secret});
        config["databases"] = json!({"shop": {"url": format!("postgres://user:{secret}@host/shop")}});
        config["secrets"] = json!({"named": secret});
        config["tenants"] = json!({"acme": accounts(secret)});
        config
    }

    fn read(config: Value) -> ToolsConfig {
        serde_json::from_value(config).expect("settings")
    }

    /// Collects the paths of the strings that contain this text.
    fn places(value: &Value, has: &str, at: &str, found: &mut Vec<String>) {
        match value {
            Value::String(text) if text.contains(has) => found.push(at.to_owned()),
            Value::Object(fields) => {
                for (name, value) in fields {
                    places(value, has, &format!("{at}/{name}"), found);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {}
        }
    }

    #[test]
    fn another_secret_makes_another_tool_wherever_it_stands() {
        let before = config("s3cr3t");
        let mut found = Vec::new();
        places(&before, "s3cr3t", "", &mut found);
        let settings = read(before.clone());
        // Each secret that is redacted in the debug output is one of them.
        assert_eq!(format!("{settings:?}").matches("[REDACTED]").count(), found.len());
        let digest = SettingsDigest::of(&settings).0;
        assert_eq!(SettingsDigest::of(&read(before.clone())).0, digest);
        for place in found {
            let mut after = before.clone();
            let secret = after.pointer_mut(&place).expect("it is there");
            *secret = secret.as_str().expect("a text").replace("s3cr3t", "0ther").into();
            assert_ne!(SettingsDigest::of(&read(after)).0, digest, "{place}");
        }
    }
}
