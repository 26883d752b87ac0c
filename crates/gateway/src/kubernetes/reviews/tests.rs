use std::sync::Mutex;

use futures::executor::block_on;
use k8s_openapi::api::authentication::v1::UserInfo;
use kube::api::ObjectMeta;

use super::*;

const EXPECTED: &str = "mount a serviceAccountToken with audience floe.dev";

fn web() -> UserInfo {
    let username = Some("system:serviceaccount:shop:web".to_owned());
    let groups = Some(vec!["system:serviceaccounts".to_owned()]);
    UserInfo { username, groups, uid: Some("7".to_owned()), extra: None }
}

fn status(audiences: Option<&[&str]>, error: Option<&str>) -> TokenReviewStatus {
    TokenReviewStatus {
        authenticated: Some(error.is_none()),
        audiences: audiences.map(|audiences| audiences.iter().map(ToString::to_string).collect()),
        error: error.map(str::to_owned),
        user: Some(web()),
    }
}

#[test]
fn only_a_token_that_is_meant_for_us_names_somebody() {
    let words = "[invalid bearer token, token audiences [\"https://kubernetes.default.svc\"] is \
                 invalid for the target audiences [\"floe.dev\"]]";
    let table: [(TokenReviewStatus, Result<(), String>); 7] = [
        (status(Some(&["floe.dev"]), None), Ok(())),
        (status(Some(&["x", "floe.dev"]), None), Ok(())),
        (
            status(Some(&["x"]), None),
            Err(format!("the token is meant for [\"x\"], not for floe.dev; {EXPECTED}")),
        ),
        (
            status(None, None),
            Err(format!("the token is meant for [], not for floe.dev; {EXPECTED}")),
        ),
        (status(Some(&["floe.dev"]), Some(words)), Err(format!("{words}; {EXPECTED}"))),
        (status(None, Some("expired")), Err("expired".to_owned())),
        (TokenReviewStatus::default(), Err("the bearer token is unknown".to_owned())),
    ];
    for (status, expected) in table {
        let shown = format!("{status:?}");
        let known = identify(status, Hash([0; 32]), &["floe.dev".to_owned()]);
        assert_eq!(known.as_ref().map(|_| ()).map_err(Clone::clone), expected, "{shown}");
        assert!(known.is_err() || known.unwrap().name == "system:serviceaccount:shop:web");
    }
    let nobody = TokenReviewStatus { user: None, ..status(Some(&["floe.dev"]), None) };
    assert!(identify(nobody, Hash([0; 32]), &["floe.dev".to_owned()]).is_err());
}

#[test]
fn verbs_are_asked_about_as_rbac_knows_them() {
    let table = [
        (Verb::Get, "get", "blobs", Some("data"), Some("model"), "reader"),
        (Verb::Status, "get", "blobs", None, Some("model"), "reader"),
        (Verb::List, "list", "blobs", None, Some("model"), "reader"),
        (Verb::Update, "update", "blobs", Some("data"), Some("model"), "editor"),
        (Verb::Create, "create", "blobs", None, None, "editor"),
        (Verb::Delete, "delete", "blobs", None, Some("model"), "editor"),
    ];
    let (namespace, name) = ("shop".parse().unwrap(), "model".parse().unwrap());
    for (verb, word, resource, below, named, role) in table {
        let asked = attributes(verb, &namespace, Some(&name));
        assert_eq!(asked.group.as_deref(), Some("floe.dev"));
        assert_eq!(asked.verb.as_deref(), Some(word), "{verb:?}");
        assert_eq!(asked.resource.as_deref(), Some(resource), "{verb:?}");
        assert_eq!(asked.subresource.as_deref(), below, "{verb:?}");
        assert_eq!(asked.name.as_deref(), named, "{verb:?}");
        assert!(forbidden("x", verb, &namespace).ends_with(role), "{verb:?}");
    }
    let expected = "User \"system:serviceaccount:shop:web\" cannot update resource \"blobs/data\" in \
                    API group \"floe.dev\" in the namespace \"shop\"; a role that may: \
                    floe-blob-editor";
    assert_eq!(forbidden("system:serviceaccount:shop:web", Verb::Update, &namespace), expected);
}

