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

  /** `kind` is a maker of clients in page.html; the page comes from `origin`, the client talks to `url`. */
  static async open(browser, kind, url, origin = new URL(url).origin) {
    const client = new PageClient();
    const context = await browser.newContext();
    const page = (client.#page = await context.newPage());
    // What the page's client records is recorded here instead. As text, so that nothing is lost on the way.
    await page.exposeFunction("record", (list, json) => client[list].push(JSON.parse(json)));
    await page.goto(origin);
    await page.waitForFunction(() => window.clients);
    await page.evaluate(([kind, url]) => {
      window.client = window.clients[kind](url);
      for (const list of ["sessions", "received"]) {
        window.client[list] = { push: (value) => window.record(list, JSON.stringify(value)) };
      }
    }, [kind, url]);
    return client;
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
  disconnect = () => this.#call("disconnect");

  #call(method, ...args) {
    return this.#page.evaluate(async ([method, args]) => {
      const result = await window.client[method](...JSON.parse(args));
      return result === true;
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
