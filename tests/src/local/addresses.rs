//! Consecutive loopback addresses that nobody uses.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Mutex;

use floe_env::Random;

/// Where nodes talk to each other.
pub(super) const API_PORT: u16 = 7443;
/// Where nodes show their metrics.
pub(super) const METRICS_PORT: u16 = 9090;

/// Drawn by this process: what is drawn is not bound at once.
static DRAWN: Mutex<BTreeSet<[u8; 2]>> = Mutex::new(BTreeSet::new());

/// 127.x.y.1 to 127.x.y.count.
pub(super) fn draw(random: &dyn Random, count: u8) -> Vec<Ipv4Addr> {
    for _ in 0..1000 {
        let [x, y] = random.bytes();
        let x = x.clamp(1, 254);
        let addresses: Vec<Ipv4Addr> = (1..=count).map(|i| Ipv4Addr::new(127, x, y, i)).collect();
        if addresses.iter().all(|address| is_free(*address)) && DRAWN.lock().unwrap().insert([x, y])
        {
            return addresses;
        }
    }
    panic!("no {count} addresses of 127.0.0.0/8 are free");
}

fn is_free(address: Ipv4Addr) -> bool {
    let bind = |port| TcpListener::bind(SocketAddr::new(address.into(), port));
    [API_PORT, METRICS_PORT].into_iter().all(|port| bind(port).is_ok())
}
