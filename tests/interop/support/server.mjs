import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const examplesDir =
  process.env.BAYEUX_EXAMPLES_DIR ??
  join(process.env.CARGO_TARGET_DIR ?? fileURLToPath(new URL("../../../target", import.meta.url)), "debug/examples");

const START_MS = 20_000;
const STOP_MS = 10_000;

/** Every child that runs now, so that none survives this process. */
const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => process.exit(1));

/** One of the crate's examples as a child process of its own. */
export class Example {
  #name;
  #env;
  #child = null;
  #port = 0;

  constructor(name, env) {
    this.#name = name;
    this.#env = env;
  }

  get origin() {
    return `http://127.0.0.1:${this.#port}`;
  }

  get url() {
    return `${this.origin}/cometd`;
  }

  /** Starts it on a free port the first time, on that same port from then on. */
  async start() {
    const path = join(examplesDir, this.#name);
    if (!existsSync(path)) throw new Error(`${path} is missing: run cargo build --examples first`);
    const child = spawn(path, {
      env: { ...process.env, ...this.#env, PORT: String(this.#port) },
      stdio: ["ignore", "pipe", "pipe"],
    });
    running.add(child);
    child.once("exit", () => running.delete(child));
    this.#child = child;

    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (chunk) => (stderr = (stderr + chunk).slice(-4000)));
    let stdout = "";
    child.stdout.setEncoding("utf8");
    const printed = await new Promise((resolve, reject) => {
      const fail = (why) => reject(new Error(`example ${this.#name} ${why}\n${stdout}\n${stderr}`));
      const timer = setTimeout(() => fail(`printed no URL within ${START_MS} ms`), START_MS);
      child.stdout.on("data", (chunk) => {
        stdout = (stdout + chunk).slice(-4000);
        const url = /https?:\/\/\S+(?=\s)/.exec(stdout);
        if (!url) return;
        clearTimeout(timer);
        resolve(new URL(url[0]));
      });
      child.once("error", (error) => fail(`did not start: ${error.message}`));
      child.once("exit", (code, signal) => {
        clearTimeout(timer);
        fail(`ended at once (${signal ?? code})`);
      });
    });
    this.#port = Number(printed.port);
    return this;
  }

  /** Ends it with no goodbye, as a crash does. */
  async crash() {
    await this.#end("SIGKILL");
  }

  /** Ctrl-C, or SIGTERM: the held polls are answered. Throws when the process does not end by itself or not with success. */
  async shutdown(by = "SIGINT") {
    const { code, signal } = await this.#end(by);
    if (code !== 0) throw new Error(`example ${this.#name} ended with ${signal ?? code} instead of success`);
  }

  async #end(signal) {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`example ${this.#name} had already ended`);
    const exited = once(child, "exit");
    child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
    const [code, killedBy] = await exited;
    clearTimeout(timer);
    return { code, signal: killedBy };
  }

  /** For clean-up: fine whether it runs or not. */
  async close() {
    if (this.#child && running.has(this.#child)) await this.#end("SIGKILL");
  }
}

/** Starts an example; the environment variables are those in the example's own documentation. */
export function startExample(name, env = {}) {
  return new Example(name, env).start();
}
