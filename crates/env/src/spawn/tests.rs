use futures::FutureExt;
use futures::future::pending;
use tokio::sync::oneshot;

use super::*;
use crate::TokioSpawn;

#[tokio::test]
async fn dropping_a_task_aborts_it() {
    let (alive, ended) = oneshot::channel::<()>();
    let task = TokioSpawn.spawn(
        "held",
        async move {
            let _alive = alive;
            pending::<()>().await;
        }
        .boxed(),
    );
    assert!(!task.is_finished());
    drop(task);
    assert!(ended.await.is_err(), "the task's values are dropped");
}

#[tokio::test]
async fn a_detached_task_runs_on() {
    let (go, gone) = oneshot::channel::<()>();
    let (done, ended) = oneshot::channel();
    let body = async move {
        gone.await.unwrap();
        done.send(5).unwrap();
    };
    TokioSpawn.spawn("detached", body.boxed()).detach();
    go.send(()).unwrap();
    assert_eq!(ended.await, Ok(5));
}

#[tokio::test]
async fn join_tells_how_it_ended() {
    let mut task = TokioSpawn.spawn("fine", async {}.boxed());
    assert_eq!(task.name(), "fine");
    assert_eq!(task.join().await, Ok(()));
    assert_eq!(task.join().await, Ok(()));
    assert!(task.is_finished());

    let mut task = TokioSpawn.spawn("broken", async { panic!("on {}", "purpose") }.boxed());
    let message = "on purpose".to_owned();
    assert_eq!(task.join().await, Err(TaskFailed::Panicked { name: "broken", message }));

    let mut task = TokioSpawn.spawn("endless", pending().boxed());
    task.abort();
    assert_eq!(task.join().await, Err(TaskFailed::Aborted { name: "endless" }));
}

#[tokio::test]
async fn a_join_given_up_does_not_end_the_task() {
    let (go, gone) = oneshot::channel::<()>();
    let mut task = TokioSpawn.spawn("slow", async { gone.await.unwrap() }.boxed());
    assert!(task.join().now_or_never().is_none());
    assert!(!task.is_finished());
    go.send(()).unwrap();
    assert_eq!(task.join().await, Ok(()));
}
