//! Runs `bayeux-load` against each server in turn and writes what it found to `docs/performance.md`. See `run` beside this
//! package, which builds everything first.

mod contest;
mod page;
mod server;
mod svg;

use std::{env, error::Error, path::PathBuf};

use contest::{Contest, Results};

fn main() -> Result<(), Box<dyn Error>> {
    let short = env::args().any(|argument| argument == "--short");
    let root = PathBuf::from(env::var("BAYEUX_ROOT")?);
    let contest = Contest {
        load: PathBuf::from(env::var("BAYEUX_LOAD")?),
        rust: env::current_exe()?.parent().ok_or("no folder")?.to_owned(),
        node: root.join("benches/compare/node"),
        repeats: if short { 2 } else { 5 },
        seconds: if short { 2 } else { 5 },
        sessions: if short {
            &[1_000, 4_000]
        } else {
            &[1_000, 5_000, 10_000]
        },
        pinned: server::can_pin(),
    };
    let results: Results = contest.run()?;
    let docs = root.join("docs");
    std::fs::create_dir_all(docs.join("performance"))?;
    for (name, chart) in page::charts(&results) {
        std::fs::write(docs.join("performance").join(name), chart)?;
    }
    std::fs::write(docs.join("performance.md"), page::markdown(&contest, &results))?;
    Ok(())
}
