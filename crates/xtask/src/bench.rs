//! `cargo xtask bench NAME`: figures of real processes on this machine.

mod codec;
mod data_path;
mod document;
mod drive;
mod figures;
mod floor;
mod load;
mod noise;
mod recovery;
mod usage;

use clap::{Args, ValueEnum};

use self::figures::{Figures, json_lines, medians, table};
use crate::instructions;
use crate::workspace::Workspace;

/// What to measure, and how to print it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The bench
    name: Name,
    /// One JSON object per line: bench, case, value, unit and, where there is one, floor and ratio
    #[arg(long)]
    json: bool,
    /// Smaller sizes, and one round where there are several
    #[arg(long)]
    quick: bool,
}

/// The benches.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Name {
    /// Encoding, decoding, rebuilding and verifying, beside their parts alone; writes docs/performance.md
    Codec,
    /// PUT, GET and healing with seven nodes (n = 10) and a gateway on loopback
    DataPath,
    /// A lost volume with 1 GiB of blobs, and another node, beside a copy over TLS; writes docs/performance.md
    Recovery,
    /// Instructions of two cases of the codec under valgrind, written down for `cargo xtask test`
    Instructions,
}

impl Name {
    fn text(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// Measures and prints.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> anyhow::Result<()> {
    let rounds: Vec<Figures> = match options.name {
        Name::Codec => return codec::run(workspace, options.quick, options.json),
        Name::Recovery => return recovery::run(workspace, options.quick, options.json),
        Name::Instructions => return instructions::record(workspace),
        Name::DataPath => data_path::run(workspace, options.quick)?,
    };
    let figures = medians(&rounds);
    if options.json {
        print!("{}", json_lines(&options.name.text(), &figures)?);
    } else {
        print!("{}", table(&figures));
    }
    Ok(())
}

/// Tells whoever waits what is being done.
fn tell(text: &str) {
    eprintln!("  {text}");
}
