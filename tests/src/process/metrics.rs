//! The plain port of a node or gateway.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Fetches a page of a plain port: its status and text.
pub fn page(address: SocketAddr, path: &str) -> Result<(u16, String), String> {
    let fetch = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = fetch().map_err(|error| format!("http://{address}{path}: {error}"))?;
    let parsed = answer
        .split_once("\r\n\r\n")
        .and_then(|(head, body)| Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned())));
    parsed.ok_or_else(|| format!("http://{address}{path}: no HTTP: {answer}"))
}

/// The whole-number samples of one process.
#[derive(Debug, Clone)]
pub struct Metrics(Vec<(String, u64)>);

impl Metrics {
    /// Asks a process.
    pub fn fetch(address: SocketAddr) -> Result<Self, String> {
        match page(address, "/metrics")? {
            (200, text) => Ok(Self::parse(&text)),
            (status, text) => Err(format!("http://{address}/metrics: {status}: {text}")),
        }
    }

    fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let sample = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            Some((series.to_owned(), value.parse().ok()?))
        };
        Self(lines.filter_map(sample).collect())
    }

    /// The sum of the samples of this name whose labels contain each of these texts, such as
    /// `state="owed"`.
    pub fn sum(&self, name: &str, labels: &[&str]) -> u64 {
        let is_meant = |series: &str| {
            let (its_name, its_labels) = series.split_once('{').unwrap_or((series, ""));
            its_name == name && labels.iter().all(|label| its_labels.contains(label))
        };
        self.0.iter().filter(|(series, _)| is_meant(series)).map(|(_, value)| value).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_summed_by_name_and_labels() {
        let metrics = Metrics::parse(
            "# TYPE slivers gauge\nslivers{state=\"owed\"} 4\nslivers{state=\"held\"} 3\nplain 7\nseconds 0.5\n",
        );
        assert_eq!(metrics.sum("slivers", &[]), 7);
        assert_eq!(metrics.sum("slivers", &["state=\"held\""]), 3);
        assert_eq!((metrics.sum("plain", &[]), metrics.sum("seconds", &[])), (7, 0));
    }
}
