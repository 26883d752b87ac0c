//! The floor of repair: copying bytes from file to file over TLS, synced.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConnection, ServerConfig, ServerConnection, StreamOwned};

use crate::bench::drive::{Drive, gibibytes, rate};
use crate::bench::load::client_config;
use crate::bench::usage;

/// Bytes that are read and written at a time.
const CHUNK_BYTES: usize = 256 << 10;
/// Bytes of a file: each is synced.
const FILE_BYTES: u64 = 64 << 20;
/// Both ends.
const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Copies that were made.
#[derive(Debug, Default)]
pub(super) struct Copied {
    bytes: u64,
    took: Duration,
    cpu_seconds: f64,
}

impl Copied {
    /// Copies so many bytes more.
    pub(super) fn go_on(&mut self, drive: &Drive<'_>, bytes: u64) -> anyhow::Result<()> {
        let directory = drive.stage.directory().join("floor");
        fs::create_dir_all(&directory).with_context(|| format!("make {}", directory.display()))?;
        let source = directory.join("source");
        let mut file = File::create(&source)?;
        for piece in drive.noise().object(0, bytes) {
            file.write_all(&piece)?;
        }
        file.sync_all()?;
        usage::drop_cached(&directory)?;
        let tls = drive.committee.directory().join("gateway").join("tls");
        let (own_before, _) = usage::own_cpu_seconds()?;
        let begin = Instant::now();
        let copied = copy(&source, &directory, &tls).context("copy over TLS")?;
        self.took += begin.elapsed();
        self.cpu_seconds += usage::own_cpu_seconds()?.0 - own_before;
        ensure!(copied == bytes, "{copied} of {bytes} bytes were copied");
        self.bytes += bytes;
        Ok(fs::remove_dir_all(&directory)?)
    }

    /// Megabytes per second.
    pub(super) fn rate(&self) -> f64 {
        rate(self.bytes, self.took)
    }

    /// CPU seconds for each GiB, both ends.
    pub(super) fn cpu_seconds_per_gib(&self) -> f64 {
        self.cpu_seconds / gibibytes(self.bytes)
    }
}

/// Copies a file into files of a directory; the bytes that arrived.
fn copy(source: &Path, directory: &Path, tls: &Path) -> anyhow::Result<u64> {
    let config = Arc::new(server_config(tls)?);
    let listener = TcpListener::bind((HERE, 0))?;
    let address = listener.local_addr()?;
    let client =
        ClientConnection::new(client_config(&tls.join("ca.pem"))?, ServerName::from(address.ip()))?;
    let stream = TcpStream::connect(address)?;
    thread::scope(|scope| {
        let sender = scope.spawn(|| send(&listener, config, source));
        let received = receive(StreamOwned::new(client, stream), directory);
        let sent = sender.join().map_err(|_| anyhow!("the sender panicked"))?;
        sent.context("send")?;
        received.context("receive")
    })
}

fn send(listener: &TcpListener, config: Arc<ServerConfig>, source: &Path) -> anyhow::Result<()> {
    let (stream, _) = listener.accept()?;
    let mut stream = StreamOwned::new(ServerConnection::new(config)?, stream);
    let mut file = File::open(source)?;
    move_bytes(&mut file, &mut stream, u64::MAX)?;
    stream.conn.send_close_notify();
    Ok(stream.flush()?)
}

fn receive(mut stream: impl Read, directory: &Path) -> anyhow::Result<u64> {
    let mut all_bytes = 0;
    for number in 0_u32.. {
        let mut file = File::create(directory.join(number.to_string()))?;
        let bytes = move_bytes(&mut stream, &mut file, FILE_BYTES)?;
        file.sync_all()?;
        all_bytes += bytes;
        if bytes < FILE_BYTES {
            break;
        }
    }
    File::open(directory)?.sync_all()?;
    Ok(all_bytes)
}

/// Moves bytes until the end, or so many.
fn move_bytes(from: &mut impl Read, to: &mut impl Write, most: u64) -> anyhow::Result<u64> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut moved = 0;
    while moved < most {
        let room = usize::try_from(most - moved).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let count = from.read(&mut chunk[..room])?;
        if count == 0 {
            break;
        }
        to.write_all(&chunk[..count])?;
        moved += count as u64;
    }
    Ok(moved)
}

/// TLS as the nodes speak it, with the gateway's certificate: it names this address.
fn server_config(tls: &Path) -> anyhow::Result<ServerConfig> {
    let certificates = CertificateDer::pem_file_iter(tls.join("cert.pem"))
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .context("read the gateway's certificate")?;
    let key = PrivateKeyDer::from_pem_file(tls.join("key.pem")).context("read its key")?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, key)?;
    Ok(config)
}
