//! Who runs against whom, in which order, how often.

use std::{collections::BTreeMap, error::Error, path::PathBuf};

use serde_json::Value;

use crate::server::{SERVERS, Server, on_core};

/// What is put on each server.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    /// Its name in the results.
    pub(crate) name: String,
    /// What it counts the server's time by.
    pub(crate) per: &'static str,
    arguments: String,
}

/// How all is run.
#[derive(Debug)]
pub(crate) struct Contest {
    pub(crate) load: PathBuf,
    pub(crate) rust: PathBuf,
    pub(crate) node: PathBuf,
    pub(crate) repeats: usize,
    pub(crate) seconds: u32,
    pub(crate) sessions: &'static [u32],
    pub(crate) pinned: bool,
}

/// The reports of each scenario and server.
#[derive(Debug, Default)]
pub(crate) struct Results(BTreeMap<(String, &'static str), Vec<Value>>);

/// The median of some runs, and how far they lie apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Median {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Contest {
    pub(crate) fn scenarios(&self) -> Vec<Scenario> {
        let scenario = |name: &str, per, arguments: &str| Scenario {
            name: name.to_owned(),
            per,
            arguments: format!("--duration {} {arguments}", self.seconds),
        };
        let mut scenarios = vec![
            scenario("fan-out to 100", "delivery", "fanout --subscribers 100"),
            scenario("fan-out to 1,000", "delivery", "fanout --subscribers 1000"),
            scenario("1,000 clients in 100 rooms", "delivery", "rooms"),
            scenario(
                "fan-out to 100, flat out",
                "delivery",
                "fanout --subscribers 100 --flood",
            ),
            scenario("1,000 clients in 100 busy rooms", "delivery", "rooms --in-flight 250"),
            scenario("handshake and disconnect", "operation", "handshake"),
            scenario("connect with timeout 0", "operation", "connect"),
        ];
        for sessions in self.sessions {
            let arguments = format!("--sources 2 idle --sessions {sessions}");
            scenarios.push(scenario(&idle(*sessions), "session", &arguments));
        }
        scenarios
    }

    /// Runs everything: all servers in turn, then all again, so that what changes on the machine meets all alike.
    pub(crate) fn run(&self) -> Result<Results, Box<dyn Error>> {
        let mut results = Results::default();
        for scenario in self.scenarios() {
            for repeat in 1..=self.repeats {
                for server in SERVERS {
                    eprint!("{} ({repeat} of {}): {} ", scenario.name, self.repeats, server.name);
                    let report = self.measure(&scenario, server)?;
                    eprintln!("{}", summary(&report));
                    results
                        .0
                        .entry((scenario.name.clone(), server.name))
                        .or_default()
                        .push(report);
                }
            }
        }
        Ok(results)
    }

    /// A fresh server for each run. A run that fails is a report that says so.
    fn measure(&self, scenario: &Scenario, server: &Server) -> Result<Value, Box<dyn Error>> {
        let running = server.start(&self.rust, &self.node, self.pinned)?;
        let mut load = on_core(1, self.pinned, &self.load);
        load.args(["--url", &running.url, "--json", "-", "--deadline", "60", "--stall", "3"]);
        load.args(["--spin", "--server-pid", &running.pid().to_string()]);
        if server.endpoints {
            load.arg("--endpoints");
        }
        let output = load.args(scenario.arguments.split(' ')).output()?;
        let report = serde_json::from_slice(&output.stdout);
        Ok(report.unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&output.stderr).trim().to_owned())))
    }
}

fn summary(report: &Value) -> String {
    match report {
        Value::String(failure) => failure.clone(),
        _ => format!(
            "cpu {} per delivery, {} per operation, checks {}",
            report["server"]["cpu_us_per_delivery"], report["server"]["cpu_us_per_operation"], report["checks"]
        ),
    }
}

pub(crate) fn idle(sessions: u32) -> String {
    format!("{sessions} held sessions")
}

impl Results {
    /// A figure of the runs in which nothing was wrong, by its path in the report.
    pub(crate) fn median(&self, scenario: &str, server: &'static str, figure: &str) -> Option<Median> {
        let reports = self.0.get(&(scenario.to_owned(), server))?;
        let mut figures: Vec<_> = reports
            .iter()
            .filter(|report| is_clean(report))
            .filter_map(|report| report.pointer(figure)?.as_f64())
            .collect();
        figures.sort_by(f64::total_cmp);
        Some(Median {
            low: *figures.first()?,
            median: (figures[(figures.len() - 1) / 2] + figures[figures.len() / 2]) / 2.0,
            high: *figures.last()?,
        })
    }

    /// What went wrong in the runs that do not count.
    pub(crate) fn failures(&self) -> Vec<String> {
        let failed = |((scenario, server), reports): (&(String, &str), &Vec<Value>)| {
            let wrong: Vec<_> = reports.iter().filter(|report| !is_clean(report)).collect();
            let first = match wrong.first()? {
                Value::String(failure) => failure.clone(),
                report => report["checks"].to_string(),
            };
            Some(format!(
                "{server}, {scenario}: {} of {} runs; the first: `{first}`",
                wrong.len(),
                reports.len()
            ))
        };
        self.0.iter().filter_map(failed).collect()
    }
}

fn is_clean(report: &Value) -> bool {
    let checks = &report["checks"];
    ["lost", "duplicated", "out_of_order", "misrouted", "errors"]
        .iter()
        .all(|check| checks[check] == 0)
}
