//! The servers, as processes.

use std::{
    error::Error,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

/// A server that is compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Server {
    pub(crate) name: &'static str,
    /// The Rust binary, or the Node script.
    program: Program,
    /// Whether it wants each kind of message on a path of its own.
    pub(crate) endpoints: bool,
}

#[derive(Clone, Copy, Debug)]
enum Program {
    Rust(&'static str),
    Node(&'static str),
}

/// The floor comes first.
pub(crate) const SERVERS: &[Server] = &[
    rust("bare hyper", "bare"),
    rust("tower-bayeux, hyper", "tower_bayeux_hyper"),
    rust("tower-bayeux, axum", "tower_bayeux_axum"),
    Server {
        endpoints: true,
        ..rust("axum-cometd 0.9.4", "axum_cometd")
    },
    node("cometd-nodejs-server 1.2", "cometd.mjs"),
    node("Faye 1.4", "faye.mjs"),
];

const fn rust(name: &'static str, binary: &'static str) -> Server {
    Server {
        name,
        program: Program::Rust(binary),
        endpoints: false,
    }
}

const fn node(name: &'static str, script: &'static str) -> Server {
    Server {
        name,
        program: Program::Node(script),
        endpoints: false,
    }
}

/// A server that runs, until it is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn start(&self, rust: &Path, node: &Path, pinned: bool) -> Result<Running, Box<dyn Error>> {
        let mut command = match self.program {
            Program::Rust(binary) => on_core(0, pinned, rust.join(binary)),
            Program::Node(script) => {
                let mut command = on_core(0, pinned, "node");
                command.arg(node.join(script));
                command
            }
        };
        command.env("PORT", "0").env("NODE_ENV", "production");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().ok_or("no output")?;
        let mut running = Running {
            child,
            url: String::new(),
        };
        for line in BufReader::new(output).lines() {
            if let Some(url) = line?.strip_prefix("listening on ") {
                url.clone_into(&mut running.url);
                return Ok(running);
            }
        }
        Err(format!("{} did not start", self.name).into())
    }
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command on one core, if cores can be chosen.
pub(crate) fn on_core(core: usize, pinned: bool, program: impl AsRef<std::ffi::OsStr>) -> Command {
    if !pinned {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    // It becomes the program, so that the process is the same.
    command.arg("-c").arg(core.to_string()).arg(program);
    command
}

/// Whether there is a `taskset`, and a second core.
pub(crate) fn can_pin() -> bool {
    let status = Command::new("taskset").args(["-c", "1", "true"]).status();
    status.is_ok_and(|status| status.success())
}
