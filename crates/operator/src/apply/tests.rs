use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::*;

fn config(data: &str, annotation: Option<&str>) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some("main-0-0".to_owned()),
            annotations: annotation.map(|text| [("note".to_owned(), text.to_owned())].into()),
            ..ObjectMeta::default()
        },
        data: Some([("node.json".to_owned(), data.to_owned())].into()),
        ..ConfigMap::default()
    }
}

#[test]
fn the_mark_tells_objects_apart_and_stands_beside_what_was_there() {
    let mark = |object: &ConfigMap| marked(object).unwrap();
    let (value, hash) = mark(&config("a", Some("x")));
    assert_eq!(hash.len(), 16);
    let annotations = &value["metadata"]["annotations"];
    assert_eq!(annotations[labels::APPLIED], hash.as_str());
    assert_eq!(annotations["note"], "x");
    assert_eq!(value["kind"], "ConfigMap", "server-side apply needs it");
    assert_eq!(mark(&config("a", Some("x"))).1, hash);
    let others = [config("b", Some("x")), config("a", Some("y")), config("a", None)];
    for other in others {
        assert_ne!(mark(&other).1, hash);
    }
}
