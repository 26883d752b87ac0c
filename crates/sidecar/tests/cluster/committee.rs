//! A committee on loopback: real nodes, certificates, and a client.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use floe_api::messages::{Chain, ChainLink, Confirmed, Finish, FinishAnswer};
use floe_api::report::NodeReport;
use floe_api::{
    CallError, ErrorCode, NodeClient, Peer, Role, Target, TlsIdentity, TransportLimits,
};
use floe_client::{Budget, Client, Committee, ReadCheck, Wish, Written};
use floe_env::{Env, real_env};
use floe_model::keys::RegistrarKey;
use floe_model::record::{NO_PARENT, Policy, Registrar, RegistrarRole};
use floe_model::{
    Claim, ClaimId, CommitProof, CommitteeId, EpochNumber, EpochRecord, Geometry, Incarnation,
    Lineage, Member, NamespaceUid, NodeName, SignedClaim, SignedRecord, Timestamp, UploadId,
};
use floe_sidecar::{Config, Limits, Sidecar};
use futures::future::join_all;
use futures::{StreamExt as _, stream};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType, date_time_ymd,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// How long anything is waited for, and how often it is looked at.
const PATIENCE: Duration = Duration::from_mins(2);
const LOOK: Duration = Duration::from_millis(20);
const ID: CommitteeId = CommitteeId([0x33; 16]);

pub(crate) struct Node {
    pub(crate) name: NodeName,
    pub(crate) config: Config,
    pub(crate) running: Option<Sidecar>,
}

pub(crate) struct Cluster {
    pub(crate) env: Env,
    pub(crate) nodes: Vec<Node>,
    pub(crate) record: EpochRecord,
    pub(crate) calls: NodeClient,
    pub(crate) client: Client,
    pub(crate) gateway: RegistrarKey,
    /// All epoch records with their proofs.
    pub(crate) chain: Chain,
    pub(crate) operator: NodeClient,
    pub(crate) authority: Authority,
    dir: tempfile::TempDir,
}

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn leaf(&self, role: Role, name: &str, incarnation: Incarnation) -> TlsIdentity {
        let peer = Peer { committee: ID, role, name: name.to_owned(), incarnation };
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![
            SanType::URI(peer.spiffe_uri().try_into().unwrap()),
            SanType::DnsName(peer.dns_name().try_into().unwrap()),
        ];
        params.not_before = date_time_ymd(1990, 1, 1);
        params.not_after = date_time_ymd(2090, 1, 1);
        let key = KeyPair::generate().unwrap();
        TlsIdentity {
            ca_pem: self.0.pem(),
            certificate_pem: params.signed_by(&key, &self.0).unwrap().pem(),
            key_pem: key.serialize_pem(),
        }
    }
}

/// The key that every node is told.
pub(crate) fn operator_key() -> RegistrarKey {
    RegistrarKey::from_seed(&[1; 32])
}

pub(crate) fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

impl Cluster {
    /// Starts `count` nodes and makes them a committee of `shards`.
    pub(crate) async fn start(count: usize, shards: u16) -> Self {
        let env = real_env(2).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let mut nodes = Vec::new();
        for at in 0..count {
            let name: NodeName = format!("node-{at}").parse().unwrap();
            let mut config = Config {
                committee: ID,
                operator: operator_key().public(),
                node: name.clone(),
                incarnation: Incarnation(0),
                tls: authority.leaf(Role::Node, name.as_str(), Incarnation(0)).into(),
                listen: any_port(),
                metrics_listen: any_port(),
                volume_dir: dir.path().join(name.as_str()),
                limits: Limits::default(),
            };
            let running = Sidecar::start(env.clone(), config.clone()).await.unwrap();
            (config.listen, config.metrics_listen) =
                (running.addresses().api, running.addresses().metrics);
            nodes.push(Node { name, config, running: Some(running) });
        }
        for node in &nodes {
            copy(&node.config.volume_dir, &blank(&node.config));
        }
        let operator = authority.leaf(Role::Operator, "steward", Incarnation(0));
        let operator = NodeClient::new(&env, &operator, TransportLimits::default()).unwrap();
        let keys = (operator_key(), RegistrarKey::from_seed(&[2; 32]));
        let (record, chain) = genesis(&operator, &nodes, shards, &keys).await;
        let gateway = authority.leaf(Role::Gateway, "gateway", Incarnation(0));
        let calls = NodeClient::new(&env, &gateway, TransportLimits::default()).unwrap();
        let committee = Arc::new(Committee::from_chain(chain.clone()).unwrap());
        let (nodes_client, budget) = (calls.clone(), Budget::default());
        let client =
            Client::new(env.clone(), nodes_client, committee, Some(keys.1.clone()), budget);
        Self { env, nodes, record, calls, client, gateway: keys.1, chain, operator, authority, dir }
    }

