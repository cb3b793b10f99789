import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import { chromium } from "playwright-core";

const CANDIDATES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

// Nothing but the pages under test: no looking for updates, no telemetry, no QUIC.
const FLAGS = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Starts the system's Chromium, in the path that CHROMIUM names or where distributions put it. */
export function launchChromium() {
  const executablePath = process.env.CHROMIUM ?? CANDIDATES.find((path) => existsSync(path));
  if (!executablePath) throw new Error(`no Chromium found: install it, or set CHROMIUM (looked at ${CANDIDATES.join(", ")})`);
  return chromium.launch({ executablePath, headless: true, args: FLAGS });
}

/** A client in a page of its own, with cookies of its own, that the shared tests can drive from here. */
export class PageClient {
  sessions = [];
  received = [];
  #page;
  #make;

  /**
   * `kind` is a maker of clients in page.html, which gets `more`; the page comes from `origin`, the client talks to `url`.
   */
  static async open(browser, kind, url, { origin = new URL(url).origin, more = [] } = {}) {
    const client = new PageClient();
    client.#make = [kind, url, more];
    const context = await browser.newContext();
    const page = (client.#page = await context.newPage());
    // What the page's client records is recorded here instead. As text, so that nothing is lost on the way.
    await page.exposeFunction("record", (list, json) => client[list].push(JSON.parse(json)));
    await page.goto(origin);
    await client.#start();
    return client;
  }

  async #start() {
    await this.#page.waitForFunction(() => window.clients);
    await this.#page.evaluate(([kind, url, more]) => {
      window.client = window.clients[kind](url, ...more);
      for (const list of ["sessions", "received"]) {
        window.client[list] = { push: (value) => window.record(list, JSON.stringify(value)) };
      }
    }, this.#make);
  }

  /** Loads the page again, after it has told its client, and makes a new client there. */
  async reload() {
    await this.#call("reload");
    await this.#page.reload();
    await this.#start();
  }

  get page() {
    return this.#page;
  }

  async close() {
    await this.#page.context().close();
  }

  connect = () => this.#call("connect");
  subscribe = (pattern) => this.#call("subscribe", pattern);
  unsubscribe = (pattern) => this.#call("unsubscribe", pattern);
  publish = (channel, data) => this.#call("publish", channel, data);
  publishAll = (pairs) => this.#call("publishAll", pairs);
  resubscribed = () => this.#call("resubscribed");
  transport = () => this.#call("transport");
  remoteCall = (target, data) => this.#call("remoteCall", target, data);
  subscribeAtHandshake = (pattern) => this.#call("subscribeAtHandshake", pattern);
  disconnect = () => this.#call("disconnect");

  #call(method, ...args) {
    return this.#page.evaluate(async ([method, args]) => {
      const result = await window.client[method](...JSON.parse(args));
      // What is not JSON stays there, such as the events that some promises of Faye's client resolve to.
      return ["boolean", "string"].includes(typeof result) || result?.channel ? result : undefined;
    }, [method, JSON.stringify(args)]);
  }
}

/** Takes a picture where SCREENSHOT_DIR says, if it says. */
export async function screenshot(page, name) {
  const dir = process.env.SCREENSHOT_DIR;
  if (!dir) return;
  await mkdir(dir, { recursive: true });
  await page.screenshot({ path: join(dir, `${name}.png`) });
}
