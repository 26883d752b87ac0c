use super::*;

/// `shards` of each node, with `-` for one that is away and `~` for one that serves but is not whole.
fn members(text: &str) -> Vec<Member> {
    let member = |(at, word): (usize, &str)| Member {
        node: format!("main-{at}").parse().unwrap(),
        shards: word.trim_start_matches(['-', '~']).parse().unwrap(),
        serving: !word.starts_with('-'),
        whole: !word.starts_with('~') && !word.starts_with('-'),
    };
    text.split_whitespace().enumerate().map(member).collect()
}

fn limits(shards: u16, faulty_shards: u16, min_write_margin: u16) -> Limits {
    Limits { shards, faulty_shards, min_write_margin }
}

#[test]
fn a_budget_holds_for_whichever_pods_are_stopped() {
    // Nodes, n, f, minWriteMargin: minAvailable, allowed now.
    for (nodes, n, f, margin, min_available, allowed) in [
        // One each.
        ("1 1 1 1", 4, 1, 0, 3, 1),
        ("-1 1 1 1", 4, 1, 0, 3, 0),
        ("~1 1 1 1", 4, 1, 0, 4, 0),
        ("1 1 1 1", 4, 1, 1, 4, 0),
        ("1 1 1 1 1 1 1", 7, 2, 0, 6, 1),
        ("1 1 1 1 1 1 1", 7, 2, 1, 6, 1),
        ("~1 1 1 1 1 1 1", 7, 2, 0, 6, 1),
        ("~1 -1 1 1 1 1 1", 7, 2, 0, 6, 0),
        ("1 1 1 1 1 1 1 1 1 1", 10, 3, 0, 8, 2),
        ("-1 1 1 1 1 1 1 1 1 1", 10, 3, 0, 8, 1),
        ("~1 1 1 1 1 1 1 1 1 1", 10, 3, 0, 9, 1),
        ("~1 ~1 1 1 1 1 1 1 1 1", 10, 3, 0, 9, 1),
        ("~1 ~1 ~1 1 1 1 1 1 1 1", 10, 3, 0, 10, 0),
        ("~1 ~1 ~1 ~1 1 1 1 1 1 1", 10, 3, 0, 10, 0),
        // Several each: the heaviest count.
        ("3 3 2 2", 10, 3, 0, 3, 1),
        ("3 3 -2 2", 10, 3, 0, 3, 0),
        ("3 3 ~2 2", 10, 3, 0, 4, 0),
        ("3 3 2 2", 10, 3, 1, 4, 0),
        ("2 2 2 2 2", 10, 3, 0, 4, 1),
        ("2 2 2 2 2", 10, 3, 1, 4, 1),
        ("2 2 2 2 2", 10, 3, 2, 5, 0),
        ("2 2 2 2 2 2", 12, 3, 0, 5, 1),
        // A node without shards is as safe to stop as any.
        ("3 3 2 2 0", 10, 3, 0, 4, 1),
        // More than f on one node: never.
        ("4 3 3", 10, 3, 0, 3, 0),
        ("", 10, 3, 0, 0, 0),
    ] {
        let Budget { min_available: least, disruptions_allowed } =
            budget(&members(nodes), limits(n, f, margin));
        assert_eq!(
            (least, disruptions_allowed),
            (min_available, allowed),
            "[{nodes}] n={n} f={f} margin={margin}"
        );
    }
}

/// The budget's promise, over all small committees: whichever pods it lets go, what stays serves
/// n-f shards and more.
#[test]
fn what_stays_is_enough() {
    for shards in 4..=13_u16 {
        let f = (shards - 1) / 3;
        for nodes in 4..=shards {
            for state in 0..3_u16.pow(4) {
                let member = |at: u16| {
                    let state = if at < 4 { state / 3_u16.pow(u32::from(at)) % 3 } else { 0 };
                    Member {
                        node: format!("main-{at}").parse().unwrap(),
                        shards: shards / nodes + u16::from(at < shards % nodes),
                        serving: state != 1,
                        whole: state == 0,
                    }
                };
                let members: Vec<_> = (0..nodes).map(member).collect();
                let mut allowed =
                    usize::from(budget(&members, limits(shards, f, 0)).disruptions_allowed);
                let mut up: Vec<_> = members.iter().filter(|member| member.serving).collect();
                up.sort_by_key(|member| std::cmp::Reverse(member.shards));
                allowed = allowed.min(up.len());
                if allowed > 0 {
                    let left: u16 = up[allowed..].iter().map(|member| member.shards).sum();
                    assert!(left >= shards - f, "{members:?} lets {allowed} go, {left} stay");
                }
            }
        }
    }
}

#[test]
fn a_drain_that_must_wait_says_for_what() {
    let node = |text: &str| text.parse::<NodeName>().unwrap();
    let blocked = |nodes: &str, limits, at: &str| {
        drain_blocked(&members(nodes), limits, &node(at)).map(|it| (it.cause, it.message))
    };
    let usual = limits(10, 3, 0);
    assert_eq!(blocked("3 3 2 2", usual, "main-0"), None);
    assert_eq!(blocked("3 -3 2 2", usual, "main-1"), None, "there is nothing to stop");
    assert_eq!(blocked("3 3 2 2", usual, "other-0"), None);
    assert_eq!(
        blocked("3 -3 2 2", usual, "main-2"),
        Some((
            Cause::NodesAway,
            "main-1 away; 7 of 10 shards are up and whole, stopping main-2 leaves 5, 7 are needed; \
             clears when back: main-1"
                .to_owned()
        ))
    );
    assert_eq!(
        blocked("3 3 ~2 2", usual, "main-0"),
        Some((
            Cause::RepairRunning,
            "being rebuilt: main-2; 8 of 10 shards are up and whole, stopping main-0 leaves 5, \
             7 are needed; clears when whole: main-2"
                .to_owned()
        ))
    );
    let (cause, message) = blocked("3 3 2 2", limits(10, 3, 1), "main-0").unwrap();
    assert_eq!(cause, Cause::TooFewNodes);
    assert!(message.contains("8 are needed; add nodes"), "{message}");
    // Its own repair is no reason to stop it.
    let (cause, message) = blocked("~3 3 2 2", usual, "main-0").unwrap();
    assert_eq!(cause, Cause::RepairRunning);
    assert!(message.contains("stopping main-0 leaves 7, 7 are needed"), "{message}");
}
