//! A namespace with a Committee, and the operator that looks after it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use floe_crd::{Blob, Committee, StorageNode, condition};
use floe_operator::config::{LeaseTimes, Pace};
use floe_operator::{Config, OperatorError};
use floe_tests::local::until;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource};
use serde_json::{from_value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::ledger::Ledger;
use crate::stage::Stage;

/// Storage nodes of a Committee.
pub(crate) const REPLICAS: u16 = 4;

/// A namespace with a Committee `main`.
pub(crate) struct Town {
    pub(crate) stage: &'static Stage,
    pub(crate) namespace: String,
    pub(crate) ledger: Ledger,
}

/// An operator that runs; dropping it ends it at once.
pub(crate) struct Running {
    stop: watch::Sender<bool>,
    pub(crate) task: JoinHandle<Result<(), OperatorError>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    /// Lets it end in good order.
    pub(crate) async fn stop(mut self) {
        self.stop.send_replace(true);
        (&mut self.task).await.unwrap().unwrap();
    }
}

impl Town {
    /// Makes the namespace.
    pub(crate) async fn found(stage: &'static Stage, namespace: &str) -> Self {
        let object = json!({ "metadata": { "name": namespace } });
        let namespaces = Api::<Namespace>::all(stage.client.clone());
        namespaces.create(&PostParams::default(), &from_value(object).unwrap()).await.unwrap();
        Self { stage, namespace: namespace.to_owned(), ledger: Ledger::default() }
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.stage.client.clone(), &self.namespace)
    }

    /// Starts an operator that writes through this town's ledger.
    pub(crate) fn operate(&self, identity: &str) -> Running {
        self.operate_with(identity, &self.ledger, LeaseTimes::default())
    }

    /// Starts an operator that writes through a ledger.
    pub(crate) fn operate_with(
        &self,
        identity: &str,
        ledger: &Ledger,
        lease_times: LeaseTimes,
    ) -> Running {
        let config = Config {
            image: "floe:test".to_owned(),
            namespace: self.namespace.clone(),
            watch_namespaces: [self.namespace.clone()].into(),
            identity: identity.to_owned(),
            lease: "floe-operator".to_owned(),
            lease_times,
            metrics_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            pace: Pace {
                moving: Duration::from_millis(50),
                at_rest: Duration::from_millis(500),
                first_retry: Duration::from_millis(50),
                last_retry: Duration::from_secs(1),
            },
        };
        let (stop, mut stopped) = watch::channel(false);
        let client = ledger.client(&self.stage.client);
        let until_stopped = async move {
            let _ = stopped.wait_for(|stopped| *stopped).await;
        };
        let env = self.stage.kubelet.env();
        let task = tokio::spawn(floe_operator::run(client, env, config, until_stopped));
        Running { stop, task }
    }

    /// Applies the Committee.
    pub(crate) async fn install(&self) {
        let committee = json!({
            "apiVersion": "floe.dev/v1alpha1",
            "kind": "Committee",
            "metadata": { "name": "main" },
            "spec": { "replicas": REPLICAS, "storage": { "size": "1Gi" } },
        });
        let committee = from_value(committee).unwrap();
        self.api::<Committee>().create(&PostParams::default(), &committee).await.unwrap();
    }

    /// Creates a Blob of this text.
    pub(crate) async fn write(&self, name: &str, text: &str) {
        let blob = json!({
            "apiVersion": "floe.dev/v1alpha1",
            "kind": "Blob",
            "metadata": { "name": name },
            "spec": {
                "committeeRef": { "namespace": self.namespace, "name": "main" },
                "source": { "inline": { "text": text } },
            },
        });
        self.api::<Blob>()
            .create(&PostParams::default(), &from_value(blob).unwrap())
            .await
            .unwrap();
    }

    /// Waits until a Blob is certified.
    pub(crate) async fn certified(&self, name: &str) {
        until(&self.sign(&format!("Blob {name} certified")), || async {
            let blob = self.api::<Blob>().get(name).await.map_err(|error| error.to_string())?;
            let conditions = blob.status.unwrap_or_default().conditions;
            if condition::is_true(&conditions, condition::READY) {
                Ok(())
            } else {
                Err(told(&conditions))
            }
        })
        .await;
    }

    /// Waits until the Committee serves with all its nodes, each with the volume of this incarnation,
    /// and none of them lacks anything.
    pub(crate) async fn whole(&self, incarnations: [u32; REPLICAS as usize]) {
        until(&self.sign("the Committee whole"), || self.is_whole(incarnations)).await;
    }

    async fn is_whole(&self, incarnations: [u32; REPLICAS as usize]) -> Result<(), String> {
        let committee =
            self.api::<Committee>().get("main").await.map_err(|error| error.to_string())?;
        let status = committee.status.unwrap_or_default();
        let ready = condition::get(&status.conditions, condition::READY);
        let is_true = |type_| condition::is_true(&status.conditions, type_);
        if !ready.is_some_and(|ready| {
            ready.status == "True" && ready.observed_generation == committee.metadata.generation
        }) || status.ready_replicas != REPLICAS
            || is_true(condition::DEGRADED)
            || is_true(condition::PROGRESSING)
            || is_true(condition::REPAIR_IN_PROGRESS)
        {
            return Err(told(&status.conditions));
        }
        for (index, incarnation) in incarnations.into_iter().enumerate() {
            let name = format!("main-{index}");
            let node =
                self.api::<StorageNode>().get(&name).await.map_err(|error| error.to_string())?;
            let status = node.status.unwrap_or_default();
            let slivers = status.slivers.unwrap_or_default();
            if status.incarnation != Some(incarnation) || slivers.owed != slivers.held {
                return Err(format!("{name}: {:?}, {slivers:?}", status.incarnation));
            }
        }
        Ok(())
    }

    /// Waits until no Blob of this name is left.
    pub(crate) async fn gone(&self, name: &str) {
        until(&self.sign(&format!("the end of Blob {name}")), || async {
            match self.api::<Blob>().get_opt(name).await.map_err(|error| error.to_string())? {
                None => Ok(()),
                Some(blob) => Err(told(&blob.status.unwrap_or_default().conditions)),
            }
        })
        .await;
    }

    /// Waits until the operator has written nothing for a few of its looks.
    pub(crate) async fn calm(&self) {
        let looks = Duration::from_secs(3);
        loop {
            let before = self.ledger.writes().len();
            tokio::time::sleep(looks).await;
            if self.ledger.writes().len() == before {
                return;
            }
        }
    }

    /// Deletes a Blob.
    pub(crate) async fn delete(&self, name: &str) {
        self.api::<Blob>().delete(name, &DeleteParams::default()).await.unwrap();
    }

    fn sign(&self, what: &str) -> String {
        format!("{}: {what}", self.namespace)
    }
}

fn short(condition: &condition::Condition) -> String {
    format!("{}={} {}", condition.type_, condition.status, condition.reason)
}

fn told(conditions: &[condition::Condition]) -> String {
    let each = conditions.iter().map(|it| format!("{}: {}", short(it), it.message));
    each.collect::<Vec<_>>().join("; ")
}
