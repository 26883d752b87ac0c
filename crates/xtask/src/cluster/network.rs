//! A bridge, and a network namespace per node with a cable to it. Only the host's own addresses lie
//! on the bridge: nothing of this is reachable from elsewhere, and nodes reach nothing else.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use super::command::{done, run, said};
use super::site::Site;

/// Slots there are, each with its addresses.
const SLOTS: u8 = 16;

/// A slot whose addresses nobody has a route to, and no other cluster was given.
pub(super) fn free_slot() -> anyhow::Result<u8> {
    let routes = said(Command::new("ip").args(["-4", "route", "show", "table", "all"]))?;
    let mut taken: Vec<(Ipv4Addr, u8)> = routes.lines().filter_map(destination).collect();
    taken.extend(Site::all()?.iter().flat_map(|site| Site::routes(site.slot)));
    let slot = (0..SLOTS).find(|slot| {
        Site::routes(*slot).iter().all(|ours| taken.iter().all(|theirs| !overlap(*ours, *theirs)))
    });
    slot.context("172.30.0.0/20 and 10.42.0.0/11 are routed to something else: see `ip route`")
}

/// Where a line of `ip route` leads to, the default route left out.
fn destination(line: &str) -> Option<(Ipv4Addr, u8)> {
    let kinds = ["local", "broadcast", "unreachable", "blackhole", "prohibit"];
    let word = line.split(' ').find(|word| !kinds.contains(word))?;
    let (address, bits) = word.split_once('/').unwrap_or((word, "32"));
    Some((address.parse().ok()?, bits.parse().ok()?))
}

fn overlap(left: (Ipv4Addr, u8), right: (Ipv4Addr, u8)) -> bool {
    let bits = left.1.min(right.1).min(32);
    let cut = |address: Ipv4Addr| u64::from(u32::from(address)) >> (32 - bits);
    cut(left.0) == cut(right.0)
}

/// Refuses a name whose links exist though no cluster of that name is recorded.
pub(super) fn check_unused(site: &Site) -> anyhow::Result<()> {
    let bridge = site.bridge();
    if exists(&bridge) {
        bail!("the link {bridge} is something else's: choose another --name");
    }
    Ok(())
}

/// Makes what is missing.
pub(super) fn ensure(site: &Site) -> anyhow::Result<()> {
    let bridge = site.bridge();
    if !exists(&bridge) {
        run(&format!("ip link add {bridge} type bridge"))?;
    }
    run(&format!("ip addr replace {}/24 dev {bridge}", site.host()))?;
    run(&format!("ip link set {bridge} up"))?;
    for node in site.all_nodes() {
        if !exists(&site.cable(node)) {
            connect(site, node)?;
        }
        let (pods, address) = (site.pods_of(node), site.address(node));
        run(&format!("ip route replace {pods} via {address}"))?;
    }
    Ok(())
}

/// Gives a node its namespace and its cable.
fn connect(site: &Site, node: u8) -> anyhow::Result<()> {
    let namespace = site.namespace(node);
    let shown = namespace.display();
    fs::create_dir_all(site.node_dir(node)).context("make a node's directory")?;
    if !namespace.exists() {
        File::create(&namespace).with_context(|| format!("make {shown}"))?;
    }
    if is_mounted(&namespace)? {
        // Left from a run that was cut short.
        run(&format!("umount {shown}"))?;
    }
    run(&format!("unshare --net={shown} true"))?;
    let (cable, bridge) = (site.cable(node), site.bridge());
    // By a file and not by a name: names are kept in a directory that all on this machine share.
    run(&format!("ip link add {cable} type veth peer name eth0 netns {shown}"))?;
    run(&format!("ip link set {cable} master {bridge} up"))?;
    site.run_in(node, "ip link set lo up")?;
    site.run_in(node, &format!("ip addr add {}/24 dev eth0", site.address(node)))?;
    site.run_in(node, "ip link set eth0 up")?;
    site.run_in(node, &format!("ip route add default via {}", site.host()))?;
    site.run_in(node, "sysctl --quiet --write net.ipv4.ip_forward=1")?;
    for peer in site.all_nodes().filter(|peer| *peer != node) {
        let (pods, address) = (site.pods_of(peer), site.address(peer));
        site.run_in(node, &format!("ip route add {pods} via {address}"))?;
    }
    Ok(())
}

/// Pulls a node's cable: whoever talks to it hears nothing more, as when its power fails.
pub(super) fn unplug(site: &Site, node: u8) -> anyhow::Result<()> {
    run(&format!("ip link set {} down", site.cable(node)))
}

/// Puts it back.
pub(super) fn plug(site: &Site, node: u8) -> anyhow::Result<()> {
    run(&format!("ip link set {} up", site.cable(node)))
}

/// Takes everything away.
pub(super) fn remove(site: &Site) -> anyhow::Result<()> {
    let cables = site.all_nodes().map(|node| site.cable(node));
    for link in cables.chain([site.bridge()]) {
        if exists(&link) {
            run(&format!("ip link del {link}"))?;
        }
    }
    Ok(())
}

fn exists(link: &str) -> bool {
    done(Command::new("ip").args(["link", "show", "dev", link])).is_ok()
}

fn is_mounted(path: &Path) -> anyhow::Result<bool> {
    let mounts = fs::read_to_string("/proc/mounts").context("read /proc/mounts")?;
    let path = path.to_string_lossy();
    Ok(mounts.lines().any(|line| line.split(' ').nth(1) == Some(&*path)))
}
