//! Shutdown of the process. The process ends within [`SHUTDOWN_LIMIT`] of the first signal, whatever hangs.
//!
//! A thread with its own runtime receives the signals, so that a process whose other threads are busy, or wait for a
//! disk that does not respond, receives them too. The first signal starts an orderly shutdown: no new work is accepted,
//! and work in progress finishes or is released. The second signal, or the limit, ends the process immediately, with
//! [`CommandExit::Unfinished`] and a line that explains it. Other processes can take over what it owned as soon as it
//! is gone.

use std::fmt;
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::{CommandExit, print};

/// From the first signal to the end of the process.
pub const SHUTDOWN_LIMIT: Duration = Duration::from_secs(10);
/// The part of the limit that is reserved for the last message.
const MESSAGE_RESERVE: Duration = Duration::from_millis(250);
/// The part of the limit for the C library to exit the process, before it is aborted.
const EXIT_RESERVE: Duration = Duration::from_millis(500);
/// From the first signal until anything that is not yet released is abandoned.
const RELEASE_LIMIT: Duration = SHUTDOWN_LIMIT.saturating_sub(MESSAGE_RESERVE).saturating_sub(EXIT_RESERVE);

/// The process was asked to stop, and could not release everything in order.
#[derive(Debug)]
pub struct UncleanShutdown;

impl fmt::Display for UncleanShutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "stopped, and not everything could be given back; nothing that was acknowledged is lost, and whoever comes \
             next takes over",
        )
    }
}

impl std::error::Error for UncleanShutdown {}

/// The time at which the process was asked to stop. `None` until then.
#[derive(Clone)]
pub struct ShutdownSignal(watch::Receiver<Option<Instant>>);

static REGISTERED_SIGNAL: Mutex<Option<ShutdownSignal>> = Mutex::new(None);

/// The time that is left to release resources. `None` if the process has not been asked to stop.
pub fn time_left() -> Option<Duration> {
    let heard = REGISTERED_SIGNAL.lock().unwrap_or_else(PoisonError::into_inner);
    let since = (*heard.as_ref()?.0.borrow())?;
    // A little before the release limit, so that there is time to report what is not released.
    Some((RELEASE_LIMIT - MESSAGE_RESERVE).saturating_sub(since.elapsed()))
}

impl ShutdownSignal {
    /// Completes once the process is asked to stop.
    pub async fn requested(mut self) {
        // The sending thread lives as long as the process.
        if self.0.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Starts to listen for requests to stop, from a person (Ctrl-C) or a supervisor (SIGTERM).
///
/// # Errors
/// Signals cannot be received. They then end the process immediately, which is the system's default.
pub fn install() -> std::io::Result<ShutdownSignal> {
    let mut heard = REGISTERED_SIGNAL.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(ending) = &*heard {
        return Ok(ending.clone());
    }
    let (ask, asked) = watch::channel(None);
    let (ready, started) = sync_channel(1);
    let body = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let listening = runtime.and_then(|runtime| {
            let signals = runtime.block_on(async { StopSignals::listen() })?;
            Ok((runtime, signals))
        });
        match listening {
            Ok((runtime, signals)) => {
                let _ = ready.send(Ok(()));
                runtime.block_on(watch_signals(signals, ask));
            }
            Err(error) => drop(ready.send(Err(error))),
        }
    };
    thread::Builder::new().name("baton-ending".into()).spawn(body)?;
    started.recv().unwrap_or_else(|_| Err(std::io::Error::other("the thread that hears them ended")))?;
    Ok(heard.insert(ShutdownSignal(asked)).clone())
}

async fn watch_signals(mut signals: StopSignals, ask: watch::Sender<Option<Instant>>) {
    signals.next().await;
    ask.send_replace(Some(Instant::now()));
    tokio::select! {
        () = signals.next() => force_exit("stopped at once, since it was told to a second time"),
        () = tokio::time::sleep(RELEASE_LIMIT) => force_exit(&format!(
            "stopped: not everything could be given back within {} s, since the store, a tool or a request did not end",
            SHUTDOWN_LIMIT.as_secs()
        )),
    }
}

/// Ends the process with a message, whatever locks its other threads hold.
fn force_exit(why: &str) -> ! {
    let line = format!("{why}; nothing that was acknowledged is lost, and whoever comes next takes over");
    let (say, said) = sync_channel(1);
    // Another thread may hang while it holds the lock of the output.
    let saying = thread::Builder::new().spawn(move || {
        print::note(line);
        let _ = say.send(());
    });
    if saying.is_ok() {
        let _ = said.recv_timeout(MESSAGE_RESERVE);
    }
    // The exit handlers of the C library must not hang either.
    let _ = thread::Builder::new().spawn(|| {
        thread::sleep(EXIT_RESERVE);
        std::process::abort();
    });
    std::process::exit(CommandExit::Unfinished as i32)
}

#[cfg(unix)]
struct StopSignals {
    interrupted: tokio::signal::unix::Signal,
    terminated: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl StopSignals {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupted: signal(SignalKind::interrupt())?, terminated: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupted.recv() => {}
            _ = self.terminated.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct StopSignals;

#[cfg(not(unix))]
impl StopSignals {
    #[expect(clippy::unnecessary_wraps, reason = "elsewhere it may fail")]
    fn listen() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
