//! Stage: the tool is enabled for the tenant.

use std::sync::Arc;

use baton_core::tool::Call;

use super::Stopped;
use crate::catalogue::Entry;
use crate::code;
use crate::config::Permission;

pub(super) fn check(permission: Option<&Permission>, call: &Call, entry: &Arc<Entry>) -> Result<(), Stopped> {
    match permission.and_then(|permission| permission.enabled) {
        Some(true) | None => Ok(()),
        Some(false) => {
            let message = format!("`{}` is not enabled for the tenant `{}`", call.tool, call.tenant);
            Err(Stopped::refused(code::TOOL_NOT_ALLOWED, message, entry))
        }
    }
}
