//! Whether what agents write can be run here, and is held.

use super::Check;
use crate::project::Project;
use crate::wire;

/// Never a failure: only agents of type `code` and the tool `execute_code` need it.
pub async fn check(project: &Project) -> Check {
    const WHAT: &str = "sandbox";
    let pool = match wire::sandbox(&project.settings.sandbox) {
        Ok(pool) => pool,
        Err(error) => return Check::fail(WHAT, format!("{error:#}"), "correct it under `[sandbox]`"),
    };
    match pool.probe().await {
        Ok(probe) if probe.is_confined => {
            Check::ok(WHAT, format!("programs run confined; a child is ready after {} ms", probe.took.as_millis()))
        }
        Ok(_) => Check::warn(
            WHAT,
            "programs run in processes that this machine does not hold",
            "take `allow_unconfined` out of `[sandbox]`, unless you trust what agents write",
        ),
        Err(fault) => Check::warn(
            WHAT,
            fault.message,
            "agents of type `code` and `execute_code` need Linux, /proc and filters of system calls",
        ),
    }
}
