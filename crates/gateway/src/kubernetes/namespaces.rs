//! Namespaces: their UIDs as the API server has them, and whether the Committee takes their blobs.

use std::collections::BTreeMap;
use std::sync::Arc;

use floe_crd::{CommitteeReference, NamespaceAccess, NamespacesFrom};
use floe_model::{Namespace, NamespaceUid, hash};
use kube::api::ObjectMeta;
use kube::core::{ParseExpressionError, Selector, SelectorExt as _};

use super::answers::{Answer, Answers, Lifetime, Unreachable};
use super::server::{ApiServer, Questions};
use crate::objects::{ObjectError, Recency};

/// What was said of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Known {
    Missing,
    Admitted(NamespaceUid),
    Refused(String),
}

/// Namespaces, remembered for a minute; for 5 while the API server cannot be reached.
pub(super) struct Namespaces {
    questions: Arc<dyn Questions>,
    kept: Answers<Known>,
    gate: Gate,
}

impl Namespaces {
    pub(super) fn new(api_server: &ApiServer, gate: Gate) -> Self {
        let (clock, reach) = (&api_server.env.clock, &api_server.reach);
        let kept = Answers::new(Arc::clone(clock), Arc::clone(reach));
        Self { questions: Arc::new(api_server.clone()), kept, gate }
    }

    pub(super) async fn uid(
        &self,
        namespace: &Namespace,
        recency: Recency,
    ) -> Result<NamespaceUid, ObjectError> {
        let question = async {
            let found = self.questions.namespace(namespace).await?;
            let known = found.map_or(Ok(Known::Missing), |meta| self.gate.judge(namespace, &meta));
            let value = known.map_err(Unreachable)?;
            let is_admitted = matches!(value, Known::Admitted(_));
            let lifetime = if is_admitted { Lifetime::ALLOWED } else { Lifetime::DENIED };
            Ok(Answer { value, lifetime, ends: None, bytes: namespace.as_str().len() })
        };
        let key = hash(&[namespace.as_str().as_bytes()]);
        let known = match recency {
            Recency::Kept => self.kept.get(key, question).await,
            Recency::Now => self.kept.renew(key, question).await,
        };
        match known.map_err(|error| ObjectError::Unavailable(error.0))? {
            Known::Admitted(uid) => Ok(uid),
            Known::Missing => Err(ObjectError::NoNamespace(namespace.clone())),
            Known::Refused(words) => Err(ObjectError::Forbidden(words)),
        }
    }
}

/// Which namespaces' blobs a Committee takes.
pub(super) struct Gate {
    pub(super) committee: CommitteeReference,
    from: NamespacesFrom,
    selector: Selector,
}

impl Gate {
    pub(super) fn new(
        committee: CommitteeReference,
        access: NamespaceAccess,
    ) -> Result<Self, ParseExpressionError> {
        let selector = access.selector.unwrap_or_default().try_into()?;
        Ok(Self { committee, from: access.from, selector })
    }

    fn judge(&self, namespace: &Namespace, meta: &ObjectMeta) -> Result<Known, String> {
        let uid = meta.uid.as_deref().unwrap_or_default();
        let uid = uid.parse().map_err(|error| format!("namespace {namespace}: {error}"))?;
        let labels = meta.labels.as_ref();
        let refusal = self.refusal(namespace, labels.unwrap_or(&BTreeMap::new()));
        Ok(refusal.map_or(Known::Admitted(uid), Known::Refused))
    }

    fn refusal(&self, namespace: &Namespace, labels: &BTreeMap<String, String>) -> Option<String> {
        let CommitteeReference { name, namespace: home } = &self.committee;
        match self.from {
            NamespacesFrom::All => None,
            NamespacesFrom::Same => (namespace.as_str() != home).then(|| {
                format!("{home}/{name} admits its own namespace only; {namespace} is another")
            }),
            NamespacesFrom::Selector => (!self.selector.matches(labels)).then(|| {
                let wanted = &self.selector;
                format!("{home}/{name} admits namespaces with {wanted}; {namespace} has none")
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn gate(access: serde_json::Value) -> Gate {
        let committee = CommitteeReference { name: "main".into(), namespace: "floe".into() };
        Gate::new(committee, serde_json::from_value(access).unwrap()).unwrap()
    }

    #[test]
    fn a_committee_takes_the_namespaces_it_admits() {
        let gold = json!({"from": "Selector", "selector": {"matchLabels": {"tier": "gold"}}});
        let either = json!({"from": "Selector", "selector": {"matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["gold", "silver"]},
            {"key": "closed", "operator": "DoesNotExist"},
        ]}});
        let refused = "floe/main admits namespaces with tier=gold; shop has none";
        let own = "floe/main admits its own namespace only; shop is another";
        let none = "floe/main admits namespaces with tier in (gold,silver),!closed; shop has none";
        let table = [
            (json!({"from": "All"}), "shop", vec![], None),
            (json!({"from": "Same"}), "floe", vec![], None),
            (json!({"from": "Same"}), "shop", vec![], Some(own)),
            (gold.clone(), "shop", vec![("tier", "gold"), ("team", "x")], None),
            (gold.clone(), "shop", vec![("tier", "silver")], Some(refused)),
            (gold, "shop", vec![], Some(refused)),
            (either.clone(), "shop", vec![("tier", "silver")], None),
            (either, "shop", vec![("tier", "gold"), ("closed", "")], Some(none)),
        ];
        for (access, namespace, labels, expected) in table {
            let shown = format!("{access} {namespace} {labels:?}");
            let labels = labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
            let labels = labels.collect();
            let refusal = gate(access).refusal(&namespace.parse().unwrap(), &labels);
            assert_eq!(refusal.as_deref(), expected, "{shown}");
        }
    }
}
