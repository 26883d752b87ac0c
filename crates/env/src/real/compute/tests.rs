use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use futures::future::{join_all, poll_immediate};

use super::*;
use crate::{ComputeStopped, compute};

fn pool(threads: usize, queued_jobs: usize) -> ThreadPool {
    ThreadPool::start(ThreadPoolShape { threads, queued_jobs }).unwrap()
}

/// A job that says when it began and runs until told to end.
struct Gate {
    begun: mpsc::Receiver<()>,
    end: mpsc::Sender<()>,
}

impl Gate {
    fn new() -> (Self, impl FnOnce() + Send + 'static) {
        let (began, begun) = mpsc::channel();
        let (end, ends) = mpsc::channel::<()>();
        let job = move || {
            began.send(()).unwrap();
            let _ = ends.recv();
        };
        (Self { begun, end }, job)
    }

    fn wait_until_begun(&self) {
        self.begun.recv().unwrap();
    }
}

#[tokio::test]
async fn a_panicking_job_is_an_error_to_its_caller_only() {
    let pool = pool(1, 4);
    let panicked = compute(&pool, Work::Foreground, || -> u32 { panic!("broken on purpose") });
    let message = "broken on purpose".to_owned();
    assert_eq!(panicked.await, Err(ComputeStopped::Panicked { message }));
    pool.run_boxed(Work::Repair, Box::new(|| panic!("a raw job, broken on purpose"))).await;
    assert_eq!(compute(&pool, Work::Foreground, || 7).await, Ok(7));
    assert_eq!(compute(&pool, Work::Repair, || 8).await, Ok(8));
}

#[tokio::test]
async fn a_full_queue_makes_callers_wait_and_loses_nothing() {
    let pool = pool(1, 2);
    let (gate, job) = Gate::new();
    let running = pool.run_boxed(Work::Foreground, Box::new(job));
    tokio::pin!(running);
    assert!(poll_immediate(running.as_mut()).await.is_none());
    gate.wait_until_begun();

    let order = Arc::new(Mutex::new(Vec::new()));
    let mut waiting: Vec<_> = (0..5)
        .map(|number| {
            let order = Arc::clone(&order);
            Box::pin(compute(&pool, Work::Foreground, move || order.lock().unwrap().push(number)))
        })
        .collect();
    for future in &mut waiting {
        assert!(poll_immediate(future).await.is_none());
    }
    assert_eq!(pool.shared.lock().foreground.len(), 2, "the rest waits with its callers");
    assert_eq!(pool.foreground_room.available_permits(), 0);

    gate.end.send(()).unwrap();
    running.await;
    assert!(join_all(waiting).await.iter().all(std::result::Result::is_ok));
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
    assert_eq!(pool.foreground_room.available_permits(), 2);
}

#[tokio::test]
async fn foreground_jobs_go_before_repair_jobs_that_waited_longer() {
    let pool = pool(1, 8);
    let (gate, job) = Gate::new();
    let running = pool.run_boxed(Work::Foreground, Box::new(job));
    tokio::pin!(running);
    assert!(poll_immediate(running.as_mut()).await.is_none());
    gate.wait_until_begun();

    let order = Arc::new(Mutex::new(Vec::new()));
    let mut waiting: Vec<_> = [Work::Repair, Work::Repair, Work::Foreground, Work::Foreground]
        .map(|class| {
            let order = Arc::clone(&order);
            Box::pin(compute(&pool, class, move || order.lock().unwrap().push(class)))
        })
        .into();
    for future in &mut waiting {
        assert!(poll_immediate(future).await.is_none());
    }
    gate.end.send(()).unwrap();
    join_all(waiting).await;
    let foreground_first = [Work::Foreground, Work::Foreground, Work::Repair, Work::Repair];
    assert_eq!(*order.lock().unwrap(), foreground_first);
}

#[tokio::test]
async fn repair_leaves_half_of_the_threads_alone() {
    let pool = pool(4, 8);
    let (gates, jobs): (Vec<_>, Vec<_>) = (0..3).map(|_| Gate::new()).unzip();
    let mut repairs: Vec<_> =
        jobs.into_iter().map(|job| pool.run_boxed(Work::Repair, Box::new(job))).collect();
    for future in &mut repairs {
        assert!(poll_immediate(future).await.is_none());
    }
    gates[0].wait_until_begun();
    gates[1].wait_until_begun();
    // Two free threads take foreground jobs, side by side, while the third repair waits.
    let (left, left_job) = Gate::new();
    let (right, right_job) = Gate::new();
    let mut left_future = pool.run_boxed(Work::Foreground, Box::new(left_job));
    let mut right_future = pool.run_boxed(Work::Foreground, Box::new(right_job));
    assert!(poll_immediate(&mut left_future).await.is_none());
    assert!(poll_immediate(&mut right_future).await.is_none());
    left.wait_until_begun();
    right.wait_until_begun();
    assert_eq!(pool.shared.lock().running_repairs, 2);
    assert_eq!(pool.shared.lock().repair.len(), 1);
    assert!(gates[2].begun.try_recv().is_err());

    gates[0].end.send(()).unwrap();
    gates[2].wait_until_begun();
    for gate in [&gates[1], &gates[2], &left, &right] {
        gate.end.send(()).unwrap();
    }
    join_all(repairs).await;
    left_future.await;
    right_future.await;
}

#[tokio::test]
async fn a_job_nobody_waits_for_any_more_is_not_begun() {
    let pool = pool(1, 4);
    let (gate, job) = Gate::new();
    let mut running = pool.run_boxed(Work::Foreground, Box::new(job));
    assert!(poll_immediate(&mut running).await.is_none());
    gate.wait_until_begun();
    let (ran, runs) = mpsc::channel();
    let mut unwanted = pool.run_boxed(Work::Foreground, Box::new(move || ran.send(()).unwrap()));
    assert!(poll_immediate(&mut unwanted).await.is_none());
    drop(unwanted);
    gate.end.send(()).unwrap();
    assert_eq!(compute(&pool, Work::Foreground, || ()).await, Ok(()));
    assert_eq!(runs.recv(), Err(mpsc::RecvError), "dropped without running");
}

#[tokio::test]
async fn a_dropped_pool_tells_those_who_wait() {
    let pool = pool(1, 1);
    let (gate, job) = Gate::new();
    let mut running = pool.run_boxed(Work::Foreground, Box::new(job));
    assert!(poll_immediate(&mut running).await.is_none());
    gate.wait_until_begun();
    let mut queued = pool.run_boxed(Work::Foreground, Box::new(|| ()));
    let mut outside = pool.run_boxed(Work::Foreground, Box::new(|| ()));
    assert!(poll_immediate(&mut queued).await.is_none());
    assert!(poll_immediate(&mut outside).await.is_none());
    drop(pool);
    queued.await;
    outside.await;
    gate.end.send(()).unwrap();
    running.await;
}
