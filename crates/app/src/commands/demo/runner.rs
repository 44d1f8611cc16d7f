//! The three parts of the demo: a booking that is killed half-way, its recovery, and a card that is declined.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use baton_core::id::RunId;
use baton_core::tool::{AuditRow, AuditStatus};
use baton_ports::audit::{AuditFilter, AuditTrail as _};
use baton_ports::records::{RecordStore as _, StoredRecord};
use serde_json::json;

use crate::cli::DemoArgs;
use crate::commands::block_on;
use crate::print;
use crate::project::Project;
use crate::wiring::ProjectSystem;

const BOOKED: &str = "demo-booked";
const DECLINED: &str = "demo-declined";
/// The process is killed after the line about this node. The booking is made, the payment terminal is being asked, and
/// the payment is not taken.
const KILL_AFTER: &str = "create_booking";
/// Maximum number of rows that the checks read.
const ROWS_MAX: usize = 500;
/// Pause between lines, so that a person can follow.
const LINE_PAUSE: Duration = Duration::from_millis(900);

/// Plays the whole demo. Returns whether every check passed.
pub fn play_demo(folder: &Path, args: &DemoArgs) -> anyhow::Result<bool> {
    let story = DemoRunner { folder, fast: args.fast };
    story.print_slowly("A clinic. A customer writes: “Hola, quiero una cita de botox el martes.”");
    story.print_slowly(
        "Agents read and ask; tools act. The model is scripted: replies come from files, no key and no network.",
    );
    story.kill_booking()?;
    story.recover_booking()?;
    let booked = story.check_booked()?;
    story.decline_card()?;
    Ok(booked & story.check_declined()?)
}

struct DemoRunner<'a> {
    folder: &'a Path,
    fast: bool,
}

impl DemoRunner<'_> {
    fn print_slowly(&self, text: &str) {
        print::line("");
        print::line(print::paint("1", text));
        if !self.fast {
            std::thread::sleep(LINE_PAUSE);
        }
    }

    fn kill_booking(&self) -> anyhow::Result<()> {
        self.print_slowly("1. The booking runs in a process of its own.");
        let mut child = self.start(BOOKED, "visa-4242", &["--say", "a las 10:00"])?;
        let killed = relay_output(&mut child, Some(KILL_AFTER))?;
        anyhow::ensure!(killed, "the run ended before it could be killed");
        print::line(print::paint("31", "  ✂ kill -9, with the booking made and the card terminal being asked"));
        Ok(())
    }

    fn recover_booking(&self) -> anyhow::Result<()> {
        self.print_slowly("2. Another process finds what the dead one left, and goes on from the journal.");
        let mut child = self.spawn(&["runs", "work"])?;
        relay_output(&mut child, None)?;
        Ok(())
    }

    fn decline_card(&self) -> anyhow::Result<()> {
        self.print_slowly(
            "3. The next customer's card is declined: what was done is undone, and the customer is told.",
        );
        let mut child = self.start(DECLINED, "visa-0002", &["--say", "a las 11:00"])?;
        relay_output(&mut child, None)?;
        Ok(())
    }

    fn start(&self, run: &str, card: &str, more: &[&str]) -> anyhow::Result<Child> {
        let input = json!({
            "message": "Hola, quiero una cita de botox el martes",
            "name": "Ana García",
            "phone": "+34 600 000 001",
            "email": "ana@example.com",
            "card": card,
        });
        let input = input.to_string();
        let mut arguments = vec!["run", "cita", "--id", run, "--input", &input];
        arguments.extend(more);
        self.spawn(&arguments)
    }

    fn spawn(&self, arguments: &[&str]) -> anyhow::Result<Child> {
        let mut process = Command::new(std::env::current_exe()?);
        process.arg("-C").arg(self.folder).args(arguments).stdout(Stdio::piped());
        // An API key in the environment must not send the demo's texts to a provider.
        process.env("BATON_MODELS__PROVIDER", "script");
        Ok(process.spawn()?)
    }

    fn check_booked(&self) -> anyhow::Result<bool> {
        let world = DemoRecords::of(self.folder, BOOKED)?;
        self.print_slowly("What the world saw:");
        Ok(print_checks([
            ("the booking exists, once", world.done("google_calendar", "create_booking") == 1),
            ("the card was charged, once", world.done("charge_payment", "") == 1),
            ("one WhatsApp message, one e-mail", world.messages("whatsapp") == 1 && world.messages("email") == 1),
            ("every act is in the audit trail", world.audit.len() >= 5),
        ]))
    }

    fn check_declined(&self) -> anyhow::Result<bool> {
        let world = DemoRecords::of(self.folder, DECLINED)?;
        self.print_slowly("What the world saw:");
        Ok(print_checks([
            (
                "the booking was made, and cancelled",
                world.done("google_calendar", "create_booking") == 1 && world.undone() == 1,
            ),
            ("nothing was charged", world.done("charge_payment", "") == 0),
            ("the customer was told, once", world.messages("whatsapp") == 1),
        ]))
    }
}

