//! What a tool is to this room. Only the pipeline holds one, so nothing performs without a permit.

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
    /// One attempt. The pipeline limits its time by dropping it, so it must be safe to stop at any wait.
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError>;

    /// The same, as the pipeline asks for it: an answer that others hold too. A tool that has its answers ready copies none.
    async fn answer(&self, request: &PreparedRequest) -> Result<Arc<Value>, ToolError> {
        self.attempt(request).await.map(Arc::new)
    }

    /// The service that this call would ask, as the tenant's circuits know it; `None` where it asks nobody outside.
    fn service<'a>(&'a self, _request: &'a PreparedRequest) -> Option<Cow<'a, str>> {
        None
    }

    /// The account that this call would act with, as people see it who are asked to allow it, secrets as their hashes;
    /// `None` where nobody outside is asked. One that may change between the check and the attempt is compared with
    /// [`PreparedRequest::account`]; the settings' cannot.
    async fn account(&self, _request: &PreparedRequest) -> Option<String> {
        None
    }

    /// What became of a call of class `verify`: its result, `NotDone` if it certainly did not act.
    async fn look_up(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let message = format!("`{}` cannot be asked what became of a call", request.call.tool);
        Err(ToolError::Unknown { fault: Fault::new(code::OUTCOME_UNKNOWN, message) })
    }
}
