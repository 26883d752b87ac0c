//! The file that goes in: the user's, or a tar of the Rust toolchain's libraries.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use indicatif::ProgressBar;
use sha2::{Digest as _, Sha256};

use super::narration::bytes_bar;

/// The least a file may have: in a smaller one a single liar might never be asked.
const SMALLEST_BYTES: u64 = 64 << 20;
/// Where the tar is cut.
const TAR_BYTES: u64 = 256 << 20;

/// A file and what must come back.
#[derive(Debug)]
pub(super) struct SourceFile {
    /// Where it is.
    pub(super) path: PathBuf,
    /// What it is, for people.
    pub(super) what: String,
    /// Its length.
    pub(super) bytes: u64,
    /// Its SHA-256.
    pub(super) sha256: [u8; 32],
}

impl SourceFile {
    /// A file of the user's.
    pub(super) fn given(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
        let bytes = file.metadata()?.len();
        if bytes < SMALLEST_BYTES {
            bail!(
                "{} has {bytes} bytes: the demo wants a file of at least {} MiB",
                path.display(),
                SMALLEST_BYTES >> 20
            );
        }
        let bar = bytes_bar("reading the file", bytes);
        let (bytes, sha256) = digest(file, &bar)?;
        bar.finish_and_clear();
        Ok(Self { path: path.to_owned(), what: path.display().to_string(), bytes, sha256 })
    }

    /// A tar of the Rust toolchain's `lib` folder, cut, written to `path`.
    pub(super) fn toolchain(path: PathBuf) -> anyhow::Result<Self> {
        let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let answer = Command::new(compiler).args(["--print", "sysroot"]).output();
        let answer = answer.context("ask rustc for its sysroot")?;
        let sysroot = String::from_utf8(answer.stdout).context("the sysroot is no UTF-8")?;
        let lib = Path::new(sysroot.trim()).join("lib");
        let file = File::create(&path).with_context(|| format!("write {}", path.display()))?;
        let bar = bytes_bar("making a tar of the Rust toolchain", TAR_BYTES);
        let mut cut = Cut { file, left: TAR_BYTES, digest: Sha256::new(), bar: bar.clone() };
        let mut tar = tar::Builder::new(&mut cut);
        tar.follow_symlinks(false);
        let packed = tar.append_dir_all("lib", &lib).and_then(|()| tar.finish());
        drop(tar);
        if cut.left > 0 {
            packed.with_context(|| format!("pack {}", lib.display()))?;
        }
        bar.finish_and_clear();
        let bytes = TAR_BYTES - cut.left;
        if bytes < SMALLEST_BYTES {
            bail!("{} packs to {bytes} bytes only: give a file with --file", lib.display());
        }
        let what = format!("a tar of {}", lib.display());
        Ok(Self { path, what, bytes, sha256: cut.digest.finalize().into() })
    }
}

/// Length and SHA-256 of what a reader gives.
pub(super) fn digest(mut from: impl Read, bar: &ProgressBar) -> anyhow::Result<(u64, [u8; 32])> {
    let mut buffer = vec![0; 1 << 20];
    let mut digest = Sha256::new();
    let mut bytes = 0;
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok((bytes, digest.finalize().into())),
            count => {
                digest.update(&buffer[..count]);
                bytes += count as u64;
                bar.inc(count as u64);
            }
        }
    }
}

/// A file that takes so many bytes and no more.
struct Cut {
    file: File,
    left: u64,
    digest: Sha256,
    bar: ProgressBar,
}

impl Write for Cut {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        if most == 0 && !bytes.is_empty() {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the tar is long enough"));
        }
        let count = self.file.write(&bytes[..most])?;
        self.digest.update(&bytes[..count]);
        self.left -= count as u64;
        self.bar.inc(count as u64);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
