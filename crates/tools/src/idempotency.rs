//! Acts of internal tools, each performed once per key: the key's row commits with the act, in one batch.

use baton_core::time::Time;
use baton_ports::records::{RecordError, RecordOp, RecordStore, StoredRecord};
use serde_json::{Value, json};

use crate::code;
use crate::request::PreparedRequest;
use crate::tool_error::ToolError;

/// The record space of the key rows: one row per effect, with its result.
const SPACE: &str = "effects";

/// One act under a request's key.
pub(crate) struct IdempotentAct<'a> {
    records: &'a dyn RecordStore,
    request: &'a PreparedRequest,
}

/// Why an act was not committed.
pub(crate) enum ActError {
    /// The precondition of the operation at `index` failed because of a concurrent writer.
    Conflict {
        index: usize,
    },
    Failed(ToolError),
}

impl<'a> IdempotentAct<'a> {
    pub(crate) fn new(records: &'a dyn RecordStore, request: &'a PreparedRequest) -> Self {
        Self { records, request }
    }

    /// Returns the stored result of this key, if it has already acted.
    pub(crate) async fn recorded(&self) -> Result<Option<Value>, ToolError> {
        let call = &self.request.call;
        let row = self.records.get(&call.tenant, SPACE, &call.key).await;
        row.map_err(|error| ToolError::from_read(&error))?.map(|row| self.output_of(row)).transpose()
    }

    /// Looks up the outcome of the call. If the key's row can be read, the outcome is certain.
    pub(crate) async fn look_up(&self) -> Result<Value, ToolError> {
        let recorded =
            self.recorded().await.map_err(|failure| ToolError::Unknown { fault: failure.fault().clone() })?;
        recorded.ok_or_else(|| ToolError::transient(code::STORAGE_UNAVAILABLE, "it was not written down"))
    }

    /// Commits the act, unless the key has acted already: then returns the first result.
    pub(crate) async fn commit(&self, ops: Vec<RecordOp>, output: Value, at: Time) -> Result<Value, ActError> {
        let call = &self.request.call;
        let mut batch = Vec::with_capacity(ops.len() + 1);
        batch.push(RecordOp::Insert { space: SPACE.to_owned(), key: call.key.clone(), value: self.row(&output) });
        batch.extend(ops);
        match self.records.commit(&call.tenant, batch, at).await {
            Ok(()) => Ok(output),
            Err(RecordError::Conflict { index: 0, found }) => self.first_result(found).await.map_err(ActError::Failed),
            Err(RecordError::Conflict { index, .. }) => Err(ActError::Conflict { index: index - 1 }),
            Err(error) => Err(ActError::Failed(ToolError::from_write(&error))),
        }
    }

    fn row(&self, output: &Value) -> Value {
        let PreparedRequest { call, .. } = self.request;
        json!({"tool": call.tool, "run": call.run, "asked": self.request.fingerprint(), "output": output})
    }

    async fn first_result(&self, found: Option<StoredRecord>) -> Result<Value, ToolError> {
        match found {
            Some(row) => self.output_of(row),
            None => self.recorded().await?.ok_or_else(|| {
                ToolError::transient(code::STORAGE_UNAVAILABLE, "the key's row was there and is gone; nothing was done")
            }),
        }
    }

    fn output_of(&self, mut row: StoredRecord) -> Result<Value, ToolError> {
        let same = |name: &str, expect: &str| row.value.get(name).and_then(Value::as_str) == Some(expect);
        if !same("tool", &self.request.call.tool) || !same("asked", self.request.fingerprint().as_str()) {
            let message = format!(
                "the key `{}` was used by `{}` with other arguments; a key never carries two sets of them",
                self.request.call.key,
                row.value.get("tool").and_then(Value::as_str).unwrap_or("another tool")
            );
            return Err(ToolError::permanent(code::KEY_REUSED, message));
        }
        Ok(row.value.get_mut("output").map(Value::take).unwrap_or_default())
    }
}
