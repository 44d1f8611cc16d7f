//! The state of a paused program, as it leaves the child and returns.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use baton_core::agent::SNAPSHOT_BYTES_MAX;
use monty::{Dump, DumpError, RunProgress, Session, SessionRef};

use super::{FILE, SegmentEnd};
use crate::sandbox::frame::ProgramFailureKind;

/// Ends the segment with the program's state.
pub(super) fn suspend(paused: RunProgress) -> SegmentEnd {
    match monty::dump(FILE, None, SessionRef::Running(&paused)) {
        Ok(state) if state.len() <= SNAPSHOT_BYTES_MAX => SegmentEnd::Calls(BASE64.encode(state)),
        Ok(state) => SegmentEnd::Failed(
            ProgramFailureKind::State,
            format!("its variables take {} bytes when it calls, over the limit of {SNAPSHOT_BYTES_MAX}", state.len()),
        ),
        Err(error) => SegmentEnd::Failed(ProgramFailureKind::State, format!("its state cannot be kept: {error}")),
    }
}

pub(super) fn load(state: &str) -> Result<RunProgress, SegmentEnd> {
    let altered = |what: String| SegmentEnd::Failed(ProgramFailureKind::Snapshot, what);
    let bytes = BASE64.decode(state).map_err(|_| altered("it is not base64".to_owned()))?;
    match Dump::load(&bytes) {
        Ok(Dump { state: Session::Running(paused), .. }) => Ok(*paused),
        Ok(_) => Err(altered("it is no paused program".to_owned())),
        Err(DumpError::VersionMismatch { .. }) => Err(SegmentEnd::Stale),
        Err(error) => Err(altered(error.to_string())),
    }
}
