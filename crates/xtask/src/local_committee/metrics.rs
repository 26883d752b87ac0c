//! Reading the metrics of a node or a gateway: plain HTTP, Prometheus' text format.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};

/// Longest wait for anything from a metrics port.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Fetches a page of the plain port; an error unless it is 200.
pub(crate) fn page(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)
        .with_context(|| format!("connect to http://{address}"))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).with_context(|| format!("read http://{address}{path}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no body")?;
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        bail!("http://{address}{path} answers {status}: {body}");
    }
    Ok(body.to_owned())
}

/// The whole-number samples of one process.
#[derive(Debug)]
pub(crate) struct Metrics(Vec<Sample>);

#[derive(Debug, PartialEq, Eq)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: u64,
}

impl Metrics {
    /// Asks a process.
    pub(crate) fn fetch(address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self::parse(&page(address, "/metrics")?))
    }

    fn parse(text: &str) -> Self {
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect())
    }

    /// The sum of the samples of this name that bear all these labels.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let bears = |sample: &Sample| {
            labels.iter().all(|(label, value)| {
                sample.labels.iter().any(|(has, its)| has == label && its == value)
            })
        };
        self.0
            .iter()
            .filter(|sample| sample.name == name && bears(sample))
            .map(|sample| sample.value)
            .sum()
    }

    /// The values of a label among the samples of this name that are above zero.
    pub(crate) fn above_zero(&self, name: &str, label: &str) -> Vec<&str> {
        let samples = self.0.iter().filter(|sample| sample.name == name && sample.value > 0);
        samples
            .flat_map(|sample| &sample.labels)
            .filter(|(has, _)| has == label)
            .map(|(_, value)| value.as_str())
            .collect()
    }
}

fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}')?),
        None => (series, ""),
    };
    let labels = labels.split(',').filter(|label| !label.is_empty()).map(|label| {
        let (label, value) = label.split_once('=')?;
        Some((label.to_owned(), value.trim_matches('"').to_owned()))
    });
    Some(Sample { name: name.to_owned(), labels: labels.collect::<Option<_>>()?, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_summed_by_name_and_labels() {
        let metrics = Metrics::parse(
            "# HELP slivers owed and held\n# TYPE slivers gauge\nslivers{state=\"owed\"} 4\n\
             slivers{state=\"held\"} 3\nrestored{axis=\"primary\",path=\"symbols\"} 5\n\
             restored{axis=\"secondary\",path=\"symbols\"} 6\nrestored{axis=\"primary\",path=\"decode\"} 7\n\
             failures{peer=\"node-1\"} 0\nfailures{peer=\"node-2\"} 9\nplain 11\nseconds 0.5\n",
        );
        assert_eq!(metrics.sum("slivers", &[("state", "held")]), 3);
        assert_eq!(metrics.sum("restored", &[("path", "symbols")]), 11);
        assert_eq!(metrics.sum("restored", &[]), 18);
        assert_eq!(metrics.sum("plain", &[]), 11);
        assert_eq!(metrics.sum("seconds", &[]), 0);
        assert_eq!(metrics.above_zero("failures", "peer"), ["node-2"]);
    }
}
