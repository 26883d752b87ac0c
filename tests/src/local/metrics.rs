//! What a node shows on its metrics port.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The text of `/metrics`.
#[derive(Debug, Clone)]
pub struct Metrics(String);

impl Metrics {
    pub(super) async fn read(address: SocketAddr) -> std::io::Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n")
            .await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(Self(answer))
    }

    /// The sum of all series of this name whose labels contain all of these, `name="value"` each.
    pub fn sum(&self, name: &str, labels: &[&str]) -> u64 {
        let of_name =
            |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let series = self.0.lines().filter(of_name);
        let wanted = series.filter(|line| labels.iter().all(|label| line.contains(label)));
        let value = |line: &str| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
        let values: Vec<u64> = wanted.map(value).collect();
        assert!(!values.is_empty(), "no series {name} {labels:?} in {}", self.0);
        values.iter().sum()
    }
}
