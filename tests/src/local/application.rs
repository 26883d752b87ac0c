//! Writing and reading whole blobs, as applications do through a gateway.

use bytes::Bytes;
use floe_client::{BoxError, Client, ReadCheck, ReadError, Resolution, Wish, WriteError, Written};
use floe_model::{Certificate, Claim, ClaimId, SignedClaim};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::committee::Committee;
use super::draft::NAMESPACE_UID;

/// Bytes that come in one piece of a body.
const PIECE_BYTES: usize = 100_000;

impl Committee {
    /// A wish for a blob of this name, under a new claim id.
    pub fn wish(&self, name: &str) -> Wish {
        Wish {
            namespace: "team".parse().unwrap(),
            namespace_uid: NAMESPACE_UID,
            name: name.parse().unwrap(),
            claim: ClaimId(self.draw_id()),
            created: self.now(),
            content_type: "application/octet-stream".to_owned(),
        }
    }
}

/// Writes a blob.
pub async fn write(client: &Client, wish: Wish, content: &[u8]) -> Result<Written, WriteError> {
    let pieces = content.chunks(PIECE_BYTES).map(Bytes::copy_from_slice);
    let pieces: Vec<Result<Bytes, BoxError>> = pieces.map(Ok).collect();
    client.write(wish, stream::iter(pieces)).await
}

/// Reads a whole blob.
pub async fn read(client: &Client, claim: &Claim, check: ReadCheck) -> Result<Vec<u8>, ReadError> {
    let stream = client.read(claim, 0..claim.length, check).await?;
    let pieces: Vec<Bytes> = stream.boxed().try_collect().await?;
    Ok(pieces.concat())
}

/// What a name stands for; `None` if nothing.
pub async fn resolve(client: &Client, name: &str) -> Option<(SignedClaim, Certificate)> {
    match client.resolve(NAMESPACE_UID, &name.parse().unwrap()).await.unwrap() {
        Resolution::Found(found) => Some(*found),
        Resolution::Absent { .. } => None,
    }
}
