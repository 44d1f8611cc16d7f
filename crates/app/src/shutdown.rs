//! Ending: whoever tells the process to stop sees it gone within [`SHUTDOWN_LIMIT`], whatever hangs.
//!
//! Signals are heard by a thread with a runtime of its own, so that a process whose other threads are busy, or wait for a
//! disk that does not answer, hears them too. The first asks for an orderly end: nothing new is taken in, what is under
//! way finishes or is given back. The second one, or the limit, ends the process as it is: with [`CommandExit::Unfinished`], and
//! a line that says so. What it owned is free the moment it is gone.

use std::fmt;
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::{CommandExit, print};

/// From the first signal to the last instant of the process.
pub const SHUTDOWN_LIMIT: Duration = Duration::from_secs(10);
/// What of it is left for saying so.
const MESSAGE_RESERVE: Duration = Duration::from_millis(250);
/// And for the system's library to end the process, before it is aborted.
const EXIT_RESERVE: Duration = Duration::from_millis(500);
/// From the first signal until whatever is not given back is left.
const RELEASE_LIMIT: Duration = SHUTDOWN_LIMIT.saturating_sub(MESSAGE_RESERVE).saturating_sub(EXIT_RESERVE);

/// Somebody said stop, and not everything could be given back in order.
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

/// Since when the process is told to stop; nothing as long as nobody has.
#[derive(Clone)]
pub struct ShutdownSignal(watch::Receiver<Option<Instant>>);

static REGISTERED_SIGNAL: Mutex<Option<ShutdownSignal>> = Mutex::new(None);

/// How long giving back may take from here on; nothing where nobody has told the process to stop.
pub fn time_left() -> Option<Duration> {
    let heard = REGISTERED_SIGNAL.lock().unwrap_or_else(PoisonError::into_inner);
    let since = (*heard.as_ref()?.0.borrow())?;
    // A little before whatever is not given back is left: then it can still be said what that is.
    Some((RELEASE_LIMIT - MESSAGE_RESERVE).saturating_sub(since.elapsed()))
}

impl ShutdownSignal {
    /// Ready once somebody has said stop.
    pub async fn requested(mut self) {
        // The thread that tells ends with the process.
        if self.0.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Listens from here on for whoever asks the process to end, a person (Ctrl-C) or its supervisor (SIGTERM).
///
/// # Errors
/// Where signals cannot be heard: then they end the process at once, as they would any.
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

/// Ends the process with a line, whatever its other threads hold.
fn force_exit(why: &str) -> ! {
    let line = format!("{why}; nothing that was acknowledged is lost, and whoever comes next takes over");
    let (say, said) = sync_channel(1);
    // Somebody may hang in the very place where it is to be said.
    let saying = thread::Builder::new().spawn(move || {
        print::note(line);
        let _ = say.send(());
    });
    if saying.is_ok() {
        let _ = said.recv_timeout(MESSAGE_RESERVE);
    }
    // And what the system's library does at the end must not hang either.
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
