//! Checks that agents' programs can run here, inside a working sandbox.

use super::DoctorCheck;
use crate::project::Project;
use crate::wiring;

/// Never fails the command, because only agents of type `code` and the tool `execute_code` need it.
pub async fn check(project: &Project) -> DoctorCheck {
    const WHAT: &str = "sandbox";
    let pool = match wiring::sandbox(&project.settings.sandbox) {
        Ok(pool) => pool,
        Err(error) => return DoctorCheck::fail(WHAT, format!("{error:#}"), "correct it under `[sandbox]`"),
    };
    match pool.probe().await {
        Ok(probe) if probe.is_confined => DoctorCheck::ok(
            WHAT,
            format!("programs run confined; a child is ready after {} ms", probe.took.as_millis()),
        ),
        Ok(_) => DoctorCheck::warn(
            WHAT,
            "programs run in processes that this machine does not hold",
            "take `allow_unconfined` out of `[sandbox]`, unless you trust what agents write",
        ),
        Err(fault) => DoctorCheck::warn(
            WHAT,
            fault.message,
            "agents of type `code` and `execute_code` need Linux, /proc and filters of system calls",
        ),
    }
}
