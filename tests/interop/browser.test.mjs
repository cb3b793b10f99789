import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { behavesLikeABayeuxClient, receivedBy } from "./support/behaviour.mjs";
import { launchChromium, PageClient, screenshot } from "./support/chromium.mjs";
import { startGateway, UPGRADES } from "./support/gateway.mjs";
import { startExample } from "./support/server.mjs";
import { carriersOf } from "./support/transports.mjs";
import { until } from "./support/until.mjs";

/** Each with what keeps it to long-polling. */
const CLIENTS = {
  cometd: ["cometd.js", ["long-polling"]],
  faye: ["Faye's client", ["websocket", "eventsource"]],
};
const CROWD = 6;

describe("in Chromium", () => {
  let browser;
  before(async () => (browser = await launchChromium()));
  after(() => browser.close());

  for (const [kind, [title, transports]] of Object.entries(CLIENTS)) {
    describe(`${title} on a page of the same origin, by long-polling`, () => {
      // Chromium repeats a request at once when a connection that it kept alive turns out to be closed.
      behavesLikeABayeuxClient((url) => PageClient.open(browser, kind, url, { more: [transports] }), { requestsToRecover: 12, crowd: CROWD });
    });
  }

  // Cookies ignore ports, so the first is "same-site", and the second is a page whose cookies Chromium may hold back.
  for (const [what, host] of Object.entries({ "another port": "127.0.0.1", "another site": "localhost" })) {
    test(`cometd.js on a page of ${what} works through CORS with credentials`, { timeout: 90_000 }, async () => {
      const pages = await startGateway("http://127.0.0.1:9"); // only for its files
      const origin = `http://${host}:${pages.port}`;
      const server = await startExample("axum", { ALLOW_ORIGIN: origin });
      const clients = [];
      try {
        for (const _ of [1, 2]) clients.push(await PageClient.open(browser, "cometd", server.url, { origin }));
        const [alice, bob] = clients;
        for (const client of clients) {
          await client.connect();
          await client.subscribe("/across");
        }
        await alice.publish("/across", 1);
        await bob.publishAll([["/across", 2], ["/across", 3]]);
        for (const client of clients) {
          assert.deepEqual((await receivedBy(client, 3)).map(({ data }) => data), [1, 2, 3]);
        }

        await server.crash();
        await server.start();
        for (const client of clients) {
          await until("a new session", async () => client.sessions.length === 2 && (await client.resubscribed()));
        }
        await bob.publish("/across", 4);
        for (const client of clients) {
          assert.deepEqual((await receivedBy(client, 4)).map(({ data }) => data), [1, 2, 3, 4]);
          await client.disconnect();
        }
        assert.equal(pages.requests.length, 0, "nothing went to the page's own origin");
      } finally {
        await Promise.all(clients.map((client) => client.close()));
        await server.close();
        await pages.close();
      }
    });
  }

  describe("the chat page", () => {
    let server;
    before(async () => (server = await startExample("chat")));
    after(() => server.close());

    test("lets two people chat, shows who is here, and comes back after a restart", { timeout: 90_000 }, async () => {
      const pages = [];
      const complaints = [];
      try {
        for (const name of ["Ada", "Grace"]) {
          const page = await (await browser.newContext()).newPage();
          pages.push(page);
          page.on("pageerror", (error) => complaints.push(`${name}: ${error}`));
          await page.goto(server.origin);
          await status(page, "connected");
          await page.fill("#name", name);
          await page.click("#join");
        }
        const [ada, grace] = pages;
        for (const page of pages) {
          await users(page, ["Ada", "Grace"]);
          await comes(page, "by WebSocket");
        }

        await say(ada, "Hello Grace, <b>bold</b> \u{1f600}?");
        await say(grace, "Hello Ada!");
        for (const page of pages) {
          await sees(page, "Hello Grace, <b>bold</b> \u{1f600}?");
          await sees(page, "Hello Ada!");
        }
        await screenshot(ada, "chat-ada");
        await screenshot(grace, "chat-grace");

        await server.crash();
        for (const page of pages) await status(page, "reconnecting");
        await screenshot(ada, "chat-reconnecting");
        await server.start();
        for (const page of pages) {
          await status(page, "connected");
          await users(page, ["Ada", "Grace"]);
          await comes(page, "by WebSocket");
        }
        await say(grace, "That was quick.");
        for (const page of pages) await sees(page, "That was quick.");
        await screenshot(grace, "chat-back");

        // A page that is closed says goodbye: nobody waits for the session to expire.
        await grace.close({ runBeforeUnload: true });
        await users(ada, ["Ada"]);
        await screenshot(ada, "chat-alone");
        assert.deepEqual(complaints, []);
      } finally {
        await Promise.all(pages.map((page) => page.context().close()));
      }
    });

    test("polls behind a proxy that refuses to upgrade, and says so", { timeout: 90_000 }, async () => {
      const gateway = await startGateway(server.origin, { upgrades: UPGRADES.refuse, pages: "upstream" });
      const page = await (await browser.newContext()).newPage();
      try {
        await page.goto(gateway.origin);
        await status(page, "connected");
        await comes(page, "by long-polling");
        await page.fill("#name", "Linus");
        await page.click("#join");
        await say(page, "Slow, but here.");
        await sees(page, "Slow, but here.");
        await screenshot(page, "chat-polling");
        assert.deepEqual(carriersOf(gateway), ["long-polling"]);
        assert.deepEqual([...gateway.connectionTypes], ["long-polling"]);
        assert.ok(gateway.sockets.wanted > 0);
      } finally {
        await page.context().close();
        await gateway.close();
      }
    });

    test("goes on by long-polling in the same session when its WebSocket is lost for good", { timeout: 90_000 }, async () => {
      const gateway = await startGateway(server.origin, { pages: "upstream" });
      const page = await (await browser.newContext()).newPage();
      try {
        await page.goto(gateway.origin);
        await status(page, "connected");
        await comes(page, "by WebSocket");
        await page.fill("#name", "Margaret");
        await page.click("#join");
        await say(page, "On a socket.");
        await sees(page, "On a socket.");
        assert.deepEqual(carriersOf(gateway), ["websocket"]);

        gateway.upgrades = UPGRADES.refuse;
        assert.equal(await gateway.cutSockets(), 1);
        await comes(page, "by long-polling");
        await say(page, "Without one.");
        await sees(page, "Without one.");
        await sees(page, "On a socket.");
        assert.equal(gateway.count("/meta/handshake"), 1);
        assert.deepEqual([...gateway.connectionTypes], ["websocket", "long-polling"]);
      } finally {
        await page.context().close();
        await gateway.close();
      }
    });

    const status = (page, state) => page.waitForSelector(`#status[data-state="${state}"]`, { timeout: 20_000 });

    const comes = (page, text) =>
      until(`the page says ${text}`, async () => (await page.locator("#transport").innerText()) === text);

    const say = async (page, text) => {
      await page.fill("#text", text);
      await page.click("#send");
    };

    const sees = (page, text) =>
      until(`${text} is shown once`, async () => {
        const messages = await page.locator("#messages > li").allInnerTexts();
        return messages.filter((each) => each.includes(text)).length === 1;
      });

    const users = (page, names) =>
      until(`${names} are here`, async () => {
        const shown = await page.locator("#users > li").allInnerTexts();
        return shown.length === names.length && names.every((name) => shown.some((each) => each.includes(name)));
      });
  });
});
