//! `cargo xtask cluster`: a real Kubernetes of several nodes on this machine, without a container
//! engine around it. The control plane runs on the host; a node is a network namespace.

mod authority;
mod cgroup;
mod command;
mod control_plane;
mod lock;
mod network;
mod node;
mod packages;
mod processes;
pub(crate) mod programs;
mod removal;
mod site;
mod volumes;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};

use self::lock::Lock;
use self::processes::{Processes, wait_for};
use self::site::Site;
use crate::image::{Image, archive};

const NODES: u8 = 5;
const DISKS: u8 = 2;
/// How many nodes the addresses are enough for.
const MOST_NODES: i64 = 50;
/// How long nodes may take on a loaded machine.
const READY_WITHIN: Duration = Duration::from_mins(3);

/// Which cluster, and what to do with it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Which cluster: several stand side by side
    #[arg(long, env = "FLOE_CLUSTER", default_value = "floe", value_parser = site::check_name)]
    name: String,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start what does not run, offer an empty volume for every disk that was lost, wait until Ready
    Up {
        /// Nodes, each in a zone of its own [default: 5]
        #[arg(long, value_parser = clap::value_parser!(u8).range(1..=MOST_NODES))]
        nodes: Option<u8>,
        /// Disks of each node [default: 2]
        #[arg(long, value_parser = clap::value_parser!(u8).range(0..=9))]
        disks: Option<u8>,
    },
    /// Take everything away
    Down,
    /// Load an image into every node
    Load {
        /// An OCI archive, as `cargo xtask image` writes it
        image: PathBuf,
    },
    /// A node loses power: everything on it dies at once, its disks stay
    StopNode {
        /// Its number
        node: u8,
    },
    /// Its power returns
    StartNode {
        /// Its number
        node: u8,
    },
    /// A disk dies: its volume and directory are gone
    LoseDisk {
        /// The PersistentVolume, such as node-1-d2
        #[arg(value_name = "PV")]
        volume: String,
        /// Put a new, empty disk in its place at once instead of with the next `up`; prints its volume
        #[arg(long)]
        replace: bool,
    },
    /// Print what a shell needs: eval "$(cargo xtask cluster env)"
    Env,
}

/// Does it.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let name = &options.name;
    let _lock = match options.verb {
        Verb::Env => None,
        _ => Some(Lock::take(&site::lock_path()?)?),
    };
    match &options.verb {
        Verb::Up { nodes, disks } => up(name, *nodes, *disks),
        Verb::Down => {
            let Some(site) = Site::find(name)? else {
                println!("no cluster `{name}`");
                return Ok(());
            };
            removal::remove(&site)
        }
        Verb::Load { image } => load(&Site::of(name)?, image),
        Verb::StopNode { node } => {
            let site = Site::of(name)?;
            node::stop(&site, &Processes::in_dir(&site.dir()), site.checked(*node)?)
        }
        Verb::StartNode { node } => {
            let site = Site::of(name)?;
            node::start(&site, &Processes::in_dir(&site.dir()), site.checked(*node)?)
        }
        Verb::LoseDisk { volume, replace } => volumes::lose(&Site::of(name)?, volume, *replace),
        Verb::Env => Site::of(name).map(|site| print_environment(&site)),
    }
}

fn up(name: &str, nodes: Option<u8>, disks: Option<u8>) -> anyhow::Result<()> {
    let begun = Instant::now();
    packages::provide()?;
    let programs = programs::provide()?;
    let site = match Site::find(name)? {
        Some(site) => site,
        None => draw_up(name, nodes, disks, programs.clone())?,
    };
    let is_same = nodes.is_none_or(|nodes| nodes == site.nodes)
        && disks.is_none_or(|disks| disks == site.disks)
        && programs == site.programs;
    ensure!(
        is_same,
        "cluster `{name}` has {} nodes with {} disks each, from {}: take it down first",
        site.nodes,
        site.disks,
        site.programs.display()
    );
    let processes = Processes::in_dir(&site.dir());
    authority::ensure(&site)?;
    network::ensure(&site)?;
    cgroup::ensure(&site)?;
    ensure_sandbox_image(&site)?;
    for node in site.all_nodes() {
        node::make_dirs(&site, node)?;
    }
    control_plane::ensure(&site, &processes)?;
    volumes::ensure_all(&site)?;
    node::ensure_all(&site, &processes)?;
    wait_for("all nodes Ready", READY_WITHIN, || are_ready(&site, &processes))?;
    println!("{} nodes Ready in {:.1} s", site.nodes, begun.elapsed().as_secs_f64());
    print_environment(&site);
    Ok(())
}

fn draw_up(
    name: &str,
    nodes: Option<u8>,
    disks: Option<u8>,
    programs: PathBuf,
) -> anyhow::Result<Site> {
    let site = Site {
        name: name.to_owned(),
        slot: network::free_slot()?,
        nodes: nodes.unwrap_or(NODES),
        disks: disks.unwrap_or(DISKS),
        programs,
    };
    network::check_unused(&site)?;
    // Of one that went away without its last files.
    if site.dir().exists() {
        fs::remove_dir_all(site.dir()).context("remove what a former cluster left")?;
    }
    site.record()?;
    Ok(site)
}

fn ensure_sandbox_image(site: &Site) -> anyhow::Result<()> {
    let path = site.dir().join("pause.tar");
    if path.exists() {
        return Ok(());
    }
    let program = fs::read(site.programs.join("pause")).context("read the program pause")?;
    let image = Image { name: node::SANDBOX_IMAGE, entrypoint: "/pause", program: &program };
    let partial = path.with_extension("partial");
    fs::write(&partial, archive(&image)?)
        .and_then(|()| fs::rename(&partial, &path))
        .with_context(|| format!("write {}", path.display()))
}

fn are_ready(site: &Site, processes: &Processes) -> anyhow::Result<()> {
    for name in processes.names()? {
        processes.check(&name)?;
    }
    let lines = site.kubectl("get nodes --no-headers")?;
    let states = lines.lines().filter_map(|line| line.split_whitespace().nth(1));
    // Drained ones say `Ready,SchedulingDisabled`.
    let ready = states.filter(|state| state.split(',').any(|word| word == "Ready")).count();
    ensure!(ready == usize::from(site.nodes), "{ready} are Ready:\n{lines}");
    Ok(())
}

fn load(site: &Site, image: &Path) -> anyhow::Result<()> {
    let image = image.canonicalize().with_context(|| format!("find {}", image.display()))?;
    node::on_each(site, |node| node::load(site, node, &image))
}

fn print_environment(site: &Site) {
    println!("export KUBECONFIG={}", site.kubeconfig("admin").display());
    println!("export PATH={}:$PATH", site.programs.display());
}
