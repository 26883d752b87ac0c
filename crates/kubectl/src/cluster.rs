//! The API server that the kubeconfig names.

use anyhow::Context as _;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::args::ClusterArguments;
use crate::exit::{Ended, Exit};

/// A cluster, and who asks it.
#[derive(Clone)]
pub struct Cluster {
    /// With the caller's rights.
    pub client: Client,
    /// The namespace of names that have none.
    pub namespace: String,
    /// The caller's bearer token, if the kubeconfig has one.
    pub(crate) token: Option<String>,
}

impl Cluster {
    /// The cluster that the arguments name.
    pub async fn connect(arguments: &ClusterArguments) -> anyhow::Result<Self> {
        let config = config(arguments).await?;
        let namespace = arguments.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let token = token(&config)?;
        let client = Client::try_from(config).context("the API server cannot be asked")?;
        Ok(Self { client, namespace, token })
    }
}

async fn config(arguments: &ClusterArguments) -> anyhow::Result<Config> {
    let options =
        KubeConfigOptions { context: arguments.context.clone(), ..KubeConfigOptions::default() };
    if let Some(path) = &arguments.kubeconfig {
        let file = Kubeconfig::read_from(path);
        let file = file.with_context(|| format!("{} cannot be read", path.display()))?;
        return Ok(Config::from_custom_kubeconfig(file, &options).await?);
    }
    if arguments.context.is_some() {
        return Ok(Config::from_kubeconfig(&options).await?);
    }
    let inferred = Config::infer().await;
    inferred.context("there is no kubeconfig, and this is no pod; name one with --kubeconfig")
}

fn token(config: &Config) -> anyhow::Result<Option<String>> {
    // Written out as a kubeconfig has it, the token is no secret any more.
    let user = serde_json::to_value(&config.auth_info)?;
    if let Some(token) = user["token"].as_str() {
        return Ok(Some(token.to_owned()));
    }
    let Some(file) = user["tokenFile"].as_str() else { return Ok(None) };
    let text = std::fs::read_to_string(file);
    let text = text.with_context(|| format!("the token file {file} cannot be read"))?;
    Ok(Some(text.trim().to_owned()))
}

/// `[NAMESPACE/]NAME`.
pub(crate) fn namespaced(text: &str, default: &str) -> Result<(String, String), Ended> {
    let (namespace, name) = text.split_once('/').unwrap_or((default, text));
    if namespace.is_empty() || name.is_empty() || name.contains('/') {
        return Err(Ended::new(Exit::Usage, format!("{text} is no [NAMESPACE/]NAME")));
    }
    Ok((namespace.to_owned(), name.to_owned()))
}

/// Prints an answer.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    writeln!(std::io::stdout().lock(), "{text}")?;
    Ok(())
}
