//! Developer commands of Floe: `cargo xtask VERB`. This file only wires verbs to their modules.

#![expect(clippy::disallowed_methods, reason = "developer commands run on the real machine only")]

mod artefact;
mod bench;
mod cluster;
mod demo;
mod generate;
mod image;
mod instructions;
mod layers;
mod local_committee;
mod sizes;
mod source;
mod test;
mod vectors;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Developer commands of Floe.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Show what Floe is for, with real processes: write, heal, read among the dead and lying
    Demo(demo::Options),
    /// Run every check, one family after the other; what CI runs
    Test(test::Options),
    /// Measure real processes on this machine; figures are medians
    Bench(bench::Options),
    /// Write the files that are made from code: CustomResourceDefinitions, tables of the charts' values
    Generate(generate::Options),
    /// A real Kubernetes of several nodes on this machine; needs root
    Cluster(cluster::Options),
    /// Write the image of all roles as an OCI archive, without a container engine
    Image(image::Options),
    /// Check which crate may use which, and what none of them may contain
    Layers,
    /// Check file sizes, file names, files no module declares, and leftovers
    Sizes,
    /// Hold the codec and the signed layouts against cases kept as data
    Vectors(vectors::Options),
}

fn main() -> ExitCode {
    match run(Arguments::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> anyhow::Result<()> {
    let workspace = Workspace::load()?;
    match verb {
        Verb::Demo(options) => demo::run(&workspace, &options),
        Verb::Test(options) => test::run(&workspace, &options),
        Verb::Bench(options) => bench::run(&workspace, &options),
        Verb::Generate(options) => generate::run(&workspace, &options),
        Verb::Cluster(options) => cluster::run(&options),
        Verb::Image(options) => image::run(&workspace, &options),
        Verb::Layers => layers::run(&workspace),
        Verb::Sizes => sizes::run(&workspace),
        Verb::Vectors(options) => vectors::run(&workspace, &options),
    }
}
