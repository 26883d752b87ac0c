use std::path::PathBuf;

use floe_steward::start_files::{NodeFile, RepairFile};

use super::super::layout::quote;
use super::super::membership::{add, remove, replace};
use super::*;
use crate::args::AddArguments;

fn wish(dir: &Path) -> SizeArguments {
    SizeArguments {
        nodes: Some(5),
        shards: None,
        dir: dir.to_owned(),
        listen: Some("127.0.0.1:18443".parse().unwrap()),
        first_address: None,
        policy: PolicyArguments { undelete_window: None, release_retention: None },
    }
}

fn scratch(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("floe-init-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    dir
}

#[tokio::test]
async fn a_second_init_completes_the_first_and_changes_nothing_that_lasts() {
    let env = floe_env::real_env(1).unwrap();
    let dir = scratch("twice");
    let first = init(&env, &wish(&dir)).unwrap();
    assert_eq!(first.nodes().len(), 5);
    let node: NodeFile =
        read_json(env.disk.as_ref(), &first.node_dir(&first.nodes()[4].node).join("node.json"))
            .unwrap();
    assert_eq!(node, first.nodes()[4]);
    let tokens = std::fs::read(dir.join("gateway/tokens")).unwrap();
    std::fs::remove_file(dir.join("nodes/node-2/node.json")).unwrap();

    assert!(init(&env, &wish(&dir)).is_err(), "the first one still holds the directory");
    let (committee, nodes) = (first.trust.committee(), first.nodes());
    drop(first);
    let again = SizeArguments { nodes: None, listen: None, ..wish(&dir) };
    let second = init(&env, &again).unwrap();
    assert_eq!(second.nodes(), nodes);
    assert_eq!(second.trust.committee(), committee);
    assert_eq!(second.url(), "https://127.0.0.1:18443");
    assert_eq!(std::fs::read(dir.join("gateway/tokens")).unwrap(), tokens);
    assert!(dir.join("nodes/node-2/node.json").exists());

    drop(second);
    let other = SizeArguments { nodes: Some(7), ..wish(&dir) };
    let error = init(&env, &other).err().unwrap();
    assert_eq!(crate::exit::code(&error), Exit::Usage);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[tokio::test]
async fn a_directory_with_other_things_in_it_is_refused() {
    let env = floe_env::real_env(1).unwrap();
    let dir = scratch("foreign");
    std::fs::create_dir_all(dir.join("photos")).unwrap();
    let error = init(&env, &wish(&dir)).err().unwrap();
    assert_eq!(crate::exit::code(&error), Exit::Usage);
    assert!(error.to_string().contains("is not empty"), "{error}");
    std::fs::remove_dir_all(&dir).unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn secrets_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let env = floe_env::real_env(1).unwrap();
    let dir = scratch("secrets");
    init(&env, &wish(&dir)).unwrap();
    for file in [
        "trust/operator-key",
        "gateway/registrar-key",
        "gateway/tokens",
        "gateway/tls/key.pem",
        "nodes/node-0/tls/key.pem",
    ] {
        let mode = std::fs::metadata(dir.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file}: {mode:o}");
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn paths_are_one_word_of_a_shell() {
    assert_eq!(quote("/tmp/it's here"), r"'/tmp/it'\''s here'");
}

#[tokio::test]
async fn a_changed_committee_is_written_down_for_all_its_processes() {
    let env = floe_env::real_env(1).unwrap();
    let dir = scratch("membership");
    drop(init(&env, &wish(&dir)).unwrap());
    let node = "node-2".parse().unwrap();
    let changed = replace(&env, &dir, &node, None).unwrap();
    assert_eq!(changed.wanted()[2].incarnation, Incarnation(1));
    let file: NodeFile = read_json(env.disk.as_ref(), &dir.join("nodes/node-2/node.json")).unwrap();
    assert_eq!(file.incarnation, Incarnation(1));
    assert!(dir.join("nodes/node-2/volume-0").exists(), "what was lost is kept");
    assert!(dir.join("nodes/node-2/volume-1").exists());
    // A steward that saw the loss of a volume that was replaced meanwhile changes nothing.
    let again = replace(&env, &dir, &node, Some(Incarnation(0))).unwrap();
    assert_eq!(again.wanted()[2].incarnation, Incarnation(1));

    let new = AddArguments {
        dir: dir.clone(),
        zone: "east".to_owned(),
        host: String::new(),
        weight: 2,
        wait: Duration::ZERO,
    };
    let (changed, added) = add(&env, &dir, &new).unwrap();
    let wanted = changed.wanted();
    assert_eq!((added.as_str(), wanted[5].zone.as_str(), wanted[5].weight), ("node-5", "east", 2));
    let addresses: Vec<&str> = wanted.iter().map(|it| it.address.as_str()).collect();
    assert!(!addresses[..5].contains(&addresses[5]), "{addresses:?}");
    let gateway = changed.file.gateway_address.to_string();
    assert!(!addresses[5].starts_with(&format!("{gateway}:")), "{addresses:?}");
    let repair: RepairFile = read_json(env.disk.as_ref(), &dir.join("repair/repair.json")).unwrap();
    assert_eq!(repair.nodes, changed.addresses());

    assert_eq!(remove(&env, &dir, &node).unwrap().wanted()[2].weight, 0);
    let stranger = remove(&env, &dir, &"node-9".parse().unwrap()).err().unwrap();
    assert_eq!(crate::exit::code(&stranger), Exit::NotFound);
    std::fs::remove_dir_all(&dir).unwrap();
}
