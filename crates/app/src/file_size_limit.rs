//! Turns system limits that would kill the process silently into errors that it can report and survive.

/// When a file may not grow further (`ulimit -f`, a supervisor's `LimitFSIZE`), the system sends SIGXFSZ, which kills a
/// process that does not handle it. With a handler the write fails with `EFBIG` instead, and the store treats it as a
/// full disk.
#[cfg(unix)]
pub fn ignore_file_size_signal() {
    use tokio::signal::unix::{SignalKind, signal};

    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else { return };
    // The handler stays installed after the listener and its runtime are dropped.
    let heard = runtime.block_on(async { signal(SignalKind::from_raw(libc::SIGXFSZ)).map(drop) });
    if let Err(error) = heard {
        tracing::warn!(%error, "a limit of files' sizes would end this process without a word");
    }
}

#[cfg(not(unix))]
pub fn ignore_file_size_signal() {}
