//! Binds keyed calls to one account where the settings choose it: a call sent to one account is never sent to another
//! under the same key.
//!
//! An idempotency key means something only to the service that knows it. If a call were resent to another account
//! after a lost response, the same key would act a second time. The account of a key is therefore recorded before the
//! first request goes out.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use baton_core::bundle::ContentHash;
use baton_ports::clock::Clock;
use baton_ports::records::{RecordError, RecordOp, RecordStore};
use serde_json::{Value, json};

use crate::code;
use crate::config::SecretString;
use crate::idempotency::IdempotentAct;
use crate::request::PreparedRequest;
use crate::tool::ToolHandler;
use crate::tool_error::ToolError;
use crate::vendor::BaseUrl;

/// Key space of the records that bind an idempotency key to an account.
const SPACE: &str = "sent_to";

/// A tool that is performed with one account.
pub(crate) struct AccountBoundTool {
    tool: Arc<dyn ToolHandler>,
    account: ProviderAccount,
    records: Arc<dyn RecordStore>,
    clock: Arc<dyn Clock>,
}

/// The account that performs the tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProviderAccount {
    /// This installation's own records, where the row of the key commits together with the act.
    Internal,
    /// An external service, and the account used there.
    At { service: String, account: String },
}

impl ProviderAccount {
    /// Identifies the account by the secret that opens it, of which only a hash is stored. A changed secret counts as
    /// another account for calls that are open at that moment.
    pub(crate) fn of(name: &str, base: &BaseUrl, secret: &SecretString) -> Self {
        Self::named(name, base, ContentHash::of(secret.expose().as_bytes()).short())
    }

    /// Identifies the account by the name that the service has for it.
    pub(crate) fn named(name: &str, base: &BaseUrl, account: &str) -> Self {
        Self::At { service: format!("{name} at {base}"), account: account.to_owned() }
    }

    /// The account as shown to people who approve a call. `None` if no external service is called.
    pub(crate) fn display_name(&self) -> Option<String> {
        match self {
            Self::Internal => None,
            Self::At { service, account } => Some(format!("{service} as {account}")),
        }
    }
}

impl AccountBoundTool {
    pub(crate) fn bind_to_account(
        tool: Arc<dyn ToolHandler>,
        account: ProviderAccount,
        records: &Arc<dyn RecordStore>,
        clock: &Arc<dyn Clock>,
    ) -> Arc<dyn ToolHandler> {
        Arc::new(Self { tool, account, records: records.clone(), clock: clock.clone() })
    }

    /// Returns the stored result if this installation's own records performed the act under this key before. Fails if
    /// the call went to another account.
    async fn bind(&self, request: &PreparedRequest) -> Result<Option<Value>, ToolError> {
        let call = &request.call;
        let found = self.records.get(&call.tenant, SPACE, &call.key).await;
        if let Some(row) = found.map_err(|error| ToolError::from_read(&error))? {
            return match self.check_account(&row.value) {
                Ok(()) => Ok(None),
                // An act that this installation's own records performed is done, whichever account was configured
                // then.
                Err(elsewhere) => self.recorded(request).await?.map(Some).ok_or(elsewhere),
            };
        }
        let ProviderAccount::At { service, account } = &self.account else { return Ok(None) };
        if let Some(output) = self.recorded(request).await? {
            return Ok(Some(output));
        }
        // The call stays internal: an act in this installation's own records is undone there.
        if self.tool.service(request).is_none() {
            return Ok(None);
        }
        let value = json!({"tool": call.tool, "run": call.run, "service": service, "account": account});
        let row = RecordOp::Insert { space: SPACE.to_owned(), key: call.key.clone(), value };
        match self.records.commit(&call.tenant, vec![row], self.clock.now()).await {
            Ok(()) => Ok(None),
            Err(RecordError::Conflict { found, .. }) => {
                self.check_account(&found.map(|row| row.value).unwrap_or_default()).map(|()| None)
            }
            // Nothing has been sent.
            Err(error) => Err(ToolError::transient(code::STORAGE_UNAVAILABLE, error.to_string())),
        }
    }

    async fn recorded(&self, request: &PreparedRequest) -> Result<Option<Value>, ToolError> {
        IdempotentAct::new(&*self.records, request).recorded().await
    }

    fn check_account(&self, row: &Value) -> Result<(), ToolError> {
        let (service, account) = match &self.account {
            ProviderAccount::At { service, account } => (service.as_str(), account.as_str()),
            ProviderAccount::Internal => ("our own records", ""),
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
        Err(ToolError::permanent(code::PROVIDER_CHANGED, message))
    }
}

#[async_trait]
impl ToolHandler for AccountBoundTool {
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        match self.bind(request).await? {
            Some(output) => Ok(output),
            None => self.tool.attempt(request).await,
        }
    }

    async fn look_up(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let found = self.records.get(&request.call.tenant, SPACE, &request.call.key).await;
        let row = found.map_err(|error| ToolError::from_read(&error).into_unknown())?;
        // Without a row, nothing was sent anywhere.
        if let Some(row) = row {
            self.check_account(&row.value).map_err(ToolError::into_unknown)?;
        }
        self.tool.look_up(request).await
    }

    fn service<'a>(&'a self, request: &'a PreparedRequest) -> Option<Cow<'a, str>> {
        self.tool.service(request)
    }

    async fn account(&self, request: &PreparedRequest) -> Option<String> {
        // A call that stays internal uses no account.
        let goes_out = self.tool.service(request).is_some();
        self.tool.account(request).await.or_else(|| self.account.display_name().filter(|_| goes_out))
    }
}

#[cfg(test)]
mod tests;
