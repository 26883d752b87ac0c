//! The whole of it against nodes that keep what they accept, over real TLS on loopback.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use floe_api::messages::{Chain, Decode, Encode};
use floe_api::report::{IdentityReport, Serving, ServingState};
use floe_api::server::{Limits, Security, serve};
use floe_api::{Call, NodeClient, Role, TransportLimits, body};
use floe_env::{Env, Task, real_env};
use floe_model::keys::NodeKey;
use floe_model::record::possession_statement;
use floe_model::{Lineage, VolumeId};
use floe_plan::epoch::{Accept, Identity, accept};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;

use super::*;
use crate::record_log::FileRecordLog;
use crate::trust::Trust;

/// A storage node that knows only its identity and its chain.
struct FakeNode {
    identity: Identity,
    key: NodeKey,
    chain: Mutex<Chain>,
}

impl FakeNode {
    fn new(trust: &Trust, node: &str) -> Self {
        let (committee, operator) = (trust.committee(), trust.operator_key().public());
        let key = node_key(node);
        let volume = VolumeId([node.as_bytes()[0]; 16]);
        let (node, incarnation) = (name(node), Incarnation(0));
        let identity =
            Identity { committee, node, incarnation, volume, key: key.public(), operator };
        Self { identity, key, chain: Mutex::default() }
    }

    fn report(&self) -> IdentityReport {
        let Identity { committee, node, incarnation, volume, key, .. } = self.identity.clone();
        let statement = possession_statement(&committee, &node, incarnation, &volume, &key);
        let possession = self.key.prove_possession(&statement);
        let chain = self.chain.lock().unwrap();
        let genesis = chain.links.first().map(|link| link.record.record.hash());
        let serving = Serving { state: ServingState::Joining, reason: String::new() };
        IdentityReport { committee, node, incarnation, volume, key, possession, genesis, serving }
    }

    fn push(&self, offered: Chain) -> Acceptance {
        let mut chain = self.chain.lock().unwrap();
        let accepted = chain.links.first().map(|link| link.record.record.clone());
        let link = &offered.links[0];
        let verdict = accept(accepted.as_ref(), &self.identity, &link.record).unwrap();
        if let Some(proof) = &link.proof {
            let record = &link.record.record;
            proof.verify(record, &Lineage::of_genesis(record)).unwrap();
        }
        let acceptance = Acceptance::sign(
            &link.record.record,
            self.identity.node.clone(),
            self.identity.incarnation,
            &self.key,
        );
        if verdict == Accept::New || link.proof.is_some() {
            *chain = offered;
        }
        acceptance
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Bytes> {
        let uri = request.uri().clone();
        match Call::parse(request.method(), uri.path(), uri.query()).unwrap() {
            Call::Identity => self.report().to_response(StatusCode::OK),
            Call::Epoch => self.chain.lock().unwrap().to_response(StatusCode::OK),
            Call::PushEpoch => {
                let body = body::read_capped(request.into_body(), 1 << 20).await.unwrap();
                self.push(Chain::decode(&body).unwrap()).to_response(StatusCode::OK)
            }
            other => panic!("{other:?}"),
        }
    }
}

struct World {
    env: Env,
    trust: Trust,
    client: NodeClient,
    config: GenesisConfig,
    nodes: BTreeMap<&'static str, (Arc<FakeNode>, Task)>,
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

impl World {
    async fn new(dir: &Path) -> Self {
        let env = real_env(1).unwrap();
        let trust =
            Trust::create(&*env.disk, &*env.clock, &*env.random, &dir.join("trust")).unwrap();
        let leaf = trust.leaf(&*env.clock, Role::Operator, "steward", Incarnation(0), &[]);
        let client = NodeClient::new(&env, &leaf.unwrap(), TransportLimits::default()).unwrap();
        let mut world = Self { env, trust, client, config: config(), nodes: BTreeMap::new() };
        for node in NAMES {
            world.start(node).await;
        }
        world
    }

