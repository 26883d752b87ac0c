//! Connections without use, kept for a while. Nothing here waits or runs by itself: connections
//! that became too old are dropped when the pool is used next, and those that servers close close.

use std::collections::BTreeMap;
use std::time::Duration;

use floe_env::Task;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;

use super::{Target, TransportLimits};
use crate::pieces::Pieces;

/// One connection; dropping it closes it.
pub(super) struct Connection {
    sender: SendRequest<Pieces>,
    _task: Task,
}

impl Connection {
    pub(super) const fn new(sender: SendRequest<Pieces>, task: Task) -> Self {
        Self { sender, _task: task }
    }

    pub(super) async fn send(
        &mut self,
        request: Request<Pieces>,
    ) -> hyper::Result<Response<Incoming>> {
        self.sender.ready().await?;
        self.sender.send_request(request).await
    }
}

struct Idle {
    connection: Connection,
    /// Monotonic time of its last use.
    since: Duration,
}

/// Connections without use, by target.
pub(super) struct Pool {
    limits: TransportLimits,
    /// The oldest first; no list is empty.
    idle: BTreeMap<Target, Vec<Idle>>,
}

impl Pool {
    pub(super) const fn new(limits: TransportLimits) -> Self {
        Self { limits, idle: BTreeMap::new() }
    }

    /// The connection to `target` that was used last.
    pub(super) fn take(&mut self, target: &Target, now: Duration) -> Option<Connection> {
        self.drop_old(now);
        let list = self.idle.get_mut(target)?;
        let taken = list.pop().map(|idle| idle.connection);
        if list.is_empty() {
            self.idle.remove(target);
        }
        taken
    }

    /// Keeps a connection; beyond a limit the oldest goes.
    pub(super) fn put(&mut self, target: &Target, connection: Connection, now: Duration) {
        self.drop_old(now);
        if connection.sender.is_closed() || self.limits.most_idle_per_target == 0 {
            return;
        }
        let list = self.idle.entry(target.clone()).or_default();
        if list.len() >= self.limits.most_idle_per_target {
            list.remove(0);
        }
        list.push(Idle { connection, since: now });
        while self.count() > self.limits.most_idle {
            self.drop_oldest();
        }
    }

    /// Closes all connections to `target`.
    pub(super) fn forget(&mut self, target: &Target) {
        self.idle.remove(target);
    }

    fn count(&self) -> usize {
        self.idle.values().map(Vec::len).sum()
    }

    fn drop_oldest(&mut self) {
        let first = |list: &Vec<Idle>| list.first().map_or(Duration::MAX, |idle| idle.since);
        let oldest = self.idle.iter().min_by_key(|(_, list)| first(list));
        let Some(target) = oldest.map(|(target, _)| target.clone()) else {
            return;
        };
        if let Some(list) = self.idle.get_mut(&target) {
            list.remove(0);
            if list.is_empty() {
                self.idle.remove(&target);
            }
        }
    }

    fn drop_old(&mut self, now: Duration) {
        let limit = self.limits.idle_timeout;
        self.idle.retain(|_, list| {
            list.retain(|idle| {
                now.saturating_sub(idle.since) < limit && !idle.connection.sender.is_closed()
            });
            !list.is_empty()
        });
    }
}
