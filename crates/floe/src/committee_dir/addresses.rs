//! Consecutive addresses, one for each node and one for the gateway.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use anyhow::{Context, bail};
use floe_env::Random;

/// Where nodes talk to each other.
pub(super) const INTERNAL_PORT: u16 = 7443;
/// Where a process shows `/livez`, `/readyz` and `/metrics`.
pub(super) const METRICS_PORT: u16 = 9090;
/// How often addresses are drawn.
const DRAWS: usize = 100;

/// The address `by` after `first`.
pub(super) fn after(first: IpAddr, by: u16) -> anyhow::Result<IpAddr> {
    let next = match first {
        IpAddr::V4(first) => {
            first.to_bits().checked_add(u32::from(by)).map(|bits| Ipv4Addr::from_bits(bits).into())
        }
        IpAddr::V6(first) => {
            first.to_bits().checked_add(u128::from(by)).map(|bits| Ipv6Addr::from_bits(bits).into())
        }
    };
    next.with_context(|| format!("there are no {by} addresses after {first}"))
}

/// Draws 127.x.y.1, such that nobody listens on it or the `count - 1` addresses after it.
pub(super) fn draw(random: &dyn Random, count: u16) -> anyhow::Result<IpAddr> {
    for _ in 0..DRAWS {
        let [x, y] = random.bytes();
        // Far from both ends of 127.0.0.0/8, and from 127.0.0.1 and 127.0.1.1 with their usual names.
        let first = IpAddr::V4(Ipv4Addr::new(127, x.clamp(1, 254), y, 1));
        if (0..count).all(|by| is_free(first, by)) {
            return Ok(first);
        }
    }
    bail!(
        "no {count} addresses of 127.0.0.0/8 with free ports {INTERNAL_PORT} and {METRICS_PORT}; \
         choose them with --first-address"
    )
}

fn is_free(first: IpAddr, by: u16) -> bool {
    after(first, by).is_ok_and(|address| {
        [INTERNAL_PORT, METRICS_PORT]
            .into_iter()
            .all(|port| TcpListener::bind(SocketAddr::new(address, port)).is_ok())
    })
}

#[cfg(test)]
mod tests {
    use floe_env::OsRandom;

    use super::*;

    #[test]
    fn addresses_are_consecutive() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(after(address("127.3.4.1"), 6).unwrap(), address("127.3.4.7"));
        assert_eq!(after(address("127.3.4.1"), 256).unwrap(), address("127.3.5.1"));
        assert_eq!(after(address("::1"), 1).unwrap(), address("::2"));
        assert!(after(address("255.255.255.255"), 1).is_err());
    }

    #[test]
    fn drawn_addresses_are_loopback() {
        let first = draw(&OsRandom, 8).unwrap();
        assert!(first.is_loopback() && after(first, 7).unwrap().is_loopback());
    }
}
