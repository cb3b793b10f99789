//! Runs one path, for callgrind to look at: `path NAME`; without a name it lists all with their units. What is to be
//! counted happens inside [`measured`].

use std::{env, process::ExitCode};

use benches::{Meter, NoMeter, PATHS, runtime};

struct Callgrind;

impl Meter for Callgrind {
    fn measure(&mut self, work: &mut dyn FnMut()) {
        measured(work);
    }
}

/// The name that callgrind is told to collect.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
}

fn main() -> ExitCode {
    let Some(name) = env::args().nth(1) else {
        for path in PATHS {
            println!("{} {}", path.name, path.units);
        }
        return ExitCode::SUCCESS;
    };
    let Some(path) = PATHS.iter().find(|path| path.name == name) else {
        eprintln!("no path {name}");
        return ExitCode::FAILURE;
    };
    let runtime = runtime();
    let _entered = runtime.enter();
    let mut round = (path.set_up)();
    // The first round grows what then stays.
    round(&mut NoMeter);
    round(&mut Callgrind);
    ExitCode::SUCCESS
}
