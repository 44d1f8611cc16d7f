//! Stage: the tool is enabled for the tenant.

use std::sync::Arc;

use baton_core::tool::ToolInvocation;

use super::EarlyOutcome;
use crate::catalogue::ToolEntry;
use crate::code;
use crate::config::ToolPermission;

pub(super) fn check(
    permission: Option<&ToolPermission>,
    call: &ToolInvocation,
    entry: &Arc<ToolEntry>,
) -> Result<(), EarlyOutcome> {
    match permission.and_then(|permission| permission.enabled) {
        Some(true) | None => Ok(()),
        Some(false) => {
            let message = format!("`{}` is not enabled for the tenant `{}`", call.tool, call.tenant);
            Err(EarlyOutcome::refused(code::TOOL_NOT_ALLOWED, message, entry))
        }
    }
}
