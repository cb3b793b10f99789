//! Sessions that wait.

use tokio::time::{Instant, sleep};

use super::{rooms::channels, run::Run};
use crate::{Error, publisher::Publisher, session::Session};

/// Holds sessions for a while, then sends one message that must reach all. The CPU time is that of the wait and of the
/// message.
pub(super) async fn idle(run: &mut Run<'_>, sessions: u32) -> Result<(), Error> {
    run.mode = format!("{sessions} idle sessions");
    let channels = channels(1);
    let lists = vec![vec![0]; sessions as usize];
    run.crowd.gather(&run.ways, lists, &channels, false).await?;
    run.ready(run.crowd.count());

    run.start();
    sleep(run.options.duration).await;
    let text = "x".repeat(run.options.message_size).into();
    let session = Session::start(&run.ways, 0).await?;
    let mut publisher = Publisher::new(0, session, &run.track, &channels, &text);
    if let Err(error) = publisher.publish(&[0], Instant::now()).await {
        run.track.failed(&error);
    }
    run.end().await;
    Ok(())
}
