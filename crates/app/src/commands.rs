//! The commands, one file for each verb.

mod agents;
mod approvals;
mod audit;
mod bench_process;
mod budgets;
mod completions;
mod costs;
mod customers;
mod demo;
mod desk;
mod doctor;
mod eval;
mod generate;
mod graph;
mod init;
mod json;
mod keys;
mod knowledge;
mod models;
mod outbox;
mod people;
mod reference;
mod run;
mod runs;
mod schedules;
mod secrets;
mod serve;
mod tenants;
mod test;
mod tools;
mod validate;
mod verify;
mod workflows;

use std::time::Duration;

use baton_tools::sandbox::child;
use baton_tools::supervisor;

use crate::cli::{BatonCli, CliCommand, SandboxChildArgs};
use crate::wiring::InterruptedError;
use crate::{CommandExit, bench, file_size_limit, print};

pub fn run(cli: BatonCli) -> anyhow::Result<CommandExit> {
    // The processes that run agents' programs or supervise servers write nothing and hold no resources that they do not
    // need.
    if !matches!(cli.command, CliCommand::SandboxChild(_) | CliCommand::Attend { .. }) {
        file_size_limit::ignore_file_size_signal();
    }
    let project = cli.project;
    match cli.command {
        CliCommand::Demo(args) => demo::run(&args),
        CliCommand::Init(args) => init::run(&args),
        CliCommand::Run(args) => handle_interrupt(block_on(run::run(&project, args))),
        CliCommand::Runs(args) => handle_interrupt(block_on(runs::run(&project, args))),
        CliCommand::Schedules(args) => block_on(schedules::run(&project, args)),
        CliCommand::Models(args) => block_on(models::run(&project, args)),
        CliCommand::Serve(args) => block_on(serve::run(&project, args)),
        CliCommand::Knowledge(args) => block_on(knowledge::run(&project, args)),
        CliCommand::Generate(args) => block_on(generate::run(&project, args)),
        CliCommand::Workflows(args) => block_on(workflows::run(&project, args)),
        CliCommand::Export(args) => block_on(workflows::export(&project, args)),
        CliCommand::Import(args) => block_on(workflows::import(&project, args)),
        CliCommand::Tools(args) => block_on(tools::run(&project, args)),
        CliCommand::Approvals(args) => handle_interrupt(block_on(approvals::run(&project, args))),
        CliCommand::Desk(args) => handle_interrupt(block_on(desk::run(&project, args))),
        CliCommand::People(args) => handle_interrupt(block_on(people::run(&project, args))),
        CliCommand::Outbox(args) => block_on(outbox::run(&project, args)),
        CliCommand::Audit(args) => block_on(audit::run(&project, args)),
        CliCommand::Customers(args) => handle_interrupt(block_on(customers::run(&project, args))),
        CliCommand::Agents(args) => block_on(agents::run(&project, args)),
        CliCommand::Costs(args) => block_on(costs::run(&project, &args)),
        CliCommand::Budgets(args) => block_on(budgets::run(&project, &args)),
        CliCommand::Keys(args) => block_on(keys::run(&project, args)),
        CliCommand::Tenants(args) => block_on(tenants::run(&project, args)),
        CliCommand::Secrets(args) => block_on(secrets::run(&project, args)),
        CliCommand::Verify(args) => block_on(verify::run(&project, args)),
        CliCommand::Validate(args) => validate::run(&project, &args),
        CliCommand::Graph(args) => graph::run(&project, &args),
        CliCommand::Eval(args) => eval::run(&args),
        CliCommand::Test(args) => block_on(test::run(&project, args)),
        CliCommand::Bench(args) => bench::run(&args),
        CliCommand::Doctor(args) => block_on(doctor::run(&project, args)),
        CliCommand::Completions { shell } => completions::run(shell),
        CliCommand::Reference { page } => reference::run(page),
        CliCommand::Part { name, arguments } => bench_process::run(&name, &arguments),
        CliCommand::SandboxChild(child) => Ok(sandbox_child(&child)),
        // Runs without a runtime and without a project.
        CliCommand::Attend { command } => match command.split_first() {
            Some((program, arguments)) => supervisor::supervise(program, arguments),
            None => Ok(CommandExit::Usage),
        },
    }
}

/// An interruption by the user is not an error.
fn handle_interrupt(exit: anyhow::Result<CommandExit>) -> anyhow::Result<CommandExit> {
    match exit {
        Err(error) if error.is::<InterruptedError>() => {
            print::note(error);
            Ok(CommandExit::Stopped)
        }
        exit => exit,
    }
}

/// Single-threaded and without a runtime, so that the process holds nothing that a program could use.
fn sandbox_child(child: &SandboxChildArgs) -> CommandExit {
    let SandboxChildArgs { memory_bytes, cpu_seconds, unconfined } = *child;
    let has_served = child::main(&child::ChildArguments { memory_bytes, cpu_seconds, unconfined });
    if has_served { CommandExit::Completed } else { CommandExit::Failed }
}

/// How long work on other threads may continue after the main work is done. After that it is abandoned.
const THREAD_EXIT_WAIT: Duration = Duration::from_secs(1);

/// Runs asynchronous work to completion.
pub fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(THREAD_EXIT_WAIT);
    done
}
