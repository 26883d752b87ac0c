//! The one binary of Floe. This file only wires arguments to commands; `args` has the command line.

#![expect(clippy::disallowed_methods, reason = "the command line runs on the real machine only")]

mod args;
mod blob_name;
mod chain;
mod command;
mod committee_dir;
mod content;
mod plugin;
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
use floe_kubectl::exit;
use tracing_subscriber::EnvFilter;

use crate::args::{Arguments, Command, LogArguments};

/// How long tasks that hold on to a file or a socket may keep the process from ending.
const LINGER: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    if plugin::is_called(std::env::args_os().next().as_deref()) {
        let log = LogArguments { filter: std::env::var("RUST_LOG").ok(), json: false };
        let arguments = floe_kubectl::args::Arguments::parse();
        return end("kubectl floe", run((&log, "error"), plugin::run(arguments)));
    }
    let Arguments { log, command } = Arguments::parse();
    let default = default_log(&command);
    end("floe", run((&log, default), async { dispatch(command).await.map(|()| 0) }))
}

fn end(name: &str, outcome: anyhow::Result<u8>) -> ExitCode {
    match outcome {
        Ok(code) => code.into(),
        Err(error) => {
            eprintln!("{name}: {error:#}");
            exit::code(&error).into()
        }
    }
}

fn run(
    (arguments, default): (&LogArguments, &str),
    command: impl Future<Output = anyhow::Result<u8>>,
) -> anyhow::Result<u8> {
    // An error means that there is a provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    log(arguments, default)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("the runtime cannot be started")?;
    let outcome = runtime.block_on(command);
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
        Command::Import(arguments) => command::import::run(arguments).await,
        Command::Operator(arguments) => command::operator::run(arguments).await,
    }
}

const fn default_log(command: &Command) -> &'static str {
    match command {
        Command::Sidecar(_) | Command::Gateway(_) | Command::Repair(_) | Command::Operator(_) => {
            "info"
        }
        // Its nodes start one after the other, and first find each other missing.
        Command::Standalone(_) => "warn,floe_sidecar::worker=error",
        _ => "warn",
    }
}

fn log(arguments: &LogArguments, default: &str) -> anyhow::Result<()> {
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
