//! The loop around a simulation.

use std::any::Any;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;

use super::world::{Order, SCRIPT, STEWARD};
use super::{Atlas, Setup, World, hosts, jobs, succession};
use crate::sim::sim_builder;

/// No script takes longer.
const LONGEST: Duration = Duration::from_hours(3);

/// Runs a script against a committee that has begun and serves. Gives the world as the script left
/// it, all hosts off. Panics with the script.
pub fn run<S, F>(setup: Setup, script: S) -> Arc<World>
where
    S: FnOnce(Arc<World>) -> F + 'static,
    F: Future<Output = ()> + 'static,
{
    let world = Arc::new(World::new(setup));
    let mut sim =
        sim_builder(setup.seed).tick_duration(setup.tick).simulation_duration(LONGEST).build();
    for node in [world.nodes(), world.spares()].concat() {
        let world = Arc::clone(&world);
        sim.host(node.to_string(), move || hosts::storage_node(Arc::clone(&world), node.clone()));
    }
    for gateway in world.gateways() {
        let world = Arc::clone(&world);
        sim.host(gateway.clone(), move || hosts::gateway(Arc::clone(&world), gateway.clone()));
    }
    for steward in world.stewards() {
        let world = Arc::clone(&world);
        sim.host(steward.clone(), move || succession::steward(Arc::clone(&world), steward.clone()));
    }
    for job in world.jobs() {
        let world = Arc::clone(&world);
        sim.host(job.clone(), move || jobs::repair(Arc::clone(&world), job.clone()));
    }
    sim.client(STEWARD, hosts::steward(Arc::clone(&world)));
    let panicked: Arc<Mutex<Option<Box<dyn Any + Send>>>> = Arc::default();
    let (played, failed) = (Arc::clone(&world), Arc::clone(&panicked));
    sim.client(SCRIPT, async move {
        while played.state().genesis.is_none() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        *played.atlas() = Atlas::of(&played.record());
        if let Err(panic) = AssertUnwindSafe(script(played)).catch_unwind().await {
            *failed.lock().unwrap() = Some(panic);
        }
        Ok(())
    });
    while !sim.step().expect("the simulation goes on") {
        loop {
            let order = world.state().orders.pop_front();
            let Some((order, done)) = order else { break };
            match order {
                Order::Crash(host) => sim.crash(host),
                Order::Start(host) => sim.bounce(host),
            }
            // A script that has ended waits for nothing.
            let _ = done.send(());
        }
    }
    drop(sim);
    if let Some(panic) = panicked.lock().unwrap().take() {
        resume_unwind(panic);
    }
    world
}
