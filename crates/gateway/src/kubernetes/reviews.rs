//! Who asks, and whether they may, as the API server's reviews say: a TokenReview for the token, a
//! SubjectAccessReview for each deed.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use floe_crd::GROUP;
use floe_model::{BlobName, Hash, Namespace, Timestamp, hash};
use futures::future::BoxFuture;
use k8s_openapi::api::authentication::v1::{TokenReviewSpec, TokenReviewStatus};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use serde::Deserialize;

use super::answers::{Answer, Answers, Lifetime, Unreachable};
use super::server::{ApiServer, Questions};
use crate::auth::{AuthError, Authenticator, Rights, User, Verb};

/// Bytes of a token; those of Kubernetes have about 1 KiB.
const LONGEST_TOKEN_BYTES: usize = 16 * 1024;

/// Somebody, as a TokenReview described them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Of the token.
    digest: Hash,
    name: String,
    uid: Option<String>,
    groups: Option<Vec<String>>,
    extra: Option<BTreeMap<String, Vec<String>>>,
}

/// What was said of a token: who it is, or why not.
type Known = Result<Arc<Identity>, String>;

/// The API server's reviews. What they allow is believed for a minute, what they deny for 10 s; while
/// the API server cannot be reached, what was allowed counts for 5 minutes; a token never beyond its
/// own end.
pub struct KubernetesReviews {
    questions: Arc<dyn Questions>,
    audiences: Vec<String>,
    tokens: Answers<Known>,
    decisions: Answers<bool>,
}

impl KubernetesReviews {
    /// Tokens must be meant for one of `audiences`.
    pub fn new(api_server: &ApiServer, audiences: Vec<String>) -> Self {
        let (clock, reach) = (&api_server.env.clock, &api_server.reach);
        Self {
            questions: Arc::new(api_server.clone()),
            audiences,
            tokens: Answers::new(Arc::clone(clock), Arc::clone(reach)),
            decisions: Answers::new(Arc::clone(clock), Arc::clone(reach)),
        }
    }

    async fn user(&self, token: &str) -> Result<User, AuthError> {
        if token.len() > LONGEST_TOKEN_BYTES {
            let text = format!("a bearer token has at most {LONGEST_TOKEN_BYTES} bytes");
            return Err(AuthError::Unauthenticated(text));
        }
        let digest = hash(&[token.as_bytes()]);
        let question = async {
            let audiences = Some(self.audiences.clone());
            let spec = TokenReviewSpec { token: token.to_owned(), audiences };
            let status = self.questions.token(spec).await?;
            Ok(token_answer(identify(status, digest, &self.audiences), token))
        };
        let known = self.tokens.get(digest, question).await.map_err(unavailable)?;
        let identity = known.map_err(AuthError::Unauthenticated)?;
        Ok(User { name: identity.name.clone(), rights: Rights::Reviewed(identity) })
    }

    async fn decide(
        &self,
        user: &User,
        verb: Verb,
        namespace: &Namespace,
        name: Option<&BlobName>,
    ) -> Result<(), AuthError> {
        let forbidden = || AuthError::Forbidden(forbidden(&user.name, verb, namespace));
        let Rights::Reviewed(identity) = &user.rights else { return Err(forbidden()) };
        let deed = attributes(verb, namespace, name);
        let words = [&deed.verb, &deed.resource, &deed.subresource, &deed.namespace, &deed.name];
        let key = words.into_iter().fold(identity.digest, |key, word| {
            let word = word.as_deref().unwrap_or_default();
            hash(&[&key.0, &(word.len() as u64).to_le_bytes(), word.as_bytes()])
        });
        let question = async {
            let status = self.questions.access(identity.may(deed)).await?;
            Ok(access_answer(&status))
        };
        let allowed = self.decisions.get(key, question).await.map_err(unavailable)?;
        if allowed { Ok(()) } else { Err(forbidden()) }
    }
}

impl Identity {
    fn may(&self, deed: ResourceAttributes) -> SubjectAccessReviewSpec {
        SubjectAccessReviewSpec {
            user: Some(self.name.clone()),
            uid: self.uid.clone(),
            groups: self.groups.clone(),
            extra: self.extra.clone(),
            resource_attributes: Some(deed),
            non_resource_attributes: None,
        }
    }

    fn bytes(&self) -> usize {
        let texts = |texts: &[String]| texts.iter().map(String::len).sum::<usize>();
        let extra = self.extra.iter().flatten();
        self.name.len()
            + self.uid.as_ref().map_or(0, String::len)
            + self.groups.as_deref().map_or(0, texts)
            + extra.map(|(key, values)| key.len() + texts(values)).sum::<usize>()
    }
}

