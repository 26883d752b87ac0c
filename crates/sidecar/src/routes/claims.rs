//! Certificates, releases, closings.

use std::sync::Arc;

use floe_api::messages::{
    Acknowledgement as Said, CertificateAnswer, CertifiedClaim, Closing as Answered, ReleaseAnswer,
    ReleaseState,
};
use floe_api::{ApiError, ErrorCode, Peer, Role};
use floe_env::Work;
use floe_model::{CatalogEntry, ClaimId, EpochNumber, EpochRecord, SignedRelease, Timestamp};
use floe_plan::custody::{
    self, AcknowledgeFacts, Acknowledgement, Close, CloseFacts, HeldCertificate, Keep,
    StoreCertificateFacts, StoreReleaseFacts,
};
use floe_store::{Closing, Entry, State};

use super::{Answer, ok};
use crate::facts;
use crate::node::{Epoch, Node};
use crate::refusal::refused;
use crate::running::Moment;
use crate::vouching::{self, Vouching};

/// Claim and certificate, each checked against the record it names.
pub(crate) struct Checked {
    pub(crate) certified: CertifiedClaim,
    /// The record that the certificate names.
    pub(crate) under: EpochRecord,
    /// What others say of an old claim.
    pub(crate) vouching: Vouching,
    pub(crate) epoch: Arc<Epoch>,
    pub(crate) now: Timestamp,
}

/// Checks a claim and its certificate.
pub(crate) async fn check(
    node: &Arc<Node>,
    certified: CertifiedClaim,
) -> Result<Checked, ApiError> {
    let (epoch, now) = (node.epoch()?, node.now());
    let signed_under = node.record_named(certified.claim.record).await?;
    let under = node.record_named(certified.certificate.record).await?;
    let job = move || {
        let CertifiedClaim { claim, certificate } = &certified;
        claim
            .verify(&signed_under)
            .map_err(|error| ApiError::new(ErrorCode::StatementInvalid, error))?;
        certificate
            .verify(&under, &claim.body)
            .map_err(|error| ApiError::new(ErrorCode::CertificateInvalid, error))?;
        Ok::<_, ApiError>((certified, under))
    };
    let (certified, under) = node.run(Work::Foreground, job).await??;
    let vouching = vouching::ask(node, &epoch, &certified.claim).await?;
    Ok(Checked { certified, under, vouching, epoch, now })
}

/// Whether claim and certificate are stored, as entries.
pub(crate) fn keep(state: &State, checked: &Checked) -> Result<Vec<Entry>, ApiError> {
    let CertifiedClaim { claim, certificate } = &checked.certified;
    let held = state.claim(&claim.body.claim).and_then(|known| known.certified.as_ref());
    let number = |record| state.record(record).map_or(EpochNumber(0), |it| it.record.number);
    let facts = StoreCertificateFacts {
        now: checked.now,
        accepted: &checked.epoch.record,
        claim: &claim.body,
        number: checked.under.number,
        held: held.map(|(claim, held)| HeldCertificate {
            blob: claim.body.blob,
            number: number(&held.record),
        }),
        vouchers: checked.vouching.vouchers.clone(),
    };
    let entry = || CatalogEntry::Claim(Box::new(claim.clone()), Box::new(certificate.clone()));
    Ok(match custody::store_certificate(&facts).map_err(refused)? {
        Keep::Store => vec![Entry::Catalog(entry())],
        Keep::Already => Vec::new(),
    })
}

/// Whether a certificate may enter the catalogs here: only where it counts. One whose signers were
/// replaced meanwhile may certify what nobody can read any more; stored, it would be owed for ever and
/// keep shards unfilled. What a peer's feed shows has entered them elsewhere, and is taken over.
fn enters(state: &State, checked: &Checked) -> Result<(), ApiError> {
    let CertifiedClaim { claim, certificate } = &checked.certified;
    let known = state.claim(&claim.body.claim).is_some_and(|known| known.certified.is_some());
    let accepted = &checked.epoch.record;
    if known || custody::certificate_counts(accepted, &checked.under, certificate) {
        return Ok(());
    }
    let (accepted, named) = (accepted.number, certificate.record);
    Err(refused(custody::Refusal::NeedEpoch { accepted, named }))
}

