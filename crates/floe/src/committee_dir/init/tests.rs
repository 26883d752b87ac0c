use super::*;

fn wish(dir: &Path) -> SizeArguments {
    SizeArguments {
        nodes: Some(5),
        shards: None,
        dir: dir.to_owned(),
        listen: Some("127.0.0.1:18443".parse().unwrap()),
        first_address: None,
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
    assert_eq!(first.nodes.len(), 5);
    let node: NodeFile =
        read_json(env.disk.as_ref(), &first.node_dir(&first.nodes[4]).join("node.json")).unwrap();
    assert_eq!(node, first.nodes[4]);
    let tokens = std::fs::read(dir.join("gateway/tokens")).unwrap();
    std::fs::remove_file(dir.join("nodes/node-2/node.json")).unwrap();

    assert!(init(&env, &wish(&dir)).is_err(), "the first one still holds the directory");
    let (committee, nodes) = (first.trust.committee(), first.nodes.clone());
    drop(first);
    let again = SizeArguments { nodes: None, listen: None, ..wish(&dir) };
    let second = init(&env, &again).unwrap();
    assert_eq!(second.nodes, nodes);
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
