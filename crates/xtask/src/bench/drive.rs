//! A committee under load: runs tasks and turns them into figures.

use std::collections::BTreeMap;
use std::time::Duration;

use super::figures::{Figures, percentile};
use super::load::{Load, Task, Times, Verb};
use super::noise::Noise;
use super::tell;
use super::usage;
use crate::local_committee::{Committee, Size, Stage, USUAL};

/// Objects that open connections before anything is measured.
const WARM_UP: Task =
    Task { verb: Verb::Put, clients: 8, first: u32::MAX as u64, objects: 16, bytes: 4096 };

const MIB: f64 = 1_048_576.0;
const GIB: f64 = 1024.0 * MIB;

/// A committee, fresh, and clients of it.
pub(super) struct Drive<'a> {
    /// The processes.
    pub(super) stage: &'a Stage,
    /// The nodes and the gateway.
    pub(super) committee: Committee,
    load: Load,
    noise: Noise,
}

/// What a task came to.
pub(super) struct Done {
    /// Seconds.
    pub(super) times: Times,
    /// CPU seconds by process.
    pub(super) cpu: BTreeMap<String, f64>,
    /// Bytes that the nodes' disks gained.
    pub(super) disk_bytes: u64,
    /// Bytes that went in or out.
    pub(super) bytes: u64,
}

impl<'a> Drive<'a> {
    /// Starts a committee.
    pub(super) fn start(
        stage: &'a Stage,
        binary: &std::path::Path,
        noise: &Noise,
    ) -> anyhow::Result<Self> {
        Self::start_of(USUAL, stage, binary, noise)
    }

    /// Starts a committee of this size.
    pub(super) fn start_of(
        size: Size,
        stage: &'a Stage,
        binary: &std::path::Path,
        noise: &Noise,
    ) -> anyhow::Result<Self> {
        let directory = stage.directory().join("committee");
        let committee = Committee::init_of(size, binary, directory, &[])?;
        committee.form(stage)?;
        let load = Load::on(&committee, noise.clone())?;
        load.run(WARM_UP)?;
        Ok(Self { stage, committee, load, noise: noise.clone() })
    }

    /// Ends it, and removes its data.
    pub(super) fn end(self) -> anyhow::Result<()> {
        drop(self.load);
        self.committee.end(self.stage)
    }

    /// Its clients.
    pub(super) fn load(&self) -> &Load {
        &self.load
    }

    /// The objects' content.
    pub(super) fn noise(&self) -> &Noise {
        &self.noise
    }

    /// Does a task. Processes that ended are an error.
    pub(super) fn run(&self, task: Task) -> anyhow::Result<Done> {
        let processes = self.stage.process_ids();
        let disk_before = self.disk_bytes()?;
        let before = usage::cpu_seconds(&processes)?;
        let times = self.load.run(task);
        self.stage.all_run()?;
        let times = times?;
        let cpu = usage::cpu_seconds(&processes)?
            .into_iter()
            .map(|(name, after)| {
                let used = after - before.get(&name).copied().unwrap_or_default();
                (name, used)
            })
            .collect();
        let disk_bytes = self.disk_bytes()?.saturating_sub(disk_before);
        Ok(Done { times, cpu, disk_bytes, bytes: task.objects * task.bytes })
    }

    fn disk_bytes(&self) -> anyhow::Result<u64> {
        let nodes = self.committee.first_nodes();
        nodes.map(|node| usage::disk_bytes(&self.committee.volume(&node))).sum()
    }

    /// What was written is read from disk again.
    pub(super) fn cool(&self) -> anyhow::Result<()> {
        let mut nodes = self.committee.first_nodes();
        nodes.try_for_each(|node| usage::drop_cached(&self.committee.volume(&node)))
    }

    /// Does a task and notes what clients see of it, and what it costs.
    pub(super) fn measure(
        &self,
        task: Task,
        note: &str,
        figures: &mut Figures,
    ) -> anyhow::Result<()> {
        let case = case(task, note);
        tell(&case);
        let done = self.run(task)?;
        let seconds = done.times.all.as_secs_f64();
        let millis: Vec<f64> =
            done.times.each.iter().map(|time| time.as_secs_f64() * 1000.0).collect();
        figures.add(&case, "requests", whole(task.objects) / seconds, "/s");
        figures.add(&case, "rate", whole(done.bytes) / MIB / seconds, "MiB/s");
        for percent in [50, 99] {
            if let Some(value) = percentile(millis.clone(), percent) {
                figures.add(&case, &format!("p{percent}"), value, "ms");
            }
        }
        let gib = whole(done.bytes) / GIB;
        let gateway = done.cpu_of("gateway");
        figures.add(&case, "cpu, all", done.cpu_all() / gib, "s/GiB");
        figures.add(&case, "cpu, gateway", gateway / gib, "s/GiB");
        figures.add(
            &case,
            "cpu, all, per request",
            done.cpu_all() / whole(task.objects) * 1000.0,
            "ms",
        );
        if task.verb == Verb::Put {
            figures.add(&case, "on disk", whole(done.disk_bytes) / whole(done.bytes), "bytes/byte");
        }
        Ok(())
    }
}

impl Done {
    /// CPU seconds of one process.
    pub(super) fn cpu_of(&self, name: &str) -> f64 {
        self.cpu.get(name).copied().unwrap_or_default()
    }

    /// CPU seconds of all.
    pub(super) fn cpu_all(&self) -> f64 {
        self.cpu.values().sum()
    }

    /// How fast the bytes went.
    pub(super) fn megabytes_per_second(&self) -> f64 {
        rate(self.bytes, self.times.all)
    }
}

/// Megabytes (10^6) per second.
pub(super) fn rate(bytes: u64, took: Duration) -> f64 {
    whole(bytes) / 1e6 / took.as_secs_f64()
}

/// In GiB.
pub(super) fn gibibytes(bytes: u64) -> f64 {
    whole(bytes) / GIB
}

/// In MiB.
pub(super) fn mebibytes(bytes: u64) -> f64 {
    whole(bytes) / MIB
}

/// A count as a number to divide.
#[expect(clippy::cast_precision_loss, reason = "figures have three digits")]
pub(super) fn whole(count: u64) -> f64 {
    count as f64
}

/// `put 1 MiB, 8 clients`.
pub(super) fn case(task: Task, note: &str) -> String {
    let verb = match task.verb {
        Verb::Put => "put",
        Verb::Get => "get",
    };
    let clients =
        if task.clients == 1 { "1 client".to_owned() } else { format!("{} clients", task.clients) };
    let note = if note.is_empty() { String::new() } else { format!(", {note}") };
    format!("{verb} {}, {clients}{note}", size(task.bytes))
}

/// `64 MiB`.
pub(super) fn size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = units.into_iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{bytes} bytes"), |(unit, name)| format!("{} {name}", bytes / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_name_themselves() {
        let task = Task { verb: Verb::Get, clients: 8, first: 0, objects: 2, bytes: 1 << 20 };
        assert_eq!(case(task, "cold"), "get 1 MiB, 8 clients, cold");
        assert_eq!(case(Task { clients: 1, bytes: 4096, ..task }, ""), "get 4 KiB, 1 client");
        assert_eq!(size(1 << 30), "1 GiB");
        assert_eq!(size(1001), "1001 bytes");
    }
}
