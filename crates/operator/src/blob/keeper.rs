//! Which Committee keeps a Blob: decided once, purely.

use std::collections::BTreeMap;

use floe_crd::{Committee, CommitteeReference, NamespaceAccess, NamespacesFrom, labels};
use kube::ResourceExt as _;
use kube::core::{Selector, SelectorExt as _};

use super::plan::{Reason, Verdict};

/// A namespace, as the choice needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tenant<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Its labels.
    pub(crate) labels: &'a BTreeMap<String, String>,
}

/// The Committee that keeps the blobs of a namespace that name `wanted`, or none.
pub(crate) fn choose<'a>(
    wanted: Option<&CommitteeReference>,
    all: &'a [Committee],
    tenant: &Tenant<'_>,
) -> Result<&'a Committee, Verdict> {
    let chosen = match wanted {
        Some(wanted) => named(wanted, all)?,
        None => default(all)?,
    };
    let refusal = refusal(&chosen.spec.access.namespaces, &reference(chosen), tenant);
    match refusal {
        None => Ok(chosen),
        Some(message) => Err(Verdict::refused(Reason::CommitteeNotPermitted, message)),
    }
}

/// A Committee by its place.
pub(crate) fn reference(committee: &Committee) -> CommitteeReference {
    let namespace = committee.namespace().unwrap_or_default();
    CommitteeReference { name: committee.name_any(), namespace }
}

fn named<'a>(wanted: &CommitteeReference, all: &'a [Committee]) -> Result<&'a Committee, Verdict> {
    all.iter().find(|one| reference(one) == *wanted).ok_or_else(|| {
        let CommitteeReference { namespace, name } = wanted;
        not_found(format!("there is no Committee {namespace}/{name}{}", existing(all)))
    })
}

fn default(all: &[Committee]) -> Result<&Committee, Verdict> {
    let marked = |one: &&Committee| {
        let mark = one.annotations().get(labels::DEFAULT_COMMITTEE);
        mark.is_some_and(|mark| mark == labels::TRUE)
    };
    let defaults: Vec<&Committee> = all.iter().filter(marked).collect();
    match defaults.as_slice() {
        [one] => Ok(one),
        [] => {
            Err(not_found(format!("no default Committee; set spec.committeeRef{}", existing(all))))
        }
        several => {
            let several = listed(several.iter().copied());
            let message =
                format!("several Committees are the default ({several}); set spec.committeeRef");
            Err(not_found(message))
        }
    }
}

fn not_found(message: String) -> Verdict {
    Verdict::waiting(Reason::CommitteeNotFound, message)
}

fn existing(all: &[Committee]) -> String {
    match all {
        [] => " (there is none yet)".to_owned(),
        [_] => format!(" (there is {})", listed(all)),
        _ => format!(" (there are {})", listed(all)),
    }
}

fn listed<'a>(committees: impl IntoIterator<Item = &'a Committee>) -> String {
    let place = |one| {
        let CommitteeReference { namespace, name } = reference(one);
        format!("{namespace}/{name}")
    };
    let mut places: Vec<String> = committees.into_iter().map(place).collect();
    places.sort();
    places.join(", ")
}

/// Why a Committee does not take a namespace's blobs.
fn refusal(
    access: &NamespaceAccess,
    committee: &CommitteeReference,
    tenant: &Tenant<'_>,
) -> Option<String> {
    let CommitteeReference { name, namespace: home } = committee;
    let tenant_name = tenant.name;
    match access.from {
        NamespacesFrom::All => None,
        NamespacesFrom::Same => (tenant_name != home).then(|| {
            format!("{home}/{name} admits its own namespace only; {tenant_name} is another")
        }),
        NamespacesFrom::Selector => {
            let selector = access.selector.clone().unwrap_or_default();
            match Selector::try_from(selector) {
                Ok(selector) if selector.matches(tenant.labels) => None,
                Ok(selector) => Some(format!(
                    "{home}/{name} admits namespaces with {selector}; {tenant_name} has {}",
                    having(&selector, tenant.labels)
                )),
                Err(error) => Some(format!(
                    "{home}/{name} admits nobody: its spec.access.namespaces.selector is odd: {error}"
                )),
            }
        }
    }
}

