//! Whatever clients, connections and time do, in any order: a small model of sessions says what each answer brings, what is
//! lost and what is left, and the server agrees after every step.
//!
//! `PROPTEST_CASES` sets how many sequences of steps are tried. A failing one is made as short as it can be, printed, and
//! kept in `model.regressions`.

mod common;

#[path = "common/model.rs"]
mod model;

use std::time::Duration;

use model::{Limits, Step, run};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, FileFailurePersistence},
};

fn config() -> Config {
    Config {
        // An environment variable says otherwise.
        cases: std::env::var("PROPTEST_CASES")
            .ok()
            .and_then(|cases| cases.parse().ok())
            .unwrap_or(200),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/model.regressions"))),
        max_shrink_iters: 20_000,
        ..Config::default()
    }
}

fn step() -> impl Strategy<Value = Step> {
    let any_number = || any::<u8>().prop_map(usize::from);
    prop_oneof![
        2 => any::<bool>().prop_map(Step::Handshake),
        3 => any_number().prop_map(Step::Subscribe),
        1 => any_number().prop_map(Step::Unsubscribe),
        8 => (1_u64..4).prop_map(Step::Publish),
        3 => any_number().prop_map(Step::ClientPublish),
        10 => (any_number(), prop::bool::weighted(0.2)).prop_map(|(client, polls)| Step::Connect { client, polls }),
        1 => any_number().prop_map(Step::ConnectUnpolled),
        8 => any_number().prop_map(Step::Poll),
        3 => any_number().prop_map(Step::Break),
        8 => any_number().prop_map(Step::Read),
        4 => any_number().prop_map(Step::Discard),
        1 => any_number().prop_map(Step::Disconnect),
        4 => (0_u64..130).prop_map(|tens| Step::Pass(Duration::from_millis(tens * 10))),
    ]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn nothing_is_lost_doubled_or_left_behind_but_what_is_counted(steps in vec(step(), 1..100)) {
        run(&steps, Limits { queue: 4096 });
    }

    #[test]
    fn a_full_queue_drops_its_oldest_messages_and_counts_them(steps in vec(step(), 1..100)) {
        run(&steps, Limits { queue: 4 });
    }
}