/// Who a review says it is. The audiences are compared here too: an authenticator that knows nothing
/// of audiences lets every token pass, and names none.
fn identify(status: TokenReviewStatus, digest: Hash, audiences: &[String]) -> Known {
    let wanted = audiences.join(" or ");
    let hint = format!("mount a serviceAccountToken with audience {wanted}");
    if !status.authenticated.unwrap_or(false) {
        let words = status.error.filter(|words| !words.is_empty());
        let words = words.unwrap_or_else(|| "the bearer token is unknown".to_owned());
        let is_meant_for_others = words.contains("audience");
        return Err(if is_meant_for_others { format!("{words}; {hint}") } else { words });
    }
    let named = status.audiences.unwrap_or_default();
    if !named.iter().any(|audience| audiences.contains(audience)) {
        return Err(format!("the token is meant for {named:?}, not for {wanted}; {hint}"));
    }
    let user = status.user.unwrap_or_default();
    let name = user.username.filter(|name| !name.is_empty());
    let name = name.ok_or("the token review names no user")?;
    let (uid, groups, extra) = (user.uid, user.groups, user.extra);
    Ok(Arc::new(Identity { digest, name, uid, groups, extra }))
}

fn token_answer(known: Known, token: &str) -> Answer<Known> {
    let lifetime = if known.is_ok() { Lifetime::ALLOWED } else { Lifetime::DENIED };
    let bytes = known.as_ref().map_or_else(String::len, |identity| identity.bytes());
    Answer { value: known, lifetime, ends: end_of(token), bytes }
}

fn access_answer(status: &SubjectAccessReviewStatus) -> Answer<bool> {
    let allowed = status.allowed && !status.denied.unwrap_or(false);
    let lifetime = if allowed { Lifetime::ALLOWED } else { Lifetime::DENIED };
    Answer { value: allowed, lifetime, ends: None, bytes: 0 }
}

/// When a token says that it ends. Nobody vouches for that here: it may only end what a review
/// vouched for.
fn end_of(token: &str) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
    }
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast of a float saturates: what is beyond all time never ends, or has ended"
    )]
    Some(Timestamp((claims.exp * 1000.0) as u64))
}

/// The resource that a verb is about, and what is below it.
const fn resource(verb: Verb) -> (&'static str, Option<&'static str>) {
    match verb {
        Verb::Get | Verb::Update => ("blobs", Some("data")),
        Verb::Status | Verb::Create | Verb::Delete | Verb::List => ("blobs", None),
    }
}

fn attributes(verb: Verb, namespace: &Namespace, name: Option<&BlobName>) -> ResourceAttributes {
    let (resource, subresource) = resource(verb);
    // As the API server itself asks: it does not know the name of what is to be made.
    let name = name.filter(|_| verb != Verb::Create);
    ResourceAttributes {
        group: Some(GROUP.to_owned()),
        resource: Some(resource.to_owned()),
        subresource: subresource.map(str::to_owned),
        verb: Some(verb.name().to_owned()),
        namespace: Some(namespace.to_string()),
        name: name.map(ToString::to_string),
        ..ResourceAttributes::default()
    }
}

/// In the words of the API server.
fn forbidden(user: &str, verb: Verb, namespace: &Namespace) -> String {
    let (resource, subresource) = resource(verb);
    let below = subresource.map(|below| format!("/{below}")).unwrap_or_default();
    let role = match verb {
        Verb::Get | Verb::Status | Verb::List => "floe-blob-reader",
        Verb::Update | Verb::Create | Verb::Delete => "floe-blob-editor",
    };
    format!(
        "User {user:?} cannot {} resource \"{resource}{below}\" in API group {GROUP:?} in the \
         namespace \"{namespace}\"; a role that may: {role}",
        verb.name(),
    )
}

fn unavailable(error: Unreachable) -> AuthError {
    AuthError::Unavailable(error.0)
}

impl Authenticator for KubernetesReviews {
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<User, AuthError>> {
        Box::pin(self.user(token))
    }

    fn authorize<'a>(
        &'a self,
        user: &'a User,
        verb: Verb,
        namespace: &'a Namespace,
        name: Option<&'a BlobName>,
    ) -> BoxFuture<'a, Result<(), AuthError>> {
        Box::pin(self.decide(user, verb, namespace, name))
    }
}

#[cfg(test)]
mod tests;