/// What a namespace has of the labels that a selector looks at.
fn having(selector: &Selector, labels: &BTreeMap<String, String>) -> String {
    let wanted = selector.to_string();
    let looked_at =
        |key: &str| wanted.split([',', '=', ' ', '!', '(', ')']).any(|word| word == key);
    let held = labels.iter().filter(|(key, _)| looked_at(key));
    let held: Vec<String> = held.map(|(key, value)| format!("{key}={value}")).collect();
    if held.is_empty() { "none".to_owned() } else { held.join(",") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn committee(place: &str, is_default: bool, access: &serde_json::Value) -> Committee {
        let (namespace, name) = place.split_once('/').unwrap();
        let mark = if is_default { "true" } else { "false" };
        serde_json::from_value(json!({
            "apiVersion": "floe.dev/v1alpha1",
            "kind": "Committee",
            "metadata": {
                "namespace": namespace,
                "name": name,
                "annotations": {"floe.dev/is-default-committee": mark},
            },
            "spec": {
                "replicas": 4,
                "storage": {"size": "1Gi"},
                "access": {"namespaces": access},
            },
        }))
        .unwrap()
    }

    fn chosen(
        wanted: Option<&str>,
        all: &[Committee],
        labels: &[(&str, &str)],
    ) -> Result<String, (Reason, String)> {
        let wanted = wanted.map(|place| {
            let (namespace, name) = place.split_once('/').unwrap();
            CommitteeReference { name: name.to_owned(), namespace: namespace.to_owned() }
        });
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let labels = labels.iter().map(own).collect();
        let tenant = Tenant { name: "shop", labels: &labels };
        match choose(wanted.as_ref(), all, &tenant) {
            Ok(one) => Ok(listed([one])),
            Err(Verdict::Waiting { reason, message } | Verdict::Refused { reason, message }) => {
                Err((reason, message))
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_committee_that_is_named_or_the_default_one() {
        let all = json!({"from": "All"});
        let main = committee("floe/main", true, &all);
        let cold = committee("floe/cold", false, &all);
        let other = committee("web/other", true, &all);
        let not_found = |message: &str| Err((Reason::CommitteeNotFound, message.to_owned()));
        let ok = |place: &str| Ok(place.to_owned());
        let both = [main.clone(), cold.clone()];
        assert_eq!(chosen(None, &both, &[]), ok("floe/main"));
        assert_eq!(chosen(Some("floe/cold"), &both, &[]), ok("floe/cold"));
        assert_eq!(
            chosen(None, std::slice::from_ref(&cold), &[]),
            not_found("no default Committee; set spec.committeeRef (there is floe/cold)")
        );
        assert_eq!(
            chosen(None, &[], &[]),
            not_found("no default Committee; set spec.committeeRef (there is none yet)")
        );
        assert_eq!(
            chosen(None, &[other, main.clone(), cold.clone()], &[]),
            not_found(
                "several Committees are the default (floe/main, web/other); set spec.committeeRef"
            )
        );
        assert_eq!(
            chosen(Some("shop/main"), &both, &[]),
            not_found("there is no Committee shop/main (there are floe/cold, floe/main)")
        );
    }

    #[test]
    fn a_committee_takes_the_namespaces_it_admits() {
        let gold = json!({"from": "Selector", "selector": {"matchLabels": {"tier": "gold"}}});
        let refused = |message: &str| Err((Reason::CommitteeNotPermitted, message.to_owned()));
        let table = [
            (gold.clone(), vec![("tier", "gold"), ("team", "a")], Ok("floe/main".to_owned())),
            (
                gold.clone(),
                vec![("team", "a")],
                refused("floe/main admits namespaces with tier=gold; shop has none"),
            ),
            (
                gold,
                vec![("tier", "silver")],
                refused("floe/main admits namespaces with tier=gold; shop has tier=silver"),
            ),
            (
                json!({"from": "Same"}),
                vec![],
                refused("floe/main admits its own namespace only; shop is another"),
            ),
        ];
        for (access, labels, expected) in table {
            let all = [committee("floe/main", true, &access)];
            assert_eq!(chosen(None, &all, &labels), expected, "{access}");
        }
    }
}
