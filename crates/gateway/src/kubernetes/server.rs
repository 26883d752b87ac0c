//! Calling the API server: few calls at a time, each with an end.

use std::sync::Arc;
use std::time::Duration;

use floe_env::{Env, timeout};
use floe_model::Namespace;
use futures::future::BoxFuture;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use k8s_openapi::api::authorization::v1::{
    SubjectAccessReview, SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use k8s_openapi::api::core::v1;
use kube::api::{ObjectMeta, PostParams};
use kube::core::response::Status;
use kube::{Api, Client, Config};
use tokio::sync::Semaphore;

use super::answers::{Reach, Unreachable};

/// Calls at a time; more wait.
const MOST_CALLS: usize = 32;
/// How long one may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The API server, as the gateway's ServiceAccount may use it. Clones share their bounds.
#[derive(Clone)]
pub struct ApiServer {
    pub(super) client: Client,
    pub(super) env: Env,
    pub(super) reach: Arc<Reach>,
    places: Arc<Semaphore>,
}

/// The API server cannot be called at all.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is no usable configuration.
    #[error("there is no way to an API server: neither KUBECONFIG nor a ServiceAccount's token")]
    Config(#[from] kube::config::InferConfigError),
    /// The configuration makes no client.
    #[error("the configuration of the API server cannot be used")]
    Client(#[source] Box<kube::Error>),
}

/// Why a call has no result.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(super) enum CallError {
    /// It cannot be done now.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// The API server says no.
    #[error("{}", .0.message)]
    Refused(Box<Status>),
}

impl ApiServer {
    /// As `KUBECONFIG` says, or the pod's ServiceAccount.
    pub async fn connect(env: Env) -> Result<Self, ConnectError> {
        Self::with_config(env, Config::infer().await?)
    }

    /// As a configuration says.
    pub fn with_config(env: Env, mut config: Config) -> Result<Self, ConnectError> {
        // Whoever waits for an answer is told when to try again instead.
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        let client =
            Client::try_from(config).map_err(|error| ConnectError::Client(error.into()))?;
        let (reach, places) = (Arc::default(), Arc::new(Semaphore::new(MOST_CALLS)));
        Ok(Self { client, env, reach, places })
    }

    /// The result of a call, if it comes in time.
    pub(super) async fn call<T>(
        &self,
        call: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, CallError> {
        let closed = |_| Unreachable("the gateway is ending".to_owned());
        let _place = self.places.acquire().await.map_err(closed)?;
        let result = timeout(self.env.clock.as_ref(), CALL_TIMEOUT, call).await;
        let late = |late| Unreachable(format!("the API server: {late}"));
        result.map_err(late)?.map_err(call_error)
    }
}

/// A server that is starting, or has too much to do, has not said no; and that the gateway itself is
/// not known says nothing about whoever asks it.
fn call_error(error: kube::Error) -> CallError {
    match error {
        kube::Error::Api(status) if (400..500).contains(&status.code) => match status.code {
            401 | 408 | 429 => Unreachable(format!("the API server: {}", status.message)).into(),
            _ => CallError::Refused(status),
        },
        error => Unreachable(format!("the API server: {}", chain(&error))).into(),
    }
}

/// An error with all that caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// What is asked about those who send requests.
pub(super) trait Questions: Send + Sync {
    /// Whose token this is.
    fn token(&self, spec: TokenReviewSpec)
    -> BoxFuture<'_, Result<TokenReviewStatus, Unreachable>>;

    /// Whether somebody may do something.
    fn access(
        &self,
        spec: SubjectAccessReviewSpec,
    ) -> BoxFuture<'_, Result<SubjectAccessReviewStatus, Unreachable>>;

    /// The UID and labels of a namespace.
    fn namespace<'a>(
        &'a self,
        name: &'a Namespace,
    ) -> BoxFuture<'a, Result<Option<ObjectMeta>, Unreachable>>;
}

impl Questions for ApiServer {
    fn token(
        &self,
        spec: TokenReviewSpec,
    ) -> BoxFuture<'_, Result<TokenReviewStatus, Unreachable>> {
        Box::pin(async move {
            let review = TokenReview { spec, ..TokenReview::default() };
            let reviews = Api::<TokenReview>::all(self.client.clone());
            let review = self.call(reviews.create(&PostParams::default(), &review)).await;
            review.map_err(unanswered)?.status.ok_or_else(no_status)
        })
    }

    fn access(
        &self,
        spec: SubjectAccessReviewSpec,
    ) -> BoxFuture<'_, Result<SubjectAccessReviewStatus, Unreachable>> {
        Box::pin(async move {
            let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
            let reviews = Api::<SubjectAccessReview>::all(self.client.clone());
            let review = self.call(reviews.create(&PostParams::default(), &review)).await;
            review.map_err(unanswered)?.status.ok_or_else(no_status)
        })
    }

    fn namespace<'a>(
        &'a self,
        name: &'a Namespace,
    ) -> BoxFuture<'a, Result<Option<ObjectMeta>, Unreachable>> {
        Box::pin(async move {
            let namespaces = Api::<v1::Namespace>::all(self.client.clone());
            let found = self.call(namespaces.get_metadata_opt(name.as_str())).await;
            Ok(found.map_err(unanswered)?.map(|namespace| namespace.metadata))
        })
    }
}

/// A question that the gateway may not ask is one that nobody answers.
pub(super) fn unanswered(error: CallError) -> Unreachable {
    match error {
        CallError::Unreachable(error) => error,
        CallError::Refused(status) => {
            Unreachable(format!("the API server refuses the gateway: {}", status.message))
        }
    }
}

fn no_status() -> Unreachable {
    Unreachable("the API server: a review without a status".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_no_is_one() {
        let table = [
            (400, true),
            (401, false),
            (403, true),
            (404, true),
            (409, true),
            (422, true),
            (429, false),
            (500, false),
            (503, false),
            (0, false),
        ];
        for (code, refused) in table {
            let status = Status::failure("words", "Reason").with_code(code).boxed();
            let error = call_error(kube::Error::Api(status));
            assert_eq!(matches!(error, CallError::Refused(_)), refused, "{code}");
            assert!(error.to_string().contains("words"), "{code}: {error}");
        }
    }
}