/// Answers [`floe_api::Route::PutCertificate`].
pub(super) async fn put_certificate(
    node: &Arc<Node>,
    peer: &Peer,
    claim: ClaimId,
    certified: CertifiedClaim,
) -> Answer {
    if certified.claim.body.claim != claim {
        return Err(ApiError::malformed("the path names another claim than the body"));
    }
    let (blob, length) = (certified.claim.body.blob, certified.claim.body.length);
    let checked = check(node, certified).await?;
    let (standing, by_operator) = (node.gate.standing(), peer.role == Role::Operator);
    let epoch = Arc::clone(&checked.epoch);
    let (acknowledgement, missing) = node
        .transact_in(&epoch, move |state| {
            enters(state, &checked)?;
            let mut entries = keep(state, &checked)?;
            let CertifiedClaim { claim, certificate } = &checked.certified;
            let mut closed = facts::closed(state, &claim.body);
            if closed && by_operator {
                // The one who asked for the closing found a certificate after all.
                let claim = claim.body.claim;
                entries.push(Entry::Catalog(CatalogEntry::ClosingVoid { claim }));
                closed = false;
            }
            let missing_slivers = facts::missing_slivers(state, &checked.epoch, &claim.body);
            let acknowledgement = custody::acknowledge(&AcknowledgeFacts {
                standing,
                accepted: &checked.epoch.record,
                under: &checked.under,
                claim: &claim.body,
                certificate,
                stored: true,
                release: facts::release(state, &claim.body),
                closed,
                missing_slivers,
            });
            Ok((entries, (acknowledgement, missing_slivers)))
        })
        .await?;
    // All slivers held were written before: they are durable with the certificate.
    node.sync().await?;
    if missing > 0 {
        node.repairs.want(blob, length, false);
    }
    let state = match acknowledgement {
        Acknowledgement::Refused(refusal) => return Err(refused(refusal)),
        Acknowledgement::Acknowledged => Said::Acknowledged,
        Acknowledgement::Incomplete { .. } => Said::Incomplete,
    };
    ok(&CertificateAnswer { state, missing_slivers: missing })
}

/// Checks a release's signature.
pub(crate) async fn check_release(
    node: &Arc<Node>,
    release: SignedRelease,
) -> Result<SignedRelease, ApiError> {
    let record = node.record_named(release.record).await?;
    let checked = node.run(Work::Foreground, move || release.verify(&record).map(|()| release));
    checked.await?.map_err(|error| ApiError::new(ErrorCode::StatementInvalid, error))
}

/// Whether a release is stored, as entries.
pub(crate) fn keep_release(
    state: &State,
    epoch: &Epoch,
    release: &SignedRelease,
    moment: Moment,
) -> Result<Vec<Entry>, ApiError> {
    let entry = CatalogEntry::Release(Box::new(release.clone()));
    let facts = StoreReleaseFacts {
        now: moment.now,
        retention_millis: epoch.record.policy.release_retention_millis,
        release: &release.body,
        held: state.knows(&entry),
    };
    Ok(match custody::store_release(&facts).map_err(refused)? {
        // Its window begins here and now.
        Keep::Store => vec![Entry::Ran { millis: moment.ran_millis }, Entry::Catalog(entry)],
        Keep::Already => Vec::new(),
    })
}

/// Answers [`floe_api::Route::PutRelease`].
pub(super) async fn put_release(
    node: &Arc<Node>,
    claim: ClaimId,
    release: SignedRelease,
) -> Answer {
    if release.body.claim != claim {
        return Err(ApiError::malformed("the path names another claim than the body"));
    }
    let (epoch, moment) = (node.epoch()?, node.moment());
    let release = check_release(node, release).await?;
    node.transact(move |state| Ok((keep_release(state, &epoch, &release, moment)?, ()))).await?;
    node.sync().await?;
    ok(&ReleaseAnswer { state: ReleaseState::Stored })
}

/// Answers [`floe_api::Route::Close`].
pub(super) async fn close(node: &Arc<Node>, claim: ClaimId) -> Answer {
    let standing = node.gate.standing();
    let answer = node
        .transact(move |state| {
            let known = state.claim(&claim);
            let certified = known.and_then(|known| known.certified.clone());
            let closing = known.map_or(Closing::Open, |known| known.closing);
            let facts = CloseFacts {
                standing,
                claim,
                certified: certified.is_some(),
                closed: closing == Closing::Closed,
                void: closing == Closing::Void,
            };
            let entries = match custody::close(&facts).map_err(refused)? {
                Close::Mark => vec![Entry::Catalog(CatalogEntry::Closed { claim })],
                Close::Already | Close::Certified => Vec::new(),
            };
            Ok((entries, certified))
        })
        .await?;
    node.sync().await?;
    ok(&match answer {
        None => Answered::Closed,
        Some((claim, certificate)) => Answered::Certified(Box::new(CertifiedClaim {
            claim: claim.as_ref().clone(),
            certificate: certificate.as_ref().clone(),
        })),
    })
}
