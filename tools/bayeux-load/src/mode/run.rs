//! What all modes share. It outlives the mode, which an error or the deadline may end anywhere, so that there is a
//! report of what was measured until then.

use std::rc::Rc;

use super::{crowd::Crowd, meter::Meter};
use crate::{Error, Options, Report, session::Ways, track::Track};

/// One run, so far.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub(super) options: &'a Options,
    /// What the mode says of itself.
    pub(super) mode: String,
    /// How many messages are to be sent while it is measured, if that does not depend on the server.
    pub(super) planned: Option<u64>,
    pub(super) ways: Rc<Ways>,
    pub(super) track: Rc<Track>,
    pub(super) crowd: Crowd,
    meter: Meter<'a>,
}

impl<'a> Run<'a> {
    /// Before the first client comes.
    pub(super) fn new(options: &'a Options) -> Result<Self, Error> {
        let meter = Meter::new(options)?;
        let track = Track::new();
        Ok(Self {
            options,
            mode: String::new(),
            planned: None,
            ways: Rc::new(Ways::new(options)),
            crowd: Crowd::new(&track),
            track,
            meter,
        })
    }

    /// So many clients are there: from now on there is something to report, whatever fails.
    pub(super) fn ready(&mut self, clients: usize) {
        self.meter.ready(clients);
    }

    pub(super) fn is_ready(&self) -> bool {
        self.meter.is_ready()
    }

    /// Begins to measure.
    pub(super) fn start(&mut self) {
        self.meter.start(&self.track);
    }

    /// Waits for what is still on its way, and ends to measure.
    pub(super) async fn end(&mut self) {
        self.track.drain(self.options.stall).await;
        self.meter.end(&self.track);
    }

    pub(super) fn report(self) -> Report {
        let mut report = self.meter.report(self.mode, &self.track);
        self.crowd.dismiss();
        report.planned = self.planned;
        report.checks = self.track.checks.borrow().clone();
        report
    }
}
