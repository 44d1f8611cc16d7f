//! Keyed acts whose account the settings choose: what went to one account goes to no other under the same key.
//!
//! A key means something only to the service that knows it. Sent again to another account after a lost answer, the same
//! key would act a second time. So where a key goes is kept before it goes there first.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use baton_core::bundle::Hash;
use baton_ports::clock::Clock;
use baton_ports::records::{Error, Op, Records};
use serde_json::{Value, json};

use crate::code;
use crate::config::Secret;
use crate::failure::Failure;
use crate::keyed::Act;
use crate::request::Request;
use crate::tool::Tool;
use crate::vendor::Base;

/// Where keys that went outside are, with where they went.
const SPACE: &str = "sent_to";

/// A tool as one account performs it.
pub(crate) struct Bound {
    tool: Arc<dyn Tool>,
    account: Account,
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
}

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Account {
    /// Our own records, where the key's row commits with the act.
    Own,
    /// A service, as which account.
    At { service: String, account: String },
}

impl Account {
    /// By the secret that opens it, of which only a hash is kept. One that was changed counts as another account for the
    /// calls that are open just then.
    pub(crate) fn of(name: &str, base: &Base, secret: &Secret) -> Self {
        Self::named(name, base, Hash::of(secret.expose().as_bytes()).short())
    }

    /// By the name that the service has for it.
    pub(crate) fn named(name: &str, base: &Base, account: &str) -> Self {
        Self::At { service: format!("{name} at {base}"), account: account.to_owned() }
    }

    /// As people see it who are asked to allow a call; nothing where nobody outside is asked.
    pub(crate) fn shown(&self) -> Option<String> {
        match self {
            Self::Own => None,
            Self::At { service, account } => Some(format!("{service} as {account}")),
        }
    }
}

impl Bound {
    pub(crate) fn to(
        tool: Arc<dyn Tool>,
        account: Account,
        records: &Arc<dyn Records>,
        clock: &Arc<dyn Clock>,
    ) -> Arc<dyn Tool> {
        Arc::new(Self { tool, account, records: records.clone(), clock: clock.clone() })
    }

    /// The result of the act, where our own records did it under this key before; an error where it went elsewhere.
    async fn bind(&self, request: &Request) -> Result<Option<Value>, Failure> {
        let call = &request.call;
        let found = self.records.get(&call.tenant, SPACE, &call.key).await;
        if let Some(row) = found.map_err(|error| Failure::unreadable(&error))? {
            return match self.is_mine(&row.value) {
                Ok(()) => Ok(None),
                // What our own records did, whoever was chosen then, is done.
                Err(elsewhere) => self.recorded(request).await?.map(Some).ok_or(elsewhere),
            };
        }
        let Account::At { service, account } = &self.account else { return Ok(None) };
        if let Some(output) = self.recorded(request).await? {
            return Ok(Some(output));
        }
        // It stays inside: what our own records did is undone in them.
        if self.tool.service(request).is_none() {
            return Ok(None);
        }
        let value = json!({"tool": call.tool, "run": call.run, "service": service, "account": account});
        let row = Op::Insert { space: SPACE.to_owned(), key: call.key.clone(), value };
        match self.records.commit(&call.tenant, vec![row], self.clock.now()).await {
            Ok(()) => Ok(None),
            Err(Error::Conflict { found, .. }) => {
                self.is_mine(&found.map(|row| row.value).unwrap_or_default()).map(|()| None)
            }
            // Nothing has been sent.
            Err(error) => Err(Failure::later(code::STORAGE_UNAVAILABLE, error.to_string())),
        }
    }

    async fn recorded(&self, request: &Request) -> Result<Option<Value>, Failure> {
        Act::new(&*self.records, request).recorded().await
    }

    fn is_mine(&self, row: &Value) -> Result<(), Failure> {
        let (service, account) = match &self.account {
            Account::At { service, account } => (service.as_str(), account.as_str()),
            Account::Own => ("our own records", ""),
        };
        if row["service"] == service && row["account"] == account {
            return Ok(());
        }
        let before = row["service"].as_str().unwrap_or_default();
        let another = if before == service { " with another account" } else { "" };
        let message = format!(
            "the call went to {before}{another} before the settings chose {service}, and goes nowhere else under the same \
             key; ask there what became of it"
        );
        Err(Failure::refused(code::PROVIDER_CHANGED, message))
    }
}

#[async_trait]
impl Tool for Bound {
    async fn attempt(&self, request: &Request) -> Result<Value, Failure> {
        match self.bind(request).await? {
            Some(output) => Ok(output),
            None => self.tool.attempt(request).await,
        }
    }

    async fn look_up(&self, request: &Request) -> Result<Value, Failure> {
        let found = self.records.get(&request.call.tenant, SPACE, &request.call.key).await;
        let row = found.map_err(|error| Failure::unreadable(&error).undecided())?;
        // Without a row nothing was sent anywhere.
        if let Some(row) = row {
            self.is_mine(&row.value).map_err(Failure::undecided)?;
        }
        self.tool.look_up(request).await
    }

    fn service<'a>(&'a self, request: &'a Request) -> Option<Cow<'a, str>> {
        self.tool.service(request)
    }

    async fn account(&self, request: &Request) -> Option<String> {
        // What stays inside goes through no account.
        let goes_out = self.tool.service(request).is_some();
        self.tool.account(request).await.or_else(|| self.account.shown().filter(|_| goes_out))
    }
}

#[cfg(test)]
mod tests;
