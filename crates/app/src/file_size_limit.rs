//! Limits of the system that would end the process without a word, made into errors that are told and lived with.

/// A file that may not grow (`ulimit -f`, a supervisor's `LimitFSIZE`) sends SIGXFSZ, which ends a process that does not
/// listen for it. Heard, the write fails instead (`EFBIG`), and the store goes by it as by a full disk.
#[cfg(unix)]
pub fn ignore_file_size_signal() {
    use tokio::signal::unix::{SignalKind, signal};

    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else { return };
    // The handler stays when the listener and its runtime go.
    let heard = runtime.block_on(async { signal(SignalKind::from_raw(libc::SIGXFSZ)).map(drop) });
    if let Err(error) = heard {
        tracing::warn!(%error, "a limit of files' sizes would end this process without a word");
    }
}

#[cfg(not(unix))]
pub fn ignore_file_size_signal() {}
