//! Acts of internal tools, each done once per key: the key's row commits with the act, in one batch.

use baton_core::time::Time;
use baton_ports::records::{Error, Op, Record, Records};
use serde_json::{Value, json};

use crate::code;
use crate::failure::Failure;
use crate::request::Request;

/// Where the key rows are: one per effect, with what it came to.
const SPACE: &str = "effects";

/// One act under a request's key.
pub(crate) struct Act<'a> {
    records: &'a dyn Records,
    request: &'a Request,
}

/// Why an act was not committed.
pub(crate) enum Rejected {
    /// The act's operation at `index` did not hold: somebody else was first.
    Conflict {
        index: usize,
    },
    Failed(Failure),
}

impl<'a> Act<'a> {
    pub(crate) fn new(records: &'a dyn Records, request: &'a Request) -> Self {
        Self { records, request }
    }

    /// What this key came to before, if it acted.
    pub(crate) async fn recorded(&self) -> Result<Option<Value>, Failure> {
        let call = &self.request.call;
        let row = self.records.get(&call.tenant, SPACE, &call.key).await;
        row.map_err(|error| Failure::unreadable(&error))?.map(|row| self.output_of(row)).transpose()
    }

    /// What became of the call: the key's row tells for certain, where it can be read.
    pub(crate) async fn look_up(&self) -> Result<Value, Failure> {
        let recorded = self.recorded().await.map_err(|failure| Failure::Unknown { fault: failure.fault().clone() })?;
        recorded.ok_or_else(|| Failure::later(code::STORAGE_UNAVAILABLE, "it was not written down"))
    }

    /// Does it, unless the key has acted already: then the result is that of the first time.
    pub(crate) async fn commit(&self, ops: Vec<Op>, output: Value, at: Time) -> Result<Value, Rejected> {
        let call = &self.request.call;
        let mut batch = Vec::with_capacity(ops.len() + 1);
        batch.push(Op::Insert { space: SPACE.to_owned(), key: call.key.clone(), value: self.row(&output) });
        batch.extend(ops);
        match self.records.commit(&call.tenant, batch, at).await {
            Ok(()) => Ok(output),
            Err(Error::Conflict { index: 0, found }) => self.first_time(found).await.map_err(Rejected::Failed),
            Err(Error::Conflict { index, .. }) => Err(Rejected::Conflict { index: index - 1 }),
            Err(error) => Err(Rejected::Failed(Failure::unwritten(&error))),
        }
    }

    fn row(&self, output: &Value) -> Value {
        let Request { call, .. } = self.request;
        json!({"tool": call.tool, "run": call.run, "asked": self.request.fingerprint(), "output": output})
    }

    async fn first_time(&self, found: Option<Record>) -> Result<Value, Failure> {
        match found {
            Some(row) => self.output_of(row),
            None => self.recorded().await?.ok_or_else(|| {
                Failure::later(code::STORAGE_UNAVAILABLE, "the key's row was there and is gone; nothing was done")
            }),
        }
    }

    fn output_of(&self, mut row: Record) -> Result<Value, Failure> {
        let same = |name: &str, expect: &str| row.value.get(name).and_then(Value::as_str) == Some(expect);
        if !same("tool", &self.request.call.tool) || !same("asked", self.request.fingerprint().as_str()) {
            let message = format!(
                "the key `{}` was used by `{}` with other arguments; a key never carries two sets of them",
                self.request.call.key,
                row.value.get("tool").and_then(Value::as_str).unwrap_or("another tool")
            );
            return Err(Failure::refused(code::KEY_REUSED, message));
        }
        Ok(row.value.get_mut("output").map(Value::take).unwrap_or_default())
    }
}
