use std::fmt::Write as _;

use floe_model::Incarnation;

use super::*;

#[test]
fn the_table_has_every_route_once_in_order() {
    for (position, (spec, route)) in ROUTES.iter().zip(Route::ALL).enumerate() {
        assert_eq!(spec.route, route, "line {position}");
        assert_eq!(route as usize, position);
        assert_eq!(route.spec().name, spec.name);
        assert!(spec.request_cap_bytes <= LARGEST_BODY_BYTES);
        assert!(spec.response_cap_bytes <= LARGEST_BODY_BYTES);
        assert!(!spec.roles.is_empty());
        let others = ROUTES.iter().filter(|other| {
            other.name == spec.name || (other.path == spec.path && other.method == spec.method)
        });
        assert_eq!(others.count(), 1, "{}", spec.name);
    }
}

#[test]
fn the_table() {
    let mut table = String::new();
    for spec in &ROUTES {
        let roles: Vec<_> = spec.roles.iter().map(|role| role.as_str()).collect();
        writeln!(
            table,
            "{:<15} {:<6} {:<66} {:<30} {:>8} {:>8} {:>3}s",
            spec.name,
            spec.method.as_str(),
            spec.path,
            roles.join(","),
            spec.request_cap_bytes,
            spec.response_cap_bytes,
            spec.timeout.as_secs(),
        )
        .unwrap();
    }
    insta::assert_snapshot!(table);
}

#[test]
fn only_the_named_roles_of_the_committee_pass() {
    let (own, other) = (CommitteeId([1; 16]), CommitteeId([2; 16]));
    let peer = |committee, role| Peer {
        committee,
        role,
        name: "a".to_owned(),
        incarnation: Incarnation(0),
    };
    for spec in &ROUTES {
        for role in Role::ALL {
            let verdict = authorize(spec, Some(&peer(own, role)), &own);
            let code = verdict.err().map(|error| error.code);
            let wanted = (!spec.roles.contains(&role)).then_some(ErrorCode::ForbiddenRole);
            assert_eq!(code, wanted, "{} {role}", spec.name);
            let foreign = authorize(spec, Some(&peer(other, role)), &own).unwrap_err();
            assert_eq!(foreign.code, ErrorCode::Unauthenticated);
        }
        assert_eq!(authorize(spec, None, &own).unwrap_err().code, ErrorCode::Unauthenticated);
    }
}
