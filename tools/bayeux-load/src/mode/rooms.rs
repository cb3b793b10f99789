//! Publishers and subscribers on one channel, or on many.

use std::{rc::Rc, time::Duration};

use tokio::task::spawn_local;

use super::run::Run;
use crate::{
    Error,
    options::Pace,
    publisher::{Amount, Pacing, Publisher},
    session::Session,
};

/// One channel, many subscribers, one publisher.
pub(super) async fn fanout(run: &mut Run<'_>, subscribers: u32, pace: Pace) -> Result<(), Error> {
    let pacing = match pace.rate {
        Some(rate) => Pacing::Every(Duration::try_from_secs_f64(1.0 / rate)?),
        None if pace.flood => Pacing::Flood,
        None => Pacing::Closed,
    };
    let plan = Plan {
        lists: vec![vec![0]; subscribers as usize],
        channels: channels(1),
        publishers: 1,
        in_flight: 1,
        pacing,
    };
    run.planned = pacing.planned(run.options.messages, run.options.duration);
    run.mode = format!("fanout to {subscribers} ({pacing:?})");
    publish(run, plan).await
}

/// Many channels; each client is on one of them.
pub(super) async fn rooms(
    run: &mut Run<'_>,
    clients: u32,
    rooms: u32,
    publishers: u32,
    in_flight: u32,
) -> Result<(), Error> {
    let plan = Plan {
        lists: (0..clients).map(|client| vec![client % rooms]).collect(),
        channels: channels(rooms),
        publishers,
        in_flight,
        pacing: Pacing::Closed,
    };
    run.mode = format!("{clients} clients in {rooms} rooms, {publishers} publishers with {in_flight} messages each");
    publish(run, plan).await
}

pub(super) fn channels(count: u32) -> Rc<[String]> {
    (0..count).map(|number| format!("/load/room/{number}")).collect()
}

struct Plan {
    /// The channels of each subscriber.
    lists: Vec<Vec<u32>>,
    channels: Rc<[String]>,
    publishers: u32,
    in_flight: u32,
    pacing: Pacing,
}

async fn publish(run: &mut Run<'_>, plan: Plan) -> Result<(), Error> {
    let options = run.options;
    run.crowd.gather(&run.ways, plan.lists, &plan.channels, false).await?;
    run.ready(run.crowd.count());

    let text: Rc<str> = "x".repeat(options.message_size).into();
    let mut publishers = Vec::new();
    for number in 0..plan.publishers {
        let session = Session::start(&run.ways, number).await?;
        for lane in 0..plan.in_flight {
            // Each message under way needs a connection of its own, and has a sequence of its own.
            let number = number * plan.in_flight + lane;
            publishers.push(Publisher::new(
                number,
                session.again().await?,
                &run.track,
                &plan.channels,
                &text,
            ));
        }
    }
    let warmup = Amount::new(options.messages, options.warmup);
    publishers = send(publishers, plan.pacing, warmup, options.stall).await?;
    run.track.drain(options.stall).await;
    run.start();
    let amount = Amount::new(options.messages, options.duration);
    // They are closed when all is measured: that is no part of the load.
    let _publishers = send(publishers, plan.pacing, amount, options.stall).await?;
    run.end().await;
    Ok(())
}

/// Lets all publishers send, side by side.
async fn send(
    publishers: Vec<Publisher>,
    pacing: Pacing,
    amount: Rc<Amount>,
    stall: Duration,
) -> Result<Vec<Publisher>, Error> {
    let sending: Vec<_> = publishers
        .into_iter()
        .map(|mut publisher| {
            let amount = Rc::clone(&amount);
            spawn_local(async move {
                publisher.run(pacing, &amount, stall).await;
                publisher
            })
        })
        .collect();
    let mut publishers = Vec::new();
    for publisher in sending {
        publishers.push(publisher.await?);
    }
    Ok(publishers)
}