    pub(crate) async fn stop(&mut self, node: usize) {
        self.nodes[node].running.take().unwrap().shutdown().await;
    }

    pub(crate) async fn restart(&mut self, node: usize) {
        let config = self.nodes[node].config.clone();
        self.nodes[node].running = Some(Sidecar::start(self.env.clone(), config).await.unwrap());
    }

    /// Starts the node's next volume, empty, under addresses of its own. The one before is stopped, and
    /// what it was started with is given back.
    pub(crate) async fn start_next_volume(&mut self, node: usize, limits: Limits) -> Config {
        self.stop(node).await;
        let old = self.nodes[node].config.clone();
        let incarnation = Incarnation(old.incarnation.0 + 1);
        let name = old.node.as_str();
        self.nodes[node].config = Config {
            incarnation,
            tls: self.authority.leaf(Role::Node, name, incarnation).into(),
            listen: any_port(),
            metrics_listen: any_port(),
            volume_dir: self.dir.path().join(format!("{name}-{incarnation}")),
            limits,
            ..old.clone()
        };
        self.restart(node).await;
        let addresses = self.nodes[node].running.as_ref().unwrap().addresses();
        let config = &mut self.nodes[node].config;
        (config.listen, config.metrics_listen) = (addresses.api, addresses.metrics);
        old
    }

    pub(crate) fn wish(&self, name: &str) -> Wish {
        Wish {
            namespace: "tests".parse().unwrap(),
            namespace_uid: NamespaceUid([5; 16]),
            name: name.parse().unwrap(),
            claim: ClaimId(self.env.random.bytes()),
            created: Timestamp(self.env.clock.unix_millis()),
            content_type: "application/octet-stream".to_owned(),
        }
    }

    pub(crate) async fn write(&self, name: &str, bytes: Vec<u8>) -> Written {
        let wish = self.wish(name);
        let parts: Vec<_> =
            bytes.chunks(100_000).map(|it| Ok(Bytes::copy_from_slice(it))).collect();
        self.client.write(wish, stream::iter(parts)).await.unwrap()
    }

    pub(crate) async fn read(&self, written: &Written) -> Vec<u8> {
        let claim = &written.claim.body;
        let parts = self.client.read(claim, 0..claim.length, ReadCheck::Strict).await.unwrap();
        let parts: Vec<Bytes> = parts.map(Result::unwrap).collect().await;
        parts.concat()
    }

    pub(crate) fn sign(&self, claim: Claim) -> SignedClaim {
        SignedClaim::sign(claim, &ID, self.record.hash(), &self.gateway)
    }

    /// A fresh claim for the same content.
    pub(crate) fn claim_like(&self, written: &Written, name: &str) -> SignedClaim {
        let now = Timestamp(self.env.clock.unix_millis());
        let claim = ClaimId(self.env.random.bytes());
        let name = name.parse().unwrap();
        self.sign(Claim { claim, name, created: now, signed: now, ..written.claim.body.clone() })
    }

    /// Asks one node to confirm a claim for content that was written before.
    pub(crate) async fn finish(
        &self,
        target: &Target,
        written: &Written,
        claim: &SignedClaim,
    ) -> Result<FinishAnswer, CallError> {
        let holder = Target::from(&self.record.members[2]);
        let manifest = self.calls.manifest(&holder, written.blob).await.unwrap().value;
        let manifest = manifest.bytes.into_unverified();
        let request = Finish { claim: claim.clone(), manifest, adopts: None, inline: None };
        let upload = UploadId(self.env.random.bytes());
        Ok(self.calls.finish(target, upload, &request).await?.value)
    }

    /// Asks until the node has healed and confirms.
    pub(crate) async fn confirmed_by(
        &self,
        target: &Target,
        written: &Written,
        claim: &SignedClaim,
    ) -> Confirmed {
        for _ in 0..600 {
            match self.finish(target, written, claim).await {
                Ok(FinishAnswer::Confirmed(confirmed)) => return confirmed,
                Ok(FinishAnswer::Rebuilding { .. }) => {}
                Err(error) => assert_eq!(error.refusal().unwrap().code, ErrorCode::NotServing),
            }
            self.env.clock.sleep(Duration::from_millis(100)).await;
        }
        panic!("{target} does not confirm");
    }

    /// Ends a node without a goodbye.
    pub(crate) async fn crash(&mut self, node: usize) {
        drop(self.nodes[node].running.take());
        // The operating system closes a dead process's files; here its tasks must be dropped first.
        let disk = Arc::clone(&self.env.disk);
        let lock = self.nodes[node].config.volume_dir.join("lock");
        self.until("a dead node lets its volume go", async || disk.lock(&lock).ok().map(drop))
            .await;
    }

