//! An OCI archive of one static binary. Equal programs give equal bytes.

use anyhow::Context;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, Header};

/// Not root, and nobody that a distribution knows.
const USER: &str = "65532:65532";

/// What goes in.
#[derive(Debug)]
pub(crate) struct Image<'a> {
    /// With its tag: `localhost/floe:dev`.
    pub(crate) name: &'a str,
    /// The binary's path in the image, with which it is started.
    pub(crate) entrypoint: &'a str,
    /// The binary.
    pub(crate) program: &'a [u8],
}

/// One file of an archive.
struct Entry {
    path: String,
    bytes: Vec<u8>,
    mode: u32,
}

/// The archive's bytes.
pub(crate) fn archive(image: &Image<'_>) -> anyhow::Result<Vec<u8>> {
    let program = Entry {
        path: image.entrypoint.trim_start_matches('/').to_owned(),
        bytes: image.program.to_vec(),
        mode: 0o755,
    };
    let layer = tarball(&[program])?;
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": [image.entrypoint], "User": USER, "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
    });
    let config = config.to_string().into_bytes();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
    });
    let manifest = manifest.to_string().into_bytes();
    let (_, tag) = image.name.rsplit_once(':').context("an image's name ends with its tag")?;
    let mut described = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
    described["annotations"] = json!({
        // The first is what containerd calls it, the second what the specification knows.
        "io.containerd.image.name": image.name,
        "org.opencontainers.image.ref.name": tag,
    });
    let index = json!({"schemaVersion": 2, "manifests": [described]});
    let mut entries = vec![
        file("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        file("index.json".to_owned(), index.to_string().into_bytes()),
    ];
    for blob in [config, manifest, layer] {
        entries.push(file(format!("blobs/sha256/{}", hex::encode(Sha256::digest(&blob))), blob));
    }
    tarball(&entries)
}

fn file(path: String, bytes: Vec<u8>) -> Entry {
    Entry { path, bytes, mode: 0o644 }
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()})
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Without times and owners, which would differ from run to run.
fn tarball(entries: &[Entry]) -> anyhow::Result<Vec<u8>> {
    let mut builder = Builder::new(Vec::new());
    for entry in entries {
        let mut header = Header::new_ustar();
        header.set_size(entry.bytes.len() as u64);
        header.set_mode(entry.mode);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        builder.append_data(&mut header, &entry.path, entry.bytes.as_slice())?;
    }
    builder.into_inner().context("close an archive")
}
