//! E-mail against a real mail server with TLS and passwords.

use std::path::Path;
use std::process::Command;

use anyhow::Context;

use super::server_process::{ServerProcess, free_port};
use super::{certificates, clients};
use crate::build::{BuiltExecutable, ExecutableKind};
use crate::process;
use crate::stages::StageClock;

/// The server, at the version this was tested with.
const SERVER: &str = "aiosmtpd==1.4.6";
/// The library that contains the tests.
const TESTS: &str = "baton_tools";
const TEST: &str = "a_real_mail_server_takes_a_letter_by_tls_from_whom_it_knows";

/// Starts a server and runs the test that needs one. The stage is skipped with the reason if no server can be
/// installed.
pub fn run(root: &Path, built: &[BuiltExecutable], stages: &mut StageClock) -> anyhow::Result<()> {
    let Some(tests) = built.iter().find(|one| one.kind == ExecutableKind::UnitTests && one.name == TESTS) else {
        stages.leave_out("mail", &format!("no tests of `{TESTS}` in this tree"));
        return Ok(());
    };
    let folder = tempfile::tempdir().context("no scratch folder can be made")?;
    let here = folder.path();
    let had = clients::python_install(here, SERVER).and_then(|()| certificates::make(here));
    if let Err(missing) = had {
        stages.leave_out("mail", &format!("{missing:#}"));
        return Ok(());
    }
    stages.run("mail", || {
        let (starttls, implicit) = (free_port()?.to_string(), free_port()?);
        let mut server = Command::new(here.join("bin/python"));
        server.arg(root.join("xtask/mail/server.py")).arg(here).args([&starttls, &implicit.to_string()]);
        // The script opens all other ports before this one.
        let _server = ServerProcess::start(&mut server, starttls.parse()?)?;
        let mut test = Command::new(&tests.path);
        test.args([TEST, "--ignored"])
            .current_dir(&tests.folder)
            .env("TEST_SMTP_STARTTLS_PORT", &starttls)
            .env("TEST_SMTP_IMPLICIT_PORT", implicit.to_string())
            .env("TEST_SMTP_CA", here.join(certificates::AUTHORITY))
            .env("TEST_SMTP_HEARD", here.join("heard"));
        process::run(&mut test)
    })
}
