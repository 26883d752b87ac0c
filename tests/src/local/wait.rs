//! Waiting for what no route tells.

use std::time::{Duration, Instant};

/// How long anything may take; far more than it does.
const LONGEST: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(25);

/// Looks again and again until there is something; `what` is named when it never comes.
pub async fn until<T, F>(what: &str, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    let end = Instant::now() + LONGEST;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(why) if Instant::now() > end => panic!("waited in vain for {what}: {why}"),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
