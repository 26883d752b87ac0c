//! `cargo xtask demo`: a committee of real processes tells in five acts what Floe is for.

mod casting;
mod deletion;
mod liar;
mod lost_disk;
mod narration;
mod source_file;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::Args;

use self::casting::{Parts, cast};
use self::lost_disk::Rebuilt;
use self::narration::{Checks, act, count_bar, decimal, megabytes, rate, seconds, step, table};
use self::source_file::{SourceFile, digest};
use crate::artefact::artefact;
use crate::local_committee::{Committee, FAULTY, NODES, SHARDS, Stage, tail};
use crate::workspace::Workspace;

/// The blob's name.
const BLOB: &str = "demo/file";
/// Without progress for so long, healing has failed.
const STALLED_AFTER: Duration = Duration::from_mins(2);
/// What may be read for a byte that is restored, in thousandths.
const MOST_READ_PER_RESTORED: u128 = 1050;

/// How long released content can be brought back here.
const WINDOW: Duration = Duration::from_secs(15);

/// What to show.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The file that goes in, 64 MiB or more [default: a tar of the Rust toolchain]
    #[arg(long)]
    file: Option<PathBuf>,
    /// Leave everything running at the end, and say how to go on
    #[arg(long)]
    keep: bool,
}

/// What the table at the end is made of.
#[derive(Debug, Default)]
struct Figures {
    put: Duration,
    heal: Duration,
    get: Duration,
    stored_bytes: u64,
    owed_slivers: u64,
    restored_slivers: u64,
    restored_bytes: u64,
    read_bytes: u64,
    overhead_bytes: u64,
    lies_seen: u64,
}

/// The demo while it runs.
struct Show {
    stage: Stage,
    committee: Committee,
    parts: Parts,
    file: SourceFile,
    checks: Checks,
    figures: Figures,
    rebuilt: Rebuilt,
}

/// Tells the story; an error when a check failed.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> anyhow::Result<()> {
    let begin = Instant::now();
    println!("Building the release binary floe");
    let binary = artefact(workspace)?;
    step(&format!("built ({})", seconds(begin.elapsed())));
    let directory = workspace.target.join(format!("floe-demo-{}", std::process::id()));
    let stage = Stage::set(directory, options.keep)?;
    let file = match &options.file {
        Some(file) => SourceFile::given(file)?,
        None => SourceFile::toolchain(stage.directory().join("toolchain.tar"))?,
    };
    let committee = start(&stage, &binary)?;
    let parts = cast(&committee.shards()?, FAULTY).context("no parts for these nodes")?;
    let (checks, figures, rebuilt) = Default::default();
    let mut show = Show { stage, committee, parts, file, checks, figures, rebuilt };
    show.write_while_one_is_away()?;
    show.heal()?;
    show.read_among_the_lost()?;
    show.lose_a_disk()?;
    if !show.stage.keeps() {
        show.delete()?;
    }
    let mut rows = rows(&show.file, &show.figures);
    rows.extend(show.rebuilt.rows());
    print!("\n{}", table(&rows));
    show.close()
}

fn start(stage: &Stage, binary: &Path) -> anyhow::Result<Committee> {
    let title = format!("A committee of {NODES} storage nodes, n = {SHARDS} shards, f = {FAULTY}");
    act(&title);
    let bar = count_bar("starting", 1);
    bar.enable_steady_tick(Duration::from_millis(100));
    let begin = Instant::now();
    let window = &format!("--undelete-window={}s", WINDOW.as_secs());
    let committee = Committee::init(binary, stage.directory().join("committee"), &[window])?;
    committee.form(stage)?;
    bar.finish_and_clear();
    let took = seconds(begin.elapsed());
    step(&format!("{NODES} nodes and a gateway run, record 0 is committed ({took})"));
    Ok(committee)
}

impl Show {
    fn write_while_one_is_away(&mut self) -> anyhow::Result<()> {
        let away = &self.parts.away;
        act("Act 1: a file goes in while a node is down");
        step(&format!("{}, {}", self.file.what, megabytes(self.file.bytes)));
        self.stage.kill(away)?;
        step(&format!("{away} is killed"));
        let mut put = self.committee.command(&["put", BLOB]);
        put.arg(&self.file.path).stdout(Stdio::null());
        let begin = Instant::now();
        let status = self.stage.spawn("put", put).and_then(|_| self.stage.wait("put"))?;
        self.figures.put = begin.elapsed();
        self.stage.all_run()?;
        let took = seconds(self.figures.put);
        self.checks
            .check(status.success(), &format!("the write is certified without {away} ({took})"));
        ensure!(status.success(), "floe put failed ({status}), there is nothing more to show");
        Ok(())
    }

