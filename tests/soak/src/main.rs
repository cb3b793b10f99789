//! A crowd that comes and goes for a long time, and what is left of it in the server. `tests/soak/run` starts it.
//!
//! The server is a process of its own, so that its memory can be told from the crowd's.

mod check;
mod figures;
mod http;
mod life;
mod options;
mod polling;
mod serve;
mod socket;

use std::{
    net::SocketAddr,
    process::{ExitCode, Stdio},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    sync::watch,
    task::JoinSet,
    time::{Instant, interval, timeout},
};

use check::Tally;
use figures::{Figures, Sample};
use life::Crowd;
use options::Options;
use serve::Gauges;

/// What ends a run early.
type Error = Box<dyn std::error::Error + Send + Sync>;

/// How often a line is printed.
const SAMPLE: Duration = Duration::from_secs(10);

/// How long the last sessions may take to expire: those whose clients have fallen silent are held once more.
const DYING: Duration = Duration::from_secs(90);

#[tokio::main]
async fn main() -> Result<ExitCode, Error> {
    if std::env::args().nth(1).as_deref() == Some("serve") {
        serve::serve().await?;
        return Ok(ExitCode::SUCCESS);
    }
    let is_well = soak(&Options::parse(std::env::args().skip(1))?).await?;
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The server's process, and what it says once a second.
struct Server {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    address: SocketAddr,
}

impl Server {
    async fn start(rooms: u32) -> Result<Self, Error> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("serve")
            .arg(rooms.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = process.stdout.take().ok_or("no output")?;
        let mut lines = BufReader::new(output).lines();
        let address = lines.next_line().await?.ok_or("no address")?.parse()?;
        Ok(Self {
            process,
            lines,
            address,
        })
    }

    async fn gauges(&mut self) -> Result<Gauges, Error> {
        let line = self.lines.next_line().await?.ok_or("the server has ended")?;
        Ok(serde_json::from_str(&line)?)
    }

    async fn sample(&mut self, age: Duration) -> Result<Sample, Error> {
        let gauges = self.gauges().await?;
        let pid = self.process.id().ok_or("the server has ended")?;
        Ok(Sample {
            age,
            resident: figures::resident(pid)?,
            gauges,
        })
    }

    /// Publishes no more.
    fn quieten(&mut self) {
        drop(self.process.stdin.take());
    }
}

/// Runs the crowd, and says whether all was well.
async fn soak(options: &Options) -> Result<bool, Error> {
    let mut server = Server::start(options.rooms()).await?;
    let (stop, stopped) = watch::channel(false);
    let tally = Arc::new(Tally::default());
    let mut crowd = JoinSet::new();
    for number in 0..options.sessions {
        let member = Crowd {
            address: server.address,
            rooms: options.rooms(),
            tally: Arc::clone(&tally),
            stopped: stopped.clone(),
        };
        crowd.spawn(member.live(number));
    }
    let mut figures = Figures::default();
    let begin = Instant::now();
    println!("{}", Sample::HEAD);
    let mut due = interval(SAMPLE);
    due.tick().await;
    let mut next = begin + SAMPLE;
    while begin.elapsed() < options.duration {
        let sample = server.sample(begin.elapsed()).await?;
        if Instant::now() >= next {
            next += SAMPLE;
            println!("{sample}");
            figures.add(sample);
        }
    }
    stop.send(true)?;
    while let Some(ended) = crowd.join_next().await {
        ended?;
    }
    server.quieten();
    let left = timeout(DYING, async {
        loop {
            let sample = server.sample(begin.elapsed()).await?;
            if sample.gauges.is_empty() {
                return Ok::<_, Error>(sample);
            }
        }
    })
    .await;
    let last = match left {
        Ok(sample) => sample?,
        Err(_) => server.sample(begin.elapsed()).await?,
    };
    println!("{last}");
    Ok(figures.verdict(&last, &tally))
}
