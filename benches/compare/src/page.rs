//! The results as a page.

use std::fmt::Write as _;

use crate::{
    contest::{Contest, Median, Results, Scenario, idle},
    server::SERVERS,
    svg::{Bar, Group, chart},
};

const FLOOR: &str = "bare hyper";

/// Where the server's time for one of what a scenario counts by stands in the report.
fn cpu(scenario: &Scenario) -> &'static str {
    match scenario.per {
        "delivery" => "/server/cpu_us_per_delivery",
        _ => "/server/cpu_us_per_operation",
    }
}

pub(crate) fn markdown(contest: &Contest, results: &Results) -> String {
    let mut page = String::from("# Performance\n\n");
    page.push_str(&how(contest));
    page.push_str("\n## CPU time of the server\n\nIn microseconds: the median of the runs, and in parentheses the lowest and the highest. Then the ratio to bare hyper.\n\n");
    page.push_str("![CPU time for each delivery](performance/cpu.svg)\n\n");
    let scenarios = contest.scenarios();
    let timed: Vec<_> = scenarios.iter().filter(|scenario| scenario.per != "session").collect();
    table(
        &mut page,
        timed
            .iter()
            .map(|scenario| format!("{}, each {}", scenario.name, scenario.per)),
        |server| {
            let cell = |scenario: &&Scenario| {
                let figure = results.median(&scenario.name, server, cpu(scenario));
                let floor = results.median(&scenario.name, FLOOR, cpu(scenario));
                timing(figure, floor)
            };
            timed.iter().map(cell).collect()
        },
    );
    page.push_str("\n## Latency\n\nMicroseconds from publish to receipt: 50 % / 99 % / 99.9 %.\n\n![Latency](performance/latency.svg)\n\n");
    let delivered: Vec<_> = scenarios.iter().filter(|scenario| scenario.per == "delivery").collect();
    table(
        &mut page,
        delivered.iter().map(|scenario| scenario.name.clone()),
        |server| {
            let cell = |scenario: &&Scenario| {
                let at = |figure| {
                    results
                        .median(&scenario.name, server, figure)
                        .map_or_else(|| "-".into(), |it| format!("{:.0}", it.median))
                };
                format!(
                    "{} / {} / {}",
                    at("/latency_us/p50"),
                    at("/latency_us/p99"),
                    at("/latency_us/p999")
                )
            };
            delivered.iter().map(cell).collect()
        },
    );
    page.push_str("\n## Answers\n\nHow many answers carried a hundred deliveries: what a server saves when messages share them.\n\n");
    table(
        &mut page,
        delivered.iter().map(|scenario| scenario.name.clone()),
        |server| {
            let cell = |scenario: &&Scenario| {
                let answers = results.median(&scenario.name, server, "/answers_per_delivery");
                answers.map_or_else(|| "-".into(), |it| format!("{:.0}", it.median * 100.0))
            };
            delivered.iter().map(cell).collect()
        },
    );
    page.push_str("\n## Memory\n\nBytes of resident memory that each held session adds, its HTTP connection and all; in parentheses what that is above bare hyper.\n\n![Memory](performance/memory.svg)\n\n");
    table(
        &mut page,
        contest.sessions.iter().map(|sessions| idle(*sessions)),
        |server| {
            let each = |sessions: &u32| {
                let of = |server| {
                    results
                        .median(&idle(*sessions), server, "/server/rss_per_client")
                        .map(|it| it.median)
                };
                match (of(server), of(FLOOR)) {
                    (Some(bytes), Some(floor)) => format!("{bytes:.0} ({:+.0})", bytes - floor),
                    _ => "-".into(),
                }
            };
            contest.sessions.iter().map(each).collect()
        },
    );
    let failures = results.failures();
    if !failures.is_empty() {
        page.push_str("\n## Runs that do not count\n\nSomething was lost, doubled, out of order or refused, or the run did not end in time.\n\n");
        for failure in failures {
            let _ = writeln!(page, "- {failure}");
        }
    }
    page
}

fn how(contest: &Contest) -> String {
    let pinned = if contest.pinned {
        "The server runs on one core, `bayeux-load --spin` on another: it never sleeps, so that no server is measured by how often it \
         has to wake its clients."
    } else {
        "`taskset` was not to be had: server and load tool shared all cores."
    };
    format!(
        "Written by `benches/compare/run`. {pinned} All over loopback, HTTP/1.1, long-polling, with cookies; messages of about 100 bytes; each \
         run {} s after a warm-up of 1 s, {} runs of each, the servers in turn. Those in Rust are built for production, with `lto = \"fat\"` and \
         one codegen unit. Every server is started anew for each run. Bare hyper is the floor: it speaks no \
         protocol, and answers long polls with ready-made bytes. It and tower-bayeux on hyper are functions to hyper \
         (`service_fn`).\n\nThe absolute figures are those of one machine on one day. The ratios are what to look at.\n",
        contest.seconds, contest.repeats
    )
}

/// A table with a row for each server.
fn table(page: &mut String, heads: impl Iterator<Item = String>, row: impl Fn(&'static str) -> Vec<String>) {
    let heads: Vec<_> = heads.collect();
    let _ = writeln!(
        page,
        "| | {} |\n|---|{}",
        heads.join(" | "),
        "---:|".repeat(heads.len())
    );
    for server in SERVERS {
        let _ = writeln!(page, "| {} | {} |", server.name, row(server.name).join(" | "));
    }
}

fn timing(figure: Option<Median>, floor: Option<Median>) -> String {
    let Some(Median { low, median, high }) = figure else {
        return "-".into();
    };
    let ratio = floor.map_or_else(String::new, |floor| format!(" **×{:.2}**", median / floor.median));
    format!("{median:.2} ({low:.2}–{high:.2}){ratio}")
}

/// The pictures, with their file names.
pub(crate) fn charts(results: &Results) -> Vec<(&'static str, String)> {
    let bars = |scenario: &str, figure: &str, scale: f64| {
        let bar = |server: &crate::server::Server| {
            let Median { low, median, high } = results.median(scenario, server.name, figure)?;
            Some(Bar {
                label: server.name,
                low: low * scale,
                value: median * scale,
                high: high * scale,
            })
        };
        SERVERS.iter().filter_map(bar).collect()
    };
    let group = |name: &str, figure, scale| Group {
        name: name.to_owned(),
        bars: bars(name, figure, scale),
    };
    let delivered = [
        "fan-out to 100",
        "fan-out to 1,000",
        "1,000 clients in 100 rooms",
        "fan-out to 100, flat out",
    ];
    let cpu = delivered.map(|name| group(name, "/server/cpu_us_per_delivery", 1.0));
    let latency = [
        ("50 %", "/latency_us/p50"),
        ("99 %", "/latency_us/p99"),
        ("99.9 %", "/latency_us/p999"),
    ]
    .map(|(name, figure)| Group {
        name: format!("fan-out to 1,000: {name}"),
        bars: bars("fan-out to 1,000", figure, 1e-3),
    });
    let memory: Vec<_> = [1_000, 4_000, 5_000, 10_000]
        .iter()
        .map(|sessions| group(&idle(*sessions), "/server/rss_ready", 1.0 / 1024.0 / 1024.0))
        .filter(|group| !group.bars.is_empty())
        .collect();
    vec![
        ("cpu.svg", chart("CPU time of the server for each delivery", "µs", &cpu)),
        ("latency.svg", chart("From publish to receipt", "ms", &latency)),
        ("memory.svg", chart("Resident memory of the server", "MiB", &memory)),
    ]
}
