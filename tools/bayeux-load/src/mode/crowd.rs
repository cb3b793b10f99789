//! Subscribers: each with a session, and a connect that is sent again whenever it is answered.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use tokio::{
    sync::Semaphore,
    task::{JoinHandle, spawn_local},
    time::sleep,
};

use crate::{
    Error,
    ledger::Ledger,
    session::{Session, Ways},
    track::Track,
};

/// How many clients are set up at a time: below what a listener lets wait.
const AT_A_TIME: usize = 64;
/// What the last connects take to be held.
const SETTLE: Duration = Duration::from_millis(200);

/// All subscribers of a run.
#[derive(Debug)]
pub(super) struct Crowd {
    members: Vec<Member>,
    track: Rc<Track>,
}

#[derive(Debug)]
struct Member {
    channels: Rc<[u32]>,
    ledger: Rc<RefCell<Ledger>>,
    /// The session on a connection of its own, for whoever wants to publish in its name.
    publishing: RefCell<Option<Session>>,
    poll: JoinHandle<()>,
}

impl Crowd {
    pub(super) fn new(track: &Rc<Track>) -> Self {
        Self {
            members: Vec::new(),
            track: Rc::clone(track),
        }
    }

    /// Sets up one subscriber for each list of channels, and waits until all have their connects under way. One that
    /// can't be set up is an error in the report, and the others go on without it.
    pub(super) async fn gather(
        &mut self,
        ways: &Rc<Ways>,
        lists: Vec<Vec<u32>>,
        channels: &Rc<[String]>,
        publish: bool,
    ) -> Result<(), Error> {
        let places = Rc::new(Semaphore::new(AT_A_TIME));
        let joining: Vec<_> = (0..)
            .zip(lists)
            .map(|(number, list)| {
                let (ways, channels, track) = (Rc::clone(ways), Rc::clone(channels), Rc::clone(&self.track));
                let places = Rc::clone(&places);
                spawn_local(async move {
                    let _place = places.acquire().await?;
                    join(&ways, number, list.into(), channels, track, publish).await
                })
            })
            .collect();
        for (number, member) in (0..).zip(joining) {
            match member.await? {
                Ok(member) => self.members.push(member),
                Err(error) => self.track.not_set_up(number, &error),
            }
        }
        self.track.check_anyone(self.members.len())?;
        sleep(SETTLE).await;
        Ok(())
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.members.len()
    }

    /// The session of one member, on a connection of its own.
    pub(super) fn publishing(&self, number: usize) -> Option<Session> {
        self.members.get(number)?.publishing.borrow_mut().take()
    }

    /// Ends all connects and counts what was lost.
    pub(super) fn dismiss(self) {
        for member in self.members {
            member.poll.abort();
            self.track.count_lost(&member.ledger.borrow(), &member.channels);
        }
    }
}

async fn join(
    ways: &Ways,
    number: u32,
    list: Rc<[u32]>,
    channels: Rc<[String]>,
    track: Rc<Track>,
    publish: bool,
) -> Result<Member, Error> {
    let mut session = Session::start(ways, number).await?;
    for channel in &*list {
        session.subscribe(&channels[*channel as usize]).await?;
    }
    // As cometd.js does: not every server answers the first connect at once by itself.
    session.connect_at_once().await?;
    let publishing = if publish { Some(session.again().await?) } else { None };
    let ledger = Rc::new(RefCell::new(Ledger::default()));
    track.joined(&list);
    let started = Rc::new(Cell::new(false));
    let poll = spawn_local({
        let (ledger, list, started) = (Rc::clone(&ledger), Rc::clone(&list), Rc::clone(&started));
        async move {
            started.set(true);
            if let Err(error) = poll(session, &list, &channels, &track, &ledger).await {
                track.failed(&error);
            }
        }
    });
    while !started.get() {
        tokio::task::yield_now().await;
    }
    Ok(Member {
        channels: list,
        ledger,
        publishing: RefCell::new(publishing),
        poll,
    })
}

/// Connects for ever, and notes what comes.
async fn poll(
    mut session: Session,
    list: &[u32],
    channels: &[String],
    track: &Track,
    ledger: &RefCell<Ledger>,
) -> Result<(), Error> {
    loop {
        let mut interval = 0;
        let mut has_events = false;
        for message in session.connect().await? {
            let Some(payload) = &message.data else {
                message.check()?;
                interval = message.advice.interval;
                continue;
            };
            has_events = true;
            let is_its_channel = channels
                .get(payload.c as usize)
                .is_some_and(|name| *name == *message.channel);
            if is_its_channel && list.contains(&payload.c) {
                track.arrived(&mut ledger.borrow_mut(), &track.awaited(payload.p), payload);
            } else {
                track.misrouted();
            }
        }
        track.answers.set(track.answers.get() + u64::from(has_events));
        if interval > 0 {
            sleep(Duration::from_millis(interval)).await;
        }
    }
}