/// Prints the lines of a child process as they arrive. With `kill_after`, kills the child once a line reports that
/// node's success.
fn relay_output(child: &mut Child, kill_after: Option<&str>) -> anyhow::Result<bool> {
    let Some(output) = child.stdout.take() else { anyhow::bail!("the process has no output") };
    for line in BufReader::new(output).lines() {
        let line = line?;
        print::line(format_args!("  {line}"));
        if kill_after.is_some_and(|node| line.contains('✓') && line.contains(node)) {
            child.kill()?;
            child.wait()?;
            return Ok(true);
        }
    }
    child.wait()?;
    Ok(false)
}

fn print_checks<const N: usize>(checks: [(&str, bool); N]) -> bool {
    for (what, holds) in checks {
        let sign = if holds { print::paint("32", "✓") } else { print::paint("31", "✗") };
        print::line(format_args!("  {sign} {what}"));
    }
    checks.iter().all(|(_, holds)| *holds)
}

/// The records of one run, read from the database and not from the output.
struct DemoRecords {
    audit: Vec<AuditRow>,
    outbox: Vec<StoredRecord>,
}

impl DemoRecords {
    fn of(folder: &Path, run: &str) -> anyhow::Result<Self> {
        let system = ProjectSystem::open(&Project::open(folder)?)?;
        block_on(async {
            let run = RunId::from(run);
            let filter = AuditFilter { run: Some(run.clone()), limit: ROWS_MAX, ..AuditFilter::default() };
            let entries = system.store.trail(&system.tenant, filter).await?;
            let audit = entries.into_iter().map(|entry| entry.row).collect();
            let mut outbox = system.store.list(&system.tenant, "outbox", "", None, ROWS_MAX).await?;
            outbox.retain(|message| message.value.get("run").and_then(|of| of.as_str()) == Some(run.as_str()));
            Ok(Self { audit, outbox })
        })
    }

    /// The number of successful calls of a tool, filtered by `action` if the tool has several.
    fn done(&self, tool: &str, action: &str) -> usize {
        let is_it = |row: &&AuditRow| {
            let arguments = row.details.get("parameters");
            let of_row = arguments.and_then(|arguments| arguments.get("action")).and_then(|action| action.as_str());
            row.action == tool && row.status == AuditStatus::Success && (action.is_empty() || of_row == Some(action))
        };
        self.audit.iter().filter(is_it).count()
    }

    fn undone(&self) -> usize {
        self.audit.iter().filter(|row| row.status == AuditStatus::Compensated).count()
    }

    fn messages(&self, channel: &str) -> usize {
        let is_it = |message: &&StoredRecord| message.value.get("channel").and_then(|of| of.as_str()) == Some(channel);
        self.outbox.iter().filter(is_it).count()
    }
}
