//! A committee's trust as a Secret: made once, before anything else, and never again.

use std::collections::BTreeMap;

use floe_crd::{labels, names};
use floe_env::Env;
use floe_steward::Trust;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{Api, PostParams};

use crate::error::{Doing as _, Error, Result};

/// Reads the Secret.
pub async fn open(client: &Client, namespace: &str, committee: &str) -> Result<Option<Trust>> {
    let name = names::trust(committee);
    let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
    let secret = secrets.get_opt(&name).await;
    let secret = secret.doing(|| format!("reading Secret {namespace}/{name}"))?;
    let files = |secret: Secret| secret.data.unwrap_or_default();
    let trust = secret.map(|secret| {
        Trust::from_files(files(secret).into_iter().map(|(name, bytes)| (name, bytes.0)))
    });
    trust.transpose().map_err(|error| {
        Error::refused("TrustDamaged", format!("Secret {namespace}/{name}: {error}"))
    })
}

/// Draws the trust of a new committee and keeps it; or reads what somebody else just kept.
pub async fn create(client: &Client, env: &Env, namespace: &str, committee: &str) -> Result<Trust> {
    let trust = Trust::draw(env.clock.as_ref(), env.random.as_ref())?;
    let secret = secret(namespace, committee, &trust);
    let name = names::trust(committee);
    let doing = || format!("creating Secret {namespace}/{name}");
    let params = PostParams {
        field_manager: Some(labels::COMMITTEE_MANAGER.to_owned()),
        ..PostParams::default()
    };
    let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
    match secrets.create(&params, &secret).await {
        Ok(_) => Ok(trust),
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            let found = open(client, namespace, committee).await?;
            found.ok_or_else(|| Error::waiting("TrustMissing", format!("Secret {name} went away")))
        }
        Err(error) => Err(error).doing(doing),
    }
}

/// Without an owner, and immutable: it outlives the Committee, as its volumes do.
fn secret(namespace: &str, committee: &str, trust: &Trust) -> Secret {
    let data: BTreeMap<String, ByteString> = trust
        .to_files()
        .into_iter()
        .map(|(name, bytes)| (name.to_owned(), ByteString(bytes)))
        .collect();
    Secret {
        metadata: ObjectMeta {
            name: Some(names::trust(committee)),
            namespace: Some(namespace.to_owned()),
            labels: Some(labels::of_committee(committee)),
            ..ObjectMeta::default()
        },
        data: Some(data),
        immutable: Some(true),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}
