//! Ending: whoever tells the process to stop sees it gone within [`LIMIT`], whatever hangs.
//!
//! Signals are heard by a thread with a runtime of its own, so that a process whose other threads are busy, or wait for a
//! disk that does not answer, hears them too. The first asks for an orderly end: nothing new is taken in, what is under
//! way finishes or is given back. The second one, or the limit, ends the process as it is: with [`Exit::Unfinished`], and
//! a line that says so. What it owned is free the moment it is gone.

use std::fmt;
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::{Exit, print};

/// From the first signal to the last instant of the process.
pub const LIMIT: Duration = Duration::from_secs(10);
/// What of it is left for saying so.
const LAST_WORDS: Duration = Duration::from_millis(250);
/// And for the system's library to end the process, before it is aborted.
const LAST_ACTS: Duration = Duration::from_millis(500);
/// From the first signal until whatever is not given back is left.
const GIVEN_BACK: Duration = LIMIT.saturating_sub(LAST_WORDS).saturating_sub(LAST_ACTS);

/// Somebody said stop, and not everything could be given back in order.
#[derive(Debug)]
pub struct Unfinished;

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "stopped, and not everything could be given back; nothing that was acknowledged is lost, and whoever comes \
             next takes over",
        )
    }
}

impl std::error::Error for Unfinished {}

/// Since when the process is told to stop; nothing as long as nobody has.
#[derive(Clone)]
pub struct Ending(watch::Receiver<Option<Instant>>);

static HEARD: Mutex<Option<Ending>> = Mutex::new(None);

/// How long giving back may take from here on; nothing where nobody has told the process to stop.
pub fn left() -> Option<Duration> {
    let heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
    let since = (*heard.as_ref()?.0.borrow())?;
    // A little before whatever is not given back is left: then it can still be said what that is.
    Some((GIVEN_BACK - LAST_WORDS).saturating_sub(since.elapsed()))
}

impl Ending {
    /// Ready once somebody has said stop.
    pub async fn asked(mut self) {
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
pub fn hear() -> std::io::Result<Ending> {
    let mut heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(ending) = &*heard {
        return Ok(ending.clone());
    }
    let (ask, asked) = watch::channel(None);
    let (ready, started) = sync_channel(1);
    let body = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let listening = runtime.and_then(|runtime| {
            let signals = runtime.block_on(async { Signals::listen() })?;
            Ok((runtime, signals))
        });
        match listening {
            Ok((runtime, signals)) => {
                let _ = ready.send(Ok(()));
                runtime.block_on(watch_over(signals, ask));
            }
            Err(error) => drop(ready.send(Err(error))),
        }
    };
    thread::Builder::new().name("baton-ending".into()).spawn(body)?;
    started.recv().unwrap_or_else(|_| Err(std::io::Error::other("the thread that hears them ended")))?;
    Ok(heard.insert(Ending(asked)).clone())
}

async fn watch_over(mut signals: Signals, ask: watch::Sender<Option<Instant>>) {
    signals.next().await;
    ask.send_replace(Some(Instant::now()));
    tokio::select! {
        () = signals.next() => leave("stopped at once, since it was told to a second time"),
        () = tokio::time::sleep(GIVEN_BACK) => leave(&format!(
            "stopped: not everything could be given back within {} s, since the store, a tool or a request did not end",
            LIMIT.as_secs()
        )),
    }
}

/// Ends the process with a line, whatever its other threads hold.
fn leave(why: &str) -> ! {
    let line = format!("{why}; nothing that was acknowledged is lost, and whoever comes next takes over");
    let (say, said) = sync_channel(1);
    // Somebody may hang in the very place where it is to be said.
    let saying = thread::Builder::new().spawn(move || {
        print::note(line);
        let _ = say.send(());
    });
    if saying.is_ok() {
        let _ = said.recv_timeout(LAST_WORDS);
    }
    // And what the system's library does at the end must not hang either.
    let _ = thread::Builder::new().spawn(|| {
        thread::sleep(LAST_ACTS);
        std::process::abort();
    });
    std::process::exit(Exit::Unfinished as i32)
}

#[cfg(unix)]
struct Signals {
    interrupted: tokio::signal::unix::Signal,
    terminated: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
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
struct Signals;

#[cfg(not(unix))]
impl Signals {
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
