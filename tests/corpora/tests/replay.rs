//! Every input of the corpora, and some thousands made from them, on any toolchain. What libFuzzer finds, it finds by
//! coverage; this runs with every change.

use std::{
    cell::Cell,
    fs,
    panic::{catch_unwind, set_hook, take_hook},
    path::PathBuf,
    sync::Once,
};

/// How many inputs are made for each target.
const MADE: usize = 2000;

/// As many as libFuzzer allows by itself.
const MAX_LEN: usize = 4096;

/// What inputs are likely to mean something with.
const WORDS: &[&str] = &[
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "$1",
    "\"$1\"",
    "null",
    "true",
    "-1",
    "1e999",
    "0.5",
    "\n",
    "/",
    "/*",
    "/**",
    "/meta/",
    "/meta/handshake",
    "/meta/connect",
    "/meta/subscribe",
    "/meta/unsubscribe",
    "/meta/disconnect",
    "/service/",
    "\"channel\":",
    "\"clientId\":",
    "\"id\":",
    "\"data\":",
    "\"ext\":",
    "\"ack\":",
    "\"advice\":",
    "\"timeout\":",
    "\"subscription\":",
    "\"connectionType\":",
    "message=",
    "&",
    "%5B",
    "%7D",
    "jsonp=",
    "__proto__",
    "\\u005f_proto__",
    "BAYEUX_BROWSER=",
    "; ",
    "=",
    "!",
    "^",
    "_",
];

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// A fixed sequence of numbers that look random (`SplitMix64`), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % limit.max(1) as u64).unwrap()
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    /// An input of the corpus with a few changes.
    fn change(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut input = corpus[self.below(corpus.len())].clone();
        for _ in 0..=self.below(4) {
            let at = self.below(input.len() + 1);
            match self.below(6) {
                0 => input
                    .splice(at..at, WORDS[self.below(WORDS.len())].bytes())
                    .for_each(drop),
                1 => input.insert(at, self.byte()),
                2 => drop(input.drain(at..(at + self.below(8)).min(input.len()))),
                3 => {
                    if let Some(byte) = input.get_mut(at) {
                        *byte ^= 1 << self.below(8);
                    }
                }
                4 => input.truncate(at),
                _ => {
                    let other = &corpus[self.below(corpus.len())];
                    let from = self.below(other.len() + 1);
                    input.splice(at.., other[from..].iter().copied()).for_each(drop);
                }
            }
            input.truncate(MAX_LEN);
        }
        input
    }
}

thread_local! {
    /// How many panics there were on this thread. A target runs on one, with every task that it spawns; so no test counts
    /// those of another.
    static PANICS: Cell<usize> = const { Cell::new(0) };
}

/// Has panics counted from now on, also those that the server contains and those that end with their task.
fn count_panics() {
    static COUNTING: Once = Once::new();
    COUNTING.call_once(|| {
        let print = take_hook();
        set_hook(Box::new(move |panic| {
            PANICS.set(PANICS.get() + 1);
            print(panic);
        }));
    });
}

/// Runs one target on its corpus and beyond. An input that it fails on is printed in a form that goes into a test.
#[track_caller]
fn replay(name: &str) {
    let (_, target) = fuzz::TARGETS.iter().find(|(target, _)| *target == name).unwrap();
    let corpus = corpus(name);
    assert!(!corpus.is_empty());
    count_panics();
    let mut random = Random(7);
    let made: Vec<_> = (0..MADE).map(|_| random.change(&corpus)).collect();
    for input in corpus.iter().chain(&made) {
        let failed = catch_unwind(|| target(input)).is_err();
        let panics = PANICS.get();
        assert!(
            !failed && panics == 0,
            "{name} fails on b\"{}\" ({panics} panics)",
            input.escape_ascii()
        );
    }
}

#[test]
fn whatever_is_posted_as_json_is_answered() {
    replay("messages");
}

#[test]
fn whatever_is_posted_as_a_form_is_answered() {
    replay("forms");
}

#[test]
fn whatever_cookies_a_browser_brings_a_session_is_its_owners_alone() {
    replay("cookies");
}

#[test]
fn whatever_a_channel_is_called_it_is_refused_or_routed() {
    replay("channel_names");
}

#[test]
fn whatever_a_script_tag_asks_for_it_gets_one_harmless_call() {
    replay("callback_polling");
}

#[test]
fn whatever_comes_on_a_socket_is_answered_or_closes_it() {
    replay("websocket");
}

#[test]
fn whatever_clients_do_nothing_grows_and_nothing_is_left_of_them() {
    replay("sequences");
}

#[test]
fn every_target_is_replayed() {
    let corpora = fs::read_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus")).unwrap();
    assert_eq!(corpora.count(), fuzz::TARGETS.len());
    let tests = include_str!("replay.rs");
    for (name, _) in fuzz::TARGETS {
        assert!(tests.contains(&format!("replay(\"{name}\")")), "{name}");
    }
}
