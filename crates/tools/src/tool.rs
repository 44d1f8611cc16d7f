//! The private interface of a tool. Only the pipeline holds tools, so nothing is performed without a permit.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use baton_core::fault::Fault;
use serde_json::Value;

use crate::code;
use crate::request::PreparedRequest;
use crate::tool_error::ToolError;

#[async_trait]
pub(crate) trait ToolHandler: Send + Sync {
    /// Performs one attempt. The pipeline limits its time by dropping the future, so it must be safe to stop at any
    /// await point.
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError>;

    /// Performs one attempt for the pipeline, with a shareable result. A tool whose results are prepared overrides it
    /// to avoid a copy.
    async fn answer(&self, request: &PreparedRequest) -> Result<Arc<Value>, ToolError> {
        self.attempt(request).await.map(Arc::new)
    }

    /// The service that this call would contact, as the tenant's circuits name it; `None` if no external service is
    /// called.
    fn service<'a>(&'a self, _request: &'a PreparedRequest) -> Option<Cow<'a, str>> {
        None
    }

    /// The account that this call would use, as shown to people who approve it, with secrets as hashes; `None` if no
    /// external service is called. An account that may change between the check and the attempt is compared with
    /// [`PreparedRequest::account`]; an account from the settings cannot change.
    async fn account(&self, _request: &PreparedRequest) -> Option<String> {
        None
    }

    /// Looks up the outcome of a call of class `verify`: its result, or `NotDone` if it certainly did not act.
    async fn look_up(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let message = format!("`{}` cannot be asked what became of a call", request.call.tool);
        Err(ToolError::Unknown { fault: Fault::new(code::OUTCOME_UNKNOWN, message) })
    }
}
