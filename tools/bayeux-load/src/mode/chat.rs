//! The chat of CometD's benchmark: every client is in some rooms, and batches go out at fixed times from one client
//! after the other, each message to a random room.

use std::{rc::Rc, time::Duration};

use tokio::{
    sync::Mutex,
    task::spawn_local,
    time::{Instant, sleep_until},
};

use super::{rooms::channels, run::Run};
use crate::{Error, options::Chat, publisher::Publisher, random::Random, track::Track};

pub(super) async fn chat(run: &mut Run<'_>, chat: &Chat) -> Result<(), Error> {
    run.mode = format!(
        "chat of {} clients in {} of {} rooms each",
        chat.clients, chat.rooms_per_client, chat.rooms
    );
    let options = run.options;
    let mut random = Random::new(1);
    let channels = channels(chat.rooms);
    let lists = rooms_of_each(chat, &mut random);
    run.crowd.gather(&run.ways, lists, &channels, true).await?;
    run.ready(run.crowd.count());

    let text: Rc<str> = "x".repeat(options.message_size).into();
    let publishers: Vec<_> = (0..chat.clients)
        .filter_map(|number| {
            let session = run.crowd.publishing(number as usize)?;
            let publisher = Publisher::new(number, session, &run.track, &channels, &text);
            Some(Rc::new(Mutex::new(publisher)))
        })
        .collect();
    let warmup = u64::try_from(options.warmup.as_micros())? / chat.batch_pause.max(1);
    send(chat, warmup, &publishers, &run.track, &mut random).await?;
    run.track.drain(options.stall).await;
    run.start();
    let batches = chat.batches.min(options.messages);
    send(chat, batches, &publishers, &run.track, &mut random).await?;
    run.end().await;
    Ok(())
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
) -> Result<(), Error> {
    let pause = Duration::from_micros(chat.batch_pause);
    // Somebody is in every room with the default numbers; with others, some may be empty.
    let rooms = track.channels_with_members();
    let count = u32::try_from(rooms.len())?;
    let mut due = Instant::now();
    let mut sending = Vec::new();
    for publisher in publishers.iter().cycle().take(usize::try_from(batches)?) {
        due += pause;
        sleep_until(due).await;
        let batch: Vec<_> = (0..chat.batch_size)
            .map(|_| rooms[random.below(count) as usize])
            .collect();
        let (publisher, track) = (Rc::clone(publisher), Rc::clone(track));
        sending.push(spawn_local(async move {
            if let Err(error) = publisher.lock().await.publish(&batch, due).await {
                track.failed(&error);
            }
        }));
    }
    for sent in sending {
        sent.await?;
    }
    Ok(())
}
