//! Sessions that wait.

use std::rc::Rc;

use tokio::time::{Instant, sleep};

use super::{crowd::Crowd, meter::Meter, rooms::channels};
use crate::{
    Error, Options, Report,
    publisher::Publisher,
    session::{Session, Ways},
    track::Track,
};

/// Holds sessions for a while, then sends one message that must reach all. The CPU time is that of the wait and of the
/// message.
pub(super) async fn idle(options: &Options, sessions: u32) -> Result<Report, Error> {
    let mut meter = Meter::new(options);
    let channels = channels(1);
    let lists = vec![vec![0]; sessions as usize];
    let track = Track::new(channels.len());
    let ways = Rc::new(Ways::new(options));
    let crowd = Crowd::gather(&ways, lists, &channels, &track, false).await?;
    meter.ready();

    meter.start(&track);
    sleep(options.duration).await;
    let text = "x".repeat(options.message_size).into();
    let session = Session::start(&ways, 0).await?;
    let mut publisher = Publisher::new(0, session, &track, &channels, &text);
    publisher.publish(&[0], Instant::now()).await?;
    track.drain(options.stall).await;
    let mut report = meter.report(format!("{sessions} idle sessions"), sessions, &track);
    crowd.dismiss();
    report.checks = track.checks.borrow().clone();
    Ok(report)
}
