//! The client: what all its pipelines share.

use std::sync::{Arc, Mutex};

use floe_api::NodeClient;
use floe_env::Env;
use floe_model::Timestamp;
use floe_model::keys::RegistrarKey;

use crate::budget::{Budget, Rooms};
use crate::committee::Committee;
use crate::health::Health;
use crate::nodes::Nodes;
use crate::observer::{NoObserver, Observer};
use crate::peers::Peers;
use crate::stock::Stocks;

/// Writes, reads, resolves and releases blobs. Clones share everything: memory bounds, connections,
/// and the knowledge which nodes are silent.
#[derive(Clone)]
pub struct Client {
    peers: Arc<Peers>,
    registrar: Option<Arc<RegistrarKey>>,
    rooms: Rooms,
    stocks: Arc<Stocks>,
}

impl Client {
    /// A client of a committee. With the gateways' registrar key it may write and release; without
    /// it, only read.
    pub fn new(
        env: Env,
        nodes: NodeClient,
        committee: Arc<Committee>,
        registrar: Option<RegistrarKey>,
        budget: Budget,
    ) -> Self {
        Self::over(env, Arc::new(nodes), committee, registrar, budget)
    }

    pub(crate) fn over(
        env: Env,
        nodes: Arc<dyn Nodes>,
        committee: Arc<Committee>,
        registrar: Option<RegistrarKey>,
        budget: Budget,
    ) -> Self {
        let peers = Peers {
            env,
            nodes,
            committee,
            health: Health::default(),
            observer: Arc::new(NoObserver),
            followed: Mutex::default(),
        };
        Self {
            peers: Arc::new(peers),
            registrar: registrar.map(Arc::new),
            rooms: Rooms::new(budget),
            stocks: Arc::new(Stocks::new(budget.idle_bytes())),
        }
    }

    /// The same client, telling `observer` about nodes that send what does not verify.
    #[must_use]
    pub fn observed_by(self, observer: Arc<dyn Observer>) -> Self {
        let peers = self.peers.rebuilt(|peers| peers.observer = observer);
        Self { peers: Arc::new(peers), ..self }
    }

    /// The committee as this client knows it.
    pub fn committee(&self) -> &Arc<Committee> {
        &self.peers.committee
    }

    /// Asks members, one after the other, for their chain of epoch records until one gives a good one:
    /// who asks nothing else would not hear of a newer record. False if none did.
    pub async fn refresh(&self) -> bool {
        let record = self.peers.committee.newest();
        for member in crate::read::in_order(&self.peers, &record) {
            if self.peers.fetch_chain(&member).await {
                return true;
            }
        }
        false
    }

    pub(crate) const fn peers(&self) -> &Arc<Peers> {
        &self.peers
    }

    pub(crate) const fn rooms(&self) -> &Rooms {
        &self.rooms
    }

    pub(crate) fn stocks(&self) -> &Stocks {
        &self.stocks
    }

    pub(crate) fn registrar(&self) -> Option<&RegistrarKey> {
        self.registrar.as_deref()
    }

    pub(crate) fn unix_now(&self) -> Timestamp {
        Timestamp(self.peers.env.clock.unix_millis())
    }
}