#[test]
fn a_token_says_when_it_ends() {
    let token = |claims: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
    let table = [
        (token("{\"exp\":1795341600,\"aud\":[\"floe.dev\"]}"), Some(1_795_341_600_000)),
        (token("{\"exp\":12.5}"), Some(12_500)),
        (token("{\"exp\":-5}"), Some(0)),
        (token("{\"exp\":1e300}"), Some(u64::MAX)),
        (token("{\"iat\":5}"), None),
        (token("nonsense"), None),
        ("opaque".to_owned(), None),
        ("a.!.b".to_owned(), None),
    ];
    for (token, expected) in table {
        assert_eq!(end_of(&token).map(|end| end.0), expected, "{token}");
    }
}

/// An API server that knows one user, who may read `model` in `shop`; it writes down what it is asked.
#[derive(Default)]
struct Fake(Mutex<Vec<String>>);

impl Questions for Fake {
    fn token(
        &self,
        spec: TokenReviewSpec,
    ) -> BoxFuture<'_, Result<TokenReviewStatus, Unreachable>> {
        self.0.lock().unwrap().push(format!("token {}", spec.token));
        let answer = match spec.token.as_str() {
            "web" => Ok(status(Some(&["floe.dev"]), None)),
            "lost" => Err(Unreachable("no route".to_owned())),
            _ => Ok(status(None, Some("invalid bearer token"))),
        };
        Box::pin(std::future::ready(answer))
    }

    fn access(
        &self,
        spec: SubjectAccessReviewSpec,
    ) -> BoxFuture<'_, Result<SubjectAccessReviewStatus, Unreachable>> {
        let deed = spec.resource_attributes.unwrap();
        let named = deed.name.unwrap_or_default();
        self.0.lock().unwrap().push(format!("{} {named}", deed.verb.as_deref().unwrap()));
        let allowed =
            named == "model" && spec.user == web().username && spec.groups == web().groups;
        let answer = SubjectAccessReviewStatus { allowed, ..SubjectAccessReviewStatus::default() };
        Box::pin(std::future::ready(Ok(answer)))
    }

    fn namespace<'a>(
        &'a self,
        _: &'a Namespace,
    ) -> BoxFuture<'a, Result<Option<ObjectMeta>, Unreachable>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

fn reviews(fake: &Arc<Fake>) -> KubernetesReviews {
    let env = floe_env::real_env(1).unwrap();
    KubernetesReviews {
        questions: Arc::<Fake>::clone(fake),
        audiences: vec!["floe.dev".to_owned()],
        tokens: Answers::new(Arc::clone(&env.clock), Arc::default()),
        decisions: Answers::new(env.clock, Arc::default()),
    }
}

#[test]
fn each_question_is_asked_once() {
    let fake = Arc::new(Fake::default());
    let reviews = reviews(&fake);
    let (shop, model, other) =
        ("shop".parse().unwrap(), "model".parse().unwrap(), "other".parse().unwrap());
    for _ in 0..2 {
        let user = block_on(reviews.authenticate("web")).unwrap();
        assert_eq!(user.name, "system:serviceaccount:shop:web");
        let may = |name| block_on(reviews.authorize(&user, Verb::Get, &shop, Some(name)));
        assert_eq!(may(&model), Ok(()));
        assert!(matches!(may(&other), Err(AuthError::Forbidden(_))));
        let guess = block_on(reviews.authenticate("guess"));
        assert_eq!(guess, Err(AuthError::Unauthenticated("invalid bearer token".to_owned())));
    }
    let asked = ["token web", "get model", "get other", "token guess"];
    assert_eq!(*fake.0.lock().unwrap(), asked);

    let user = block_on(reviews.authenticate("web")).unwrap();
    block_on(reviews.authorize(&user, Verb::Update, &shop, Some(&model))).unwrap();
    block_on(reviews.authorize(&user, Verb::Get, &"web".parse().unwrap(), Some(&model))).unwrap();
    assert_eq!(fake.0.lock().unwrap().len(), asked.len() + 2, "another verb, another namespace");

    let lost = block_on(reviews.authenticate("lost"));
    assert_eq!(lost, Err(AuthError::Unavailable("no route".to_owned())));
    let long = "x".repeat(LONGEST_TOKEN_BYTES + 1);
    assert!(matches!(block_on(reviews.authenticate(&long)), Err(AuthError::Unauthenticated(_))));
}