    /// Looks again and again until there is something to see; fails when that takes too long, instead
    /// of holding up all tests.
    pub(crate) async fn until<T>(&self, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
        let looking = async {
            loop {
                if let Some(seen) = look().await {
                    return seen;
                }
                self.env.clock.sleep(LOOK).await;
            }
        };
        let seen = floe_env::timeout(&*self.env.clock, PATIENCE, Box::pin(looking)).await;
        match seen {
            Ok(seen) => seen,
            Err(elapsed) => panic!("{what}: {elapsed}; {:#?}", self.reports().await),
        }
    }

    /// What the nodes say that answer.
    async fn reports(&self) -> Vec<NodeReport> {
        let targets = self.record.members.iter().map(Target::from);
        let reports = join_all(targets.map(|target| async move {
            let report = self.calls.report(&target).await.ok()?;
            Some(report.value)
        }));
        reports.await.into_iter().flatten().collect()
    }

    /// Waits until a node is ready.
    pub(crate) async fn ready(&self, node: usize) {
        let look = async || self.probe(node, "/readyz").await.0.contains("200").then_some(());
        self.until("the node is ready", look).await;
    }

    pub(crate) async fn report(&self, node: usize) -> NodeReport {
        let target = Target::from(&self.record.members[node]);
        self.calls.report(&target).await.unwrap().value
    }

    /// Waits until a node holds what it owes of so many blobs.
    pub(crate) async fn healed(&self, node: usize, blobs: u64) -> NodeReport {
        let is_whole = |report: &NodeReport| {
            report.owed_blobs >= blobs && report.slivers.owed == report.slivers.held
        };
        let look = async || Some(self.report(node).await).filter(is_whole);
        self.until("the node holds what it owes", look).await
    }

    /// What a probe answers: status line and body.
    pub(crate) async fn probe(&self, node: usize, path: &str) -> (String, String) {
        let address = self.nodes[node].config.metrics_listen.to_string();
        let mut stream = self.env.net.connect(&address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    /// The sum of all series of a metric whose labels contain `label`.
    pub(crate) async fn metric(&self, node: usize, name: &str, label: &str) -> u64 {
        let (_, text) = self.probe(node, "/metrics").await;
        let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    pub(crate) fn slivers(&self, node: usize) -> Vec<PathBuf> {
        files(&self.nodes[node].config.volume_dir.join("slivers"))
    }
}

/// The volume as it was before record 0: its node has its identity, and nothing else.
pub(crate) fn blank(config: &Config) -> PathBuf {
    config.volume_dir.with_extension("blank")
}

#[expect(clippy::disallowed_methods, reason = "the test copies real files from outside")]
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(&from, &to).unwrap();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the test looks at real files from outside")]
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

async fn genesis(
    operator: &NodeClient,
    nodes: &[Node],
    shards: u16,
    (registrar, gateway): &(RegistrarKey, RegistrarKey),
) -> (EpochRecord, Chain) {
    let geometry = Geometry::of_shards(shards).unwrap();
    let places: Vec<_> = nodes.iter().map(|node| (node.name.clone(), String::new())).collect();
    let owned = floe_plan::placement::assign(geometry, &places).unwrap();
    let mut members = Vec::new();
    for (node, shards) in nodes.iter().zip(owned) {
        let address = node.config.listen.to_string();
        let target = Target { node: node.name.clone(), incarnation: Incarnation(0), address };
        let identity = operator.identity(&target).await.unwrap().value;
        members.push(Member {
            node: target.node,
            incarnation: target.incarnation,
            volume: identity.volume,
            address: target.address,
            zone: String::new(),
            host: String::new(),
            key: identity.key,
            possession: identity.possession,
            shards,
        });
    }
    let registrars = [(RegistrarRole::Operator, registrar), (RegistrarRole::Gateway, gateway)];
    let registrars = registrars.map(|(role, key)| Registrar { role, key: key.public() }).to_vec();
    let record = EpochRecord {
        committee: ID,
        number: EpochNumber(0),
        parent: NO_PARENT,
        forced: false,
        geometry,
        policy: Policy::default(),
        registrars,
        members,
        unfilled: Vec::new(),
        wholes: Vec::new(),
    };
    let signature = registrar.sign(&SignedRecord::statement(&record));
    let signed = SignedRecord { record: record.clone(), key: registrar.public(), signature };
    let mut chain = Chain { links: vec![ChainLink { record: signed, proof: None }] };
    let mut accepted = Vec::new();
    for member in &record.members {
        let target = Target::from(member);
        accepted.push(operator.push_epoch(&target, &chain).await.unwrap().value);
    }
    chain.links[0].proof =
        Some(CommitProof::gather(&record, &Lineage::of_genesis(&record), &accepted).unwrap());
    for member in &record.members {
        operator.push_epoch(&Target::from(member), &chain).await.unwrap();
    }
    (record, chain)
}