    fn heal(&mut self) -> anyhow::Result<()> {
        let away = self.parts.away.clone();
        act("Act 2: the node comes back and heals by itself");
        let sent_before = self.bytes_sent()?;
        let begin = Instant::now();
        self.committee.start_node(&self.stage, &away)?;
        self.wait_until_whole(&away)?;
        self.figures.heal = begin.elapsed();
        let from_symbols = self.read_figures()?;
        let Figures { owed_slivers: owed, restored_slivers: restored, .. } = self.figures;
        let took = seconds(self.figures.heal);
        let sent = self.bytes_sent()?;
        let checks = &mut self.checks;
        checks.check(
            restored == owed,
            &format!("{away} missed and restored all {owed} slivers it owes ({took})"),
        );
        checks.check(
            from_symbols == restored,
            &format!("{from_symbols} of {restored} were rebuilt from symbols of its peers"),
        );
        let read = u128::from(self.figures.read_bytes) * 1000;
        checks.check(
            read > 0 && read <= u128::from(self.figures.restored_bytes) * MOST_READ_PER_RESTORED,
            &format!("{} bytes read per byte restored", ratio(&self.figures)),
        );
        checks.check(sent == sent_before, "nobody sent the file again");
        Ok(())
    }

    /// Bytes that applications sent to the gateway so far.
    fn bytes_sent(&self) -> anyhow::Result<u64> {
        Ok(self.committee.gateway_metrics()?.sum("floe_gateway_received_bytes_total", &[]))
    }

