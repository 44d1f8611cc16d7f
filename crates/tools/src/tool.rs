//! What a tool is to this room. Only the pipeline holds one, so nothing performs without a permit.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use baton_core::fault::Fault;
use serde_json::Value;

use crate::code;
use crate::failure::Failure;
use crate::request::Request;

#[async_trait]
pub(crate) trait Tool: Send + Sync {
    /// One attempt. The pipeline limits its time by dropping it, so it must be safe to stop at any wait.
    async fn attempt(&self, request: &Request) -> Result<Value, Failure>;

    /// The same, as the pipeline asks for it: an answer that others hold too. A tool that has its answers ready copies none.
    async fn answer(&self, request: &Request) -> Result<Arc<Value>, Failure> {
        self.attempt(request).await.map(Arc::new)
    }

    /// The service that this call would ask, as the tenant's circuits know it; `None` where it asks nobody outside.
    fn service<'a>(&'a self, _request: &'a Request) -> Option<Cow<'a, str>> {
        None
    }

    /// The account that this call would act with, as people see it who are asked to allow it, secrets as their hashes;
    /// `None` where nobody outside is asked. One that may change between the check and the attempt is compared with
    /// [`Request::account`]; the settings' cannot.
    async fn account(&self, _request: &Request) -> Option<String> {
        None
    }

    /// What became of a call of class `verify`: its result, `NotDone` if it certainly did not act.
    async fn look_up(&self, request: &Request) -> Result<Value, Failure> {
        let message = format!("`{}` cannot be asked what became of a call", request.call.tool);
        Err(Failure::Unknown { fault: Fault::new(code::OUTCOME_UNKNOWN, message) })
    }
}
