//! May this call go out? The stages, in order; each is one file, and stops the call or lets it on.

mod approval;
mod enabled;
mod find;
mod parameters;

use std::sync::Arc;

use baton_core::fault::Fault;
use baton_core::tool::Call;

use crate::catalogue::{Catalogue, Entry};
use crate::request::Request;
use crate::rules::Rules;

pub(crate) use parameters::Schema;

/// A call that passed every stage.
pub(crate) struct Admitted {
    pub(crate) entry: Arc<Entry>,
    pub(crate) request: Request,
}

/// A call that a stage stopped.
pub(crate) enum Stopped {
    Refused { fault: Fault, entry: Option<Arc<Entry>> },
    NeedsApproval { hash: String },
}

impl Stopped {
    fn refused(code: &'static str, message: impl Into<String>, entry: &Arc<Entry>) -> Self {
        Self::Refused { fault: Fault::new(code, message), entry: Some(entry.clone()) }
    }
}

/// Runs the stages. A new one is a file beside these and a line here.
pub(crate) fn admit(
    catalogue: &Catalogue,
    rules: &Rules,
    call: &Call,
    approved: Option<&str>,
) -> Result<Admitted, Stopped> {
    let entry = find::tool(catalogue, &call.tool)?;
    let rules = rules.of(&call.tenant);
    let permission = rules.tool(&call.tool, entry);
    enabled::check(permission, call, entry)?;
    let request = parameters::settle(rules, permission, call, entry)?;
    approval::check(rules, permission, &request, entry, approved)?;
    Ok(Admitted { entry: entry.clone(), request })
}

/// The request of a call that went out before, to ask what became of it. Permission is not asked: nothing is done.
pub(crate) fn settle(rules: &Rules, call: &Call, entry: &Arc<Entry>) -> Result<Request, String> {
    let rules = rules.of(&call.tenant);
    let permission = rules.tool(&call.tool, entry);
    parameters::settle(rules, permission, call, entry).map_err(|stopped| match stopped {
        Stopped::Refused { fault, .. } => fault.message,
        Stopped::NeedsApproval { .. } => "a person must allow the call".to_owned(),
    })
}