    /// Waits until a node holds what it owes.
    fn wait_until_whole(&self, node: &str) -> anyhow::Result<()> {
        const SLIVERS: &str = "floe_node_slivers";
        let bar = count_bar(&format!("{node} heals"), 1);
        let mut last = (0, Instant::now());
        loop {
            self.stage.all_run()?;
            if let Ok(metrics) = self.committee.metrics(node) {
                let owed = metrics.sum(SLIVERS, &[("state", "owed")]);
                let held = metrics.sum(SLIVERS, &[("state", "held")]);
                bar.set_length(owed.max(1));
                bar.set_position(held);
                if owed > 0 && held == owed {
                    bar.finish_and_clear();
                    return Ok(());
                }
                if held != last.0 {
                    last = (held, Instant::now());
                }
            }
            if last.1.elapsed() > STALLED_AFTER {
                let (held, waited) = (last.0, STALLED_AFTER.as_secs());
                let log = tail(&self.stage.log(node));
                bail!("{node} holds {held} slivers, no more in {waited} s; its log ends:\n{log}");
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Reads what repair and storing came to; slivers that were rebuilt from symbols.
    fn read_figures(&mut self) -> anyhow::Result<u64> {
        const RESTORED: &str = "floe_node_repair_slivers_total";
        let metrics = self.committee.metrics(&self.parts.away)?;
        let figures = &mut self.figures;
        figures.owed_slivers = metrics.sum("floe_node_slivers", &[("state", "owed")]);
        figures.restored_slivers = metrics.sum(RESTORED, &[("result", "ok")]);
        figures.restored_bytes = metrics.sum("floe_node_repair_bytes_restored_total", &[]);
        figures.read_bytes = metrics.sum("floe_node_repair_bytes_read_total", &[]);
        figures.overhead_bytes = metrics.sum("floe_node_repair_overhead_bytes_total", &[]);
        figures.stored_bytes = 0;
        for node in Committee::nodes() {
            figures.stored_bytes +=
                self.committee.metrics(&node)?.sum("floe_node_stored_bytes", &[]);
        }
        Ok(metrics.sum(RESTORED, &[("path", "symbols"), ("result", "ok")]))
    }

    fn read_among_the_lost(&mut self) -> anyhow::Result<()> {
        let Parts { dead, liar, .. } = &self.parts;
        act("Act 3: nodes are dead, one lies, and the file comes back");
        for node in dead {
            self.stage.kill(node)?;
        }
        step(&format!("{} are killed", dead.join(" and ")));
        let altered = liar::alter_slivers(&self.committee.volume(liar))?;
        step(&format!("{liar} lies: {altered} slivers altered, their checksums made right"));
        let mut get = self.committee.command(&["get", BLOB, "-"]);
        get.stdout(Stdio::piped());
        let begin = Instant::now();
        let output = self.stage.spawn("get", get)?.context("floe get has no output")?;
        // The bar on the terminal is the one of floe itself.
        let (bytes, sha256) = digest(output, &indicatif::ProgressBar::hidden())?;
        let status = self.stage.wait("get")?;
        self.figures.get = begin.elapsed();
        self.stage.all_run()?;
        let took = seconds(self.figures.get);
        let whole = status.success() && bytes == self.file.bytes;
        let (got, want) = (megabytes(bytes), megabytes(self.file.bytes));
        self.checks.check(whole, &format!("{got} of {want} read ({took})"));
        let start = hex::encode(&self.file.sha256[..8]);
        self.checks.check(sha256 == self.file.sha256, &format!("SHA-256 agrees: {start}…"));
        let metrics = self.committee.gateway_metrics()?;
        let failures = "floe_gateway_verification_failures_total";
        self.figures.lies_seen = metrics.sum(failures, &[("peer", liar)]);
        let named = metrics.above_zero(failures, "peer");
        let claim = match named[..] {
            [] => format!("nobody is named; it should be {liar}"),
            _ => format!("the liar is named: {}", named.join(", ")),
        };
        self.checks.check(named == [liar.as_str()], &claim);
        Ok(())
    }

    fn close(self) -> anyhow::Result<()> {
        let Self { stage, committee, checks, .. } = self;
        if stage.keeps() {
            println!("\n{}", how_to_go_on(&stage, &committee)?);
            stage.leave();
        } else {
            drop(stage);
        }
        let failed = checks.failed();
        if !failed.is_empty() {
            bail!("{} checks failed: {}", failed.len(), failed.join("; "));
        }
        println!("\nAll checks hold.");
        Ok(())
    }
}

fn ratio(figures: &Figures) -> String {
    decimal(u128::from(figures.read_bytes), u128::from(figures.restored_bytes), 3)
}

fn rows(file: &SourceFile, figures: &Figures) -> Vec<[String; 3]> {
    let overhead = decimal(u128::from(figures.stored_bytes), u128::from(file.bytes), 2);
    let row = |what: &str, value: String, remark: String| [what.to_owned(), value, remark];
    vec![
        row("file", megabytes(file.bytes), String::new()),
        row(
            "stored on the nodes",
            megabytes(figures.stored_bytes),
            format!("{overhead} × the file"),
        ),
        row("slivers restored", figures.restored_slivers.to_string(), String::new()),
        row("bytes restored", megabytes(figures.restored_bytes), String::new()),
        row(
            "bytes read from peers",
            megabytes(figures.read_bytes),
            format!("{} per byte restored", ratio(figures)),
        ),
        row("and headers, metadata", megabytes(figures.overhead_bytes), String::new()),
        row("lies seen through", figures.lies_seen.to_string(), String::new()),
        row("put, one node down", seconds(figures.put), rate(file.bytes, figures.put)),
        row(
            "heal, start included",
            seconds(figures.heal),
            rate(figures.restored_bytes, figures.heal),
        ),
        row("get, nodes dead and lying", seconds(figures.get), rate(file.bytes, figures.get)),
    ]
}

fn how_to_go_on(stage: &Stage, committee: &Committee) -> anyhow::Result<String> {
    let floe = committee.binary().display();
    let ids: Vec<String> = stage.process_ids().values().map(ToString::to_string).collect();
    let mut lines = vec![
        "Everything goes on. To play:".to_owned(),
        format!("  . {}", committee.client_env().display()),
        format!("  {floe} status"),
        format!("  {floe} committee status --dir {}", committee.directory().display()),
        format!("  {floe} get {BLOB} copy"),
        format!(
            "  gateway   https://{}, metrics http://{}/metrics",
            committee.listen(),
            committee.gateway_metrics_address()
        ),
    ];
    for node in Committee::nodes() {
        lines.push(format!(
            "  {node}    metrics http://{}/metrics",
            committee.metrics_address(&node)?
        ));
    }
    lines.push(format!(
        "To end it:\n  kill {} && rm -r {}",
        ids.join(" "),
        stage.directory().display()
    ));
    Ok(lines.join("\n"))
}
