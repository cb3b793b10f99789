//! What the command line refuses.

use bayeux_load::Options;
use clap::Parser;

fn is_accepted(arguments: &str) -> bool {
    let line = format!("bayeux-load --url http://127.0.0.1:9/ {arguments}");
    Options::try_parse_from(line.split(' ')).is_ok()
}

#[test]
fn numbers_that_leave_nothing_to_do_are_refused() {
    for option in [
        "fanout --subscribers",
        "rooms --clients",
        "rooms --rooms",
        "rooms --publishers",
        "rooms --in-flight",
        "idle --sessions",
        "handshake --clients",
        "connect --clients",
        "chat --clients",
        "chat --rooms",
        "chat --rooms-per-client",
        "chat --batch-size",
    ] {
        assert!(is_accepted(&format!("{option} 1")), "{option}");
        assert!(!is_accepted(&format!("{option} 0")), "{option}");
    }
}

#[test]
fn times_that_never_end_are_refused() {
    for option in ["--duration", "--warmup", "--stall", "--deadline"] {
        assert!(is_accepted(&format!("{option} 86400 idle")), "{option}");
        for wrong in ["-1", "nan", "inf", "1e18"] {
            assert!(!is_accepted(&format!("{option}={wrong} idle")), "{option} {wrong}");
        }
    }
}

#[test]
fn rates_that_nobody_can_keep_are_refused() {
    assert!(is_accepted("fanout --rate 0.5"));
    for wrong in ["0", "-1", "nan", "inf", "1e9", "1e-18"] {
        assert!(!is_accepted(&format!("fanout --rate={wrong}")), "{wrong}");
    }
}
