//! The log of epoch records in Kubernetes: one ControllerRevision each, created once. The API server
//! keeps what is in them, and takes no name twice.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use floe_crd::{labels, names};
use floe_env::BoxFuture;
use floe_model::{Layout as _, SignedRecord};
use floe_steward::{LogError, RecordLog};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube::api::{Api, ListParams, PostParams};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};

/// Names asked for at once.
const PAGE: u32 = 500;
/// Records fetched side by side.
const SIDE_BY_SIDE: usize = 8;
/// The key of a record in its revision's data.
const RECORD: &str = "record";

/// The epoch records of a Committee.
pub struct RevisionLog {
    revisions: Api<ControllerRevision>,
    namespace: String,
    committee: String,
    /// What was read once: it never changes.
    read: Mutex<BTreeMap<String, SignedRecord>>,
}

impl RevisionLog {
    /// The log of a Committee, be there records or not.
    pub fn new(client: Client, namespace: &str, committee: &str) -> Self {
        Self {
            revisions: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            committee: committee.to_owned(),
            read: Mutex::default(),
        }
    }

    /// Whether the log holds anything.
    pub async fn is_empty(&self) -> Result<bool, LogError> {
        Ok(self.names().await?.is_empty())
    }

    async fn create_revision(&self, record: &SignedRecord) -> Result<(), LogError> {
        let revision = revision(&self.namespace, &self.committee, record);
        let params = PostParams {
            field_manager: Some(labels::COMMITTEE_MANAGER.to_owned()),
            ..PostParams::default()
        };
        match self.revisions.create(&params, &revision).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                Err(LogError::Exists(record.record.number))
            }
            Err(error) => Err(unreachable("creating", &revision.name_any(), error)),
        }
    }

    async fn read_revisions(&self) -> Result<Vec<SignedRecord>, LogError> {
        let names = self.names().await?;
        let known = |name: &String| self.lock().contains_key(name);
        let unknown: Vec<String> = names.iter().filter(|name| !known(name)).cloned().collect();
        let fetched = stream::iter(unknown).map(|name| self.fetch(name));
        let fetched: Vec<_> = fetched.buffered(SIDE_BY_SIDE).try_collect().await?;
        let mut read = self.lock();
        read.extend(fetched);
        let mut records: Vec<SignedRecord> =
            names.iter().filter_map(|name| read.get(name)).cloned().collect();
        records.sort_by_key(|signed| signed.record.number);
        Ok(records)
    }

    async fn fetch(&self, name: String) -> Result<(String, SignedRecord), LogError> {
        let revision = self.revisions.get(&name).await;
        let revision = revision.map_err(|error| unreachable("reading", &name, error))?;
        match parse(&self.committee, &revision) {
            Ok(record) => Ok((name, record)),
            Err(reason) => {
                let path = format!("ControllerRevision {}/{name}", self.namespace);
                Err(LogError::Damaged { path: PathBuf::from(path), reason })
            }
        }
    }

    /// The names of all records.
    async fn names(&self) -> Result<Vec<String>, LogError> {
        let mut names = Vec::new();
        // StatefulSets keep revisions of their own, with their pods' labels.
        let selector = format!("{}={},!{}", labels::COMMITTEE, self.committee, labels::COMPONENT);
        let mut params = ListParams::default().labels(&selector).limit(PAGE);
        loop {
            let page = self.revisions.list_metadata(&params).await;
            let page = page.map_err(|error| unreachable("listing", &self.committee, error))?;
            names.extend(page.items.iter().map(kube::ResourceExt::name_any));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(names),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, SignedRecord>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RecordLog for RevisionLog {
    fn create<'a>(&'a self, record: &'a SignedRecord) -> BoxFuture<'a, Result<(), LogError>> {
        Box::pin(self.create_revision(record))
    }

    fn read_all(&self) -> BoxFuture<'_, Result<Vec<SignedRecord>, LogError>> {
        Box::pin(self.read_revisions())
    }
}

/// Without an owner: it stays when the Committee goes.
fn revision(namespace: &str, committee: &str, record: &SignedRecord) -> ControllerRevision {
    let number = record.record.number;
    ControllerRevision {
        metadata: ObjectMeta {
            name: Some(names::revision(committee, number)),
            namespace: Some(namespace.to_owned()),
            labels: Some(labels::of_committee(committee)),
            ..ObjectMeta::default()
        },
        data: RawExtension(json!({ RECORD: STANDARD.encode(record.to_bytes()) })),
        revision: Some(i64::try_from(number.0).unwrap_or(i64::MAX)),
    }
}

fn parse(committee: &str, revision: &ControllerRevision) -> Result<SignedRecord, String> {
    let text = revision.data.0.get(RECORD).and_then(Value::as_str);
    let text = text.ok_or("its data has no record")?;
    let bytes = STANDARD.decode(text).map_err(|error| format!("its record: {error}"))?;
    let record = SignedRecord::from_bytes(&bytes).map_err(|error| error.to_string())?;
    let number = record.record.number;
    if revision.name_any() != names::revision(committee, number) {
        return Err(format!("it holds epoch record {number}"));
    }
    Ok(record)
}

fn unreachable(doing: &str, name: &str, error: kube::Error) -> LogError {
    let reason = match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    };
    LogError::Unreachable(format!("{doing} ControllerRevision {name}: {reason}"))
}
