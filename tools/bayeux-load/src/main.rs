//! The command line: see `bayeux-load --help`.

use std::process::ExitCode;

use bayeux_load::{Error, Options, run};
use clap::Parser;
use tokio::{runtime::Builder, task::LocalSet};

fn main() -> ExitCode {
    match measure(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bayeux-load: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs, reports, and says whether all was well.
fn measure(options: &Options) -> Result<bool, Error> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let report = LocalSet::new().block_on(&runtime, run(options))?;
    let json = || serde_json::to_string_pretty(&report);
    match &options.json {
        // Standard output is for a program then.
        Some(path) if path.as_os_str() == "-" => {
            eprint!("{report}");
            println!("{}", json()?);
        }
        Some(path) => {
            print!("{report}");
            std::fs::write(path, json()?)?;
        }
        None => print!("{report}"),
    }
    Ok(report.is_clean())
}
