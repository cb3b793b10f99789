//! The chat of CometD's benchmark: every client is in some rooms, and batches go out at fixed times from one client
//! after the other, each message to a random room.

use std::{rc::Rc, time::Duration};

use tokio::{
    sync::Mutex,
    task::spawn_local,
    time::{Instant, sleep_until, timeout},
};

use super::{crowd::Crowd, meter::Meter, rooms::channels};
use crate::{Error, Options, Report, options::Chat, publisher::Publisher, random::Random, session::Ways, track::Track};

pub(super) async fn chat(options: &Options, chat: &Chat) -> Result<Report, Error> {
    let mut meter = Meter::new(options);
    let mut random = Random::new(1);
    let channels = channels(chat.rooms);
    let lists = rooms_of_each(chat, &mut random);
    let track = Track::new(channels.len());
    let ways = Rc::new(Ways::new(options));
    let crowd = Crowd::gather(&ways, lists, &channels, &track, true).await?;
    meter.ready();

    let text: Rc<str> = "x".repeat(options.message_size).into();
    let publishers: Vec<_> = (0..chat.clients)
        .filter_map(|number| {
            let session = crowd.publishing(number as usize)?;
            let publisher = Publisher::new(number, session, &track, &channels, &text);
            Some(Rc::new(Mutex::new(publisher)))
        })
        .collect();
    let pause = Duration::from_micros(chat.batch_pause);
    let warmup = u64::try_from(options.warmup.as_micros())? / chat.batch_pause.max(1);
    send(chat, warmup, &publishers, &track, &mut random, pause, options.stall).await?;
    track.drain(options.stall).await;
    meter.start(&track);
    let batches = chat.batches.min(options.messages);
    send(chat, batches, &publishers, &track, &mut random, pause, options.stall).await?;
    track.drain(options.stall).await;
    let mode = format!(
        "chat of {} clients in {} of {} rooms each",
        chat.clients, chat.rooms_per_client, chat.rooms
    );
    let mut report = meter.report(mode, chat.clients, &track);
    crowd.dismiss();
    report.checks = track.checks.borrow().clone();
    Ok(report)
}

/// Distinct random rooms for each client.
fn rooms_of_each(chat: &Chat, random: &mut Random) -> Vec<Vec<u32>> {
    let of_one = |_| {
        let mut rooms = Vec::new();
        while rooms.len() < chat.rooms_per_client.min(chat.rooms) as usize {
            let room = random.below(chat.rooms);
            if !rooms.contains(&room) {
                rooms.push(room);
            }
        }
        rooms
    };
    (0..chat.clients).map(of_one).collect()
}

async fn send(
    chat: &Chat,
    batches: u64,
    publishers: &[Rc<Mutex<Publisher>>],
    track: &Rc<Track>,
    random: &mut Random,
    pause: Duration,
    stall: Duration,
) -> Result<(), Error> {
    let mut due = Instant::now();
    let mut sending = Vec::new();
    for publisher in publishers.iter().cycle().take(usize::try_from(batches)?) {
        due += pause;
        sleep_until(due).await;
        let mut rooms = Vec::new();
        while rooms.len() < chat.batch_size as usize {
            let room = random.below(chat.rooms);
            // Somebody is in a room with the default numbers; with others, none may be.
            if track.has_members(room) {
                rooms.push(room);
            }
        }
        let (publisher, track) = (Rc::clone(publisher), Rc::clone(track));
        sending.push(spawn_local(async move {
            let sent = timeout(stall, async { publisher.lock().await.publish(&rooms, due).await }).await;
            if let Err(error) = sent.unwrap_or_else(|_| Err("a batch was not answered".into())) {
                track.failed(&error);
            }
        }));
    }
    for sent in sending {
        sent.await?;
    }
    Ok(())
}
