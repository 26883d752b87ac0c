//! The one binary of Floe. This file only wires arguments to commands; `args` has the command line.

#![expect(clippy::disallowed_methods, reason = "the command line runs on the real machine only")]

mod args;
mod blob_name;
mod chain;
mod command;
mod committee_dir;
mod content;
mod exit;
mod progress;
mod report;
mod serving;
mod stewarding;
mod web;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser as _;
use tracing_subscriber::EnvFilter;

use crate::args::{Arguments, Command, LogArguments};

/// How long tasks that hold on to a file or a socket may keep the process from ending.
const LINGER: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("floe: {error:#}");
            exit::code(&error).into()
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    // An error means that there is a provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    log(&arguments.log, &arguments.command)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("the runtime cannot be started")?;
    let outcome = runtime.block_on(dispatch(arguments.command));
    runtime.shutdown_timeout(LINGER);
    outcome
}

async fn dispatch(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Put(arguments) => command::put::run(arguments).await,
        Command::Get(arguments) => command::get::run(arguments).await,
        Command::Ls(arguments) => command::catalog::ls(arguments).await,
        Command::Rm(arguments) => command::catalog::rm(arguments).await,
        Command::Undelete(arguments) => command::catalog::undelete(arguments).await,
        Command::Stat(arguments) => command::catalog::stat(arguments).await,
        Command::Status(arguments) => command::catalog::status(arguments).await,
        Command::Id(arguments) => command::id::run(arguments).await,
        Command::Standalone(arguments) => command::standalone::run(arguments).await,
        Command::Committee(arguments) => command::committee::run(arguments).await,
        Command::Sidecar(arguments) => command::server::sidecar(arguments).await,
        Command::Gateway(arguments) => command::server::gateway(arguments).await,
        Command::Repair(arguments) => command::repair::run(arguments).await,
    }
}

fn log(arguments: &LogArguments, command: &Command) -> anyhow::Result<()> {
    let default = match command {
        Command::Sidecar(_) | Command::Gateway(_) | Command::Repair(_) => "info",
        // Its nodes start one after the other, and first find each other missing.
        Command::Standalone(_) => "warn,floe_sidecar::worker=error",
        _ => "warn",
    };
    let wanted = arguments.filter.as_deref().unwrap_or(default);
    let filter = EnvFilter::try_new(wanted)
        .map_err(|error| exit::Ended::new(exit::Exit::Usage, format!("--log {wanted}: {error}")))?;
    let logger = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    if arguments.json {
        logger.json().init();
    } else {
        logger.init();
    }
    Ok(())
}
