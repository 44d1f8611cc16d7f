//! One file a verb.

mod agents;
mod approvals;
mod audit;
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
mod part;
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

use baton_tools::attend;
use baton_tools::sandbox::child;

use crate::cli::{Cli, Command, SandboxChild};
use crate::wire::Stopped;
use crate::{Exit, bench, limits, print};

pub fn run(cli: Cli) -> anyhow::Result<Exit> {
    // What runs agents' programs, and what attends servers, write nothing and hold nothing that they need not.
    if !matches!(cli.command, Command::SandboxChild(_) | Command::Attend { .. }) {
        limits::become_errors();
    }
    let project = cli.project;
    match cli.command {
        Command::Demo(args) => demo::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Run(args) => stoppable(wait(run::run(&project, args))),
        Command::Runs(args) => stoppable(wait(runs::run(&project, args))),
        Command::Schedules(args) => wait(schedules::run(&project, args)),
        Command::Models(args) => wait(models::run(&project, args)),
        Command::Serve(args) => wait(serve::run(&project, args)),
        Command::Knowledge(args) => wait(knowledge::run(&project, args)),
        Command::Generate(args) => wait(generate::run(&project, args)),
        Command::Workflows(args) => wait(workflows::run(&project, args)),
        Command::Export(args) => wait(workflows::export(&project, args)),
        Command::Import(args) => wait(workflows::import(&project, args)),
        Command::Tools(args) => wait(tools::run(&project, args)),
        Command::Approvals(args) => stoppable(wait(approvals::run(&project, args))),
        Command::Desk(args) => stoppable(wait(desk::run(&project, args))),
        Command::People(args) => stoppable(wait(people::run(&project, args))),
        Command::Outbox(args) => wait(outbox::run(&project, args)),
        Command::Audit(args) => wait(audit::run(&project, args)),
        Command::Customers(args) => stoppable(wait(customers::run(&project, args))),
        Command::Agents(args) => wait(agents::run(&project, args)),
        Command::Costs(args) => wait(costs::run(&project, &args)),
        Command::Budgets(args) => wait(budgets::run(&project, &args)),
        Command::Keys(args) => wait(keys::run(&project, args)),
        Command::Tenants(args) => wait(tenants::run(&project, args)),
        Command::Secrets(args) => wait(secrets::run(&project, args)),
        Command::Verify(args) => wait(verify::run(&project, args)),
        Command::Validate(args) => validate::run(&project, &args),
        Command::Graph(args) => graph::run(&project, &args),
        Command::Eval(args) => eval::run(&args),
        Command::Test(args) => wait(test::run(&project, args)),
        Command::Bench(args) => bench::run(&args),
        Command::Doctor(args) => wait(doctor::run(&project, args)),
        Command::Completions { shell } => completions::run(shell),
        Command::Reference { page } => reference::run(page),
        Command::Part { name, arguments } => part::run(&name, &arguments),
        Command::SandboxChild(child) => Ok(sandbox_child(&child)),
        // No runtime, and nothing of a project.
        Command::Attend { command } => match command.split_first() {
            Some((program, arguments)) => attend::main(program, arguments),
            None => Ok(Exit::Usage),
        },
    }
}

/// Being stopped by hand is no error.
fn stoppable(exit: anyhow::Result<Exit>) -> anyhow::Result<Exit> {
    match exit {
        Err(error) if error.is::<Stopped>() => {
            print::note(error);
            Ok(Exit::Stopped)
        }
        exit => exit,
    }
}

/// One thread, no runtime: it holds nothing that a program might want.
fn sandbox_child(child: &SandboxChild) -> Exit {
    let SandboxChild { memory_bytes, cpu_seconds, unconfined } = *child;
    let has_served = child::main(&child::Arguments { memory_bytes, cpu_seconds, unconfined });
    if has_served { Exit::Completed } else { Exit::Failed }
}

/// What is still under way on other threads when the work is done may take this long to end; then it is left behind.
const LEFT_WAIT: Duration = Duration::from_secs(1);

/// Runs asynchronous work to its end.
pub fn wait<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(LEFT_WAIT);
    done
}
