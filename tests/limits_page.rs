//! The page of limits says what the code does.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use tower_bayeux::{BayeuxServer, Config, MessageRate, Reason, Trouble};

const PAGE: &str = include_str!("../docs/limits.md");
const SETTERS: &[&str] = &[
    include_str!("../src/server/builder.rs"),
    include_str!("../src/server/limits.rs"),
];

/// The cells of each row of the page's tables, without their headings.
fn rows() -> Vec<Vec<&'static str>> {
    let cells = |line: &'static str| line.trim_matches('|').split('|').map(str::trim).collect();
    PAGE.lines().filter(|line| line.starts_with("| `")).map(cells).collect()
}

/// The rows of limits: name, default, answer, counter.
fn limits() -> Vec<[&'static str; 4]> {
    rows().into_iter().filter_map(|row| row.try_into().ok()).collect()
}

/// What stands between backquotes.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn number(limit: usize) -> String {
    if limit == usize::MAX {
        "no limit".to_owned()
    } else {
        limit.to_string()
    }
}

fn time(limit: Duration) -> String {
    format!("{}s", limit.as_secs())
}

/// `MessageRate { per_second: 10, burst: 50 }`
fn rate(limit: MessageRate) -> String {
    let text = format!("{limit:?}");
    let numbers: Vec<&str> = text
        .split(|character: char| !character.is_ascii_digit())
        .filter(|number| !number.is_empty())
        .collect();
    format!("{} in a second, {} at once", numbers[0], numbers[1])
}

fn defaults() -> BTreeMap<&'static str, String> {
    let config = Config::default();
    let own = BayeuxServer::builder().build();
    assert_eq!(format!("{config:?}"), format!("{:?}", own.config()));
    BTreeMap::from([
        ("max_body_bytes", number(config.max_body_bytes)),
        ("body_timeout", time(config.body_timeout)),
        ("max_batch", number(config.max_batch)),
        ("max_depth", number(config.max_depth)),
        ("max_channel_bytes", number(config.max_channel_bytes)),
        ("max_channel_segments", number(config.max_channel_segments)),
        ("max_subscriptions", number(config.max_subscriptions)),
        ("max_queue_messages", number(config.max_queue_messages)),
        ("max_queue_bytes", number(config.max_queue_bytes)),
        ("message_rate", config.message_rate.map_or("no limit".to_owned(), rate)),
        ("connect_rate", rate(config.connect_rate)),
        ("timeout", time(config.timeout)),
        ("max_interval", time(config.max_interval)),
        ("max_sessions_per_address", number(config.max_sessions_per_address)),
        ("handshake_rate", rate(config.handshake_rate)),
        ("max_sessions_per_browser", number(config.max_sessions_per_browser)),
        ("max_held_per_browser", number(config.max_held_per_browser)),
        ("max_sessions", number(config.max_sessions)),
        ("max_held_connects", number(config.max_held_connects)),
        ("max_channels", number(config.max_channels)),
        ("refusal_rate", rate(config.refusal_rate)),
        (
            "origins",
            config
                .origins
                .map_or("anybody's pages".to_owned(), |origins| format!("{origins:?}")),
        ),
    ])
}

#[test]
fn every_default_is_the_one_of_the_code() {
    let documented: BTreeMap<_, _> = limits()
        .into_iter()
        .map(|[name, default, ..]| (name.trim_matches('`'), default.to_owned()))
        .collect();
    assert_eq!(documented, defaults());
}

#[test]
fn every_limit_is_a_setter_of_the_builder_that_says_its_default() {
    for [name, ..] in limits() {
        let name = name.trim_matches('`');
        let setter = SETTERS.iter().find_map(|source| {
            let at = source.find(&format!("fn {name}(mut self"))?;
            source[..at].rsplit_once("\n\n").map(|(_, docs)| docs)
        });
        let docs = setter.unwrap_or_else(|| panic!("no setter of `{name}`"));
        assert!(docs.contains("Default"), "`{name}`: {docs}");
    }
}

#[test]
fn every_field_that_is_a_limit_is_on_the_page() {
    let config = format!("{:#?}", Config::default());
    let fields = config.lines().filter_map(|line| {
        let field = line.strip_prefix("    ")?.split_once(": ")?.0;
        (!field.starts_with(' ')).then_some(field)
    });
    let limits: Vec<_> = fields
        .filter(|field| field.starts_with("max_") || field.ends_with("_rate"))
        // How long a lazy message waits is a matter of manners.
        .filter(|field| *field != "max_lazy_timeout")
        .collect();
    assert!(limits.len() > 15, "{limits:?}");
    let mut missing = String::new();
    for field in limits {
        if !defaults().contains_key(field) {
            writeln!(missing, "{field}").unwrap();
        }
    }
    assert_eq!(missing, "");
}

/// All that `Stats::limited` counts, and nothing that is no reason.
#[test]
fn every_counter_is_a_reason_and_every_reason_of_a_limit_is_on_the_page() {
    let others = [
        "dropped_messages",
        "sessions_removed",
        "connects_ended",
        "rate_limited_messages",
    ];
    let counters: Vec<&str> = limits().iter().flat_map(|[.., counter]| quoted(counter)).collect();
    for counter in &counters {
        let is_reason = Reason::ALL.iter().any(|reason| reason.as_str() == *counter);
        assert!(is_reason || others.contains(counter), "{counter}");
    }
    let of_limits = Reason::ALL.iter().skip_while(|reason| **reason != Reason::BodyTooLarge);
    for reason in of_limits {
        assert!(counters.contains(&reason.as_str()), "{reason} is not on the page");
    }
}

#[test]
fn every_trouble_is_on_the_page() {
    let documented: Vec<_> = rows()
        .into_iter()
        .filter(|row| row.len() == 2)
        .map(|row| row[0].trim_matches('`'))
        .collect();
    let troubles: Vec<_> = Trouble::ALL.iter().map(|trouble| trouble.as_str()).collect();
    assert_eq!(documented, troubles);
}