    async fn start(&mut self, node: &'static str) {
        let fake = Arc::new(FakeNode::new(&self.trust, node));
        let leaf = self.trust.leaf(&*self.env.clock, Role::Node, node, Incarnation(0), &[]);
        let acceptor = leaf.unwrap().acceptor(Arc::clone(&self.env.clock)).unwrap();
        let listener = self.env.net.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_address().unwrap().to_string();
        let known = self.config.nodes.iter_mut().find(|known| known.node == name(node));
        known.unwrap().address = address;
        let answering = Arc::clone(&fake);
        let service = tower::service_fn(move |request| {
            let node = Arc::clone(&answering);
            Box::pin(async move { Ok::<_, Infallible>(node.answer(request).await.map(Full::new)) })
        });
        let serving = serve(
            self.env.clone(),
            listener,
            Security::Tls(acceptor),
            service,
            Limits::default(),
            std::future::pending(),
        );
        let task = self.env.spawn.spawn("fake node", Box::pin(serving));
        self.nodes.insert(node, (fake, task));
    }

    async fn stop(&mut self, node: &str) {
        let (_, mut task) = self.nodes.remove(node).unwrap();
        task.abort();
        task.join().await.unwrap_err();
    }

    async fn genesis(&self, log: &Path) -> Result<Genesis, GenesisError> {
        let log = FileRecordLog::new(self.env.clone(), log.to_owned());
        genesis(&self.env, &self.client, &log, &Keys::from(&self.trust), &self.config).await
    }
}

#[tokio::test]
async fn a_committee_begins_once() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("records");
    let mut world = World::new(dir.path()).await;
    let begun = world.genesis(&log).await.unwrap();
    assert_eq!(
        begun.proof.verify(&begun.record.record, &Lineage::of_genesis(&begun.record.record)),
        Ok(())
    );
    assert_eq!(begun.untold, BTreeMap::new());
    for (node, (fake, _)) in &world.nodes {
        let chain = fake.chain.lock().unwrap().clone();
        assert_eq!(chain.links[0].record, begun.record, "{node}");
        assert!(chain.links[0].proof.is_some(), "{node} was told of the commit");
    }
    // Again: the same beginning; and with an empty log it is adopted, and kept.
    assert_eq!(world.genesis(&log).await.unwrap().record, begun.record);
    let lost = dir.path().join("lost");
    assert_eq!(world.genesis(&lost).await.unwrap().record, begun.record);
    let kept = FileRecordLog::new(world.env.clone(), lost).read_all().await.unwrap();
    assert_eq!(kept, std::slice::from_ref(&begun.record));
    // f away: still committed anew. More than f away: the proof is known by those that are left.
    world.stop("a").await;
    let again = world.genesis(&log).await.unwrap();
    assert_eq!(again.record, begun.record);
    assert_eq!(again.untold.into_keys().collect::<Vec<_>>(), [name("a")]);
    world.stop("b").await;
    let again = world.genesis(&log).await.unwrap();
    assert_eq!(
        again.proof.verify(&begun.record.record, &Lineage::of_genesis(&begun.record.record)),
        Ok(())
    );
    let untold: BTreeSet<NodeName> = again.untold.into_keys().collect();
    assert_eq!(untold, BTreeSet::from([name("a"), name("b")]));
}

#[tokio::test]
async fn nobody_is_left_out_and_nothing_is_committed_by_few() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("records");
    let mut world = World::new(dir.path()).await;
    world.stop("c").await;
    match world.genesis(&log).await {
        Err(GenesisError::Waiting(missing)) => {
            assert_eq!(missing.into_keys().collect::<Vec<_>>(), [name("c")]);
        }
        other => panic!("{other:?}"),
    }
    let records = FileRecordLog::new(world.env.clone(), log.clone());
    assert_eq!(records.read_all().await.unwrap(), [], "nothing was proposed");
    // Killed right after the record was created: nobody has heard of it, two nodes are away.
    world.start("c").await;
    let observed = observe(&world.client, &world.config).await;
    let keys = Keys::from(&world.trust);
    let Ok(Decision::Propose(record)) = decide(&keys, &world.config, &observed, None) else {
        panic!("no proposal");
    };
    let created = signed(*record, &keys.operator);
    records.create(&created).await.unwrap();
    world.stop("c").await;
    world.stop("d").await;
    match world.genesis(&log).await {
        Err(GenesisError::TooFew { have: 2, need: 3, refused }) => {
            assert_eq!(refused.into_keys().collect::<Vec<_>>(), [name("c"), name("d")]);
        }
        other => panic!("{other:?}"),
    }
    world.start("d").await;
    let begun = world.genesis(&log).await.unwrap();
    assert_eq!(begun.record, created);
}
