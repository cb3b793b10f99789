// Clients on pages in Chromium, on each transport by itself: those of the same origin, and those of another.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { receivedBy } from "./support/behaviour.mjs";
import { launchChromium, PageClient } from "./support/chromium.mjs";
import { newCometdClient } from "./support/cometd-node.mjs";
import { startGateway, UPGRADES } from "./support/gateway.mjs";
import { startExample } from "./support/server.mjs";
import { carriersOf, worksOn } from "./support/transports.mjs";
import { until } from "./support/until.mjs";

/** Pages take their time; an orderly end of the server is tested in Node. */
const shutdown = false;

describe("in Chromium", () => {
  let browser;
  before(async () => (browser = await launchChromium()));
  after(() => browser.close());

  /** A maker of clients in pages of the server's own origin. */
  const inPage = (kind, ...more) => (url) => PageClient.open(browser, kind, url, { more });

  describe("cometd.js", () => {
    for (const transport of ["websocket", "callback-polling", "long-polling"]) {
      worksOn(transport, inPage("cometd", [transport]), { calls: true, shutdown });
    }
  });

  describe("Faye's client", () => {
    // It handshakes by long-polling if it can, and moves as soon as a socket or a stream is open.
    worksOn("websocket", inPage("faye"), { begins: "long-polling", shutdown });
    worksOn("eventsource", inPage("faye", ["websocket"]), { begins: "long-polling", shutdown });
    worksOn("long-polling", inPage("faye", ["websocket", "eventsource"]), { shutdown });
    worksOn("callback-polling", inPage("faye", ["websocket", "eventsource", "long-polling"]), { shutdown });
  });

  describe("a page that is loaded again", () => {
    let server, gateway, publisher;
    before(async () => {
      server = await startExample("hyper");
      gateway = await startGateway(server.origin);
      publisher = newCometdClient(server.url);
      await publisher.connect();
    });
    after(async () => {
      publisher.close();
      await gateway.close();
      await server.close();
    });

    for (const transport of ["websocket", "callback-polling", "long-polling"]) {
      test(`goes on with its session by ${transport} and misses nothing`, { timeout: 60_000 }, async () => {
        const handshakes = gateway.count("/meta/handshake");
        const page = await inPage("cometd-reloading", [transport])(gateway.url);
        try {
          await page.subscribeAtHandshake("/reloaded");
          await page.connect();
          await until("a subscription", () => page.resubscribed());
          const reloaded = page.reload();
          await publisher.publish("/reloaded", "meanwhile");
          await reloaded;
          await page.subscribeAtHandshake("/reloaded");
          await page.connect();
          await publisher.publish("/reloaded", "after");
          await until("all that comes", () => page.received.at(-1)?.data === "after");
          assert.ok(page.received.some(({ data }) => data === "meanwhile"));
          assert.equal(page.sessions.length, 2);
          assert.equal(page.sessions[0], page.sessions[1]);
          assert.equal(await page.transport(), transport);
          assert.equal(gateway.count("/meta/handshake"), handshakes + 1);
        } finally {
          await page.close();
        }
      });
    }
  });

  describe("a page of another origin", () => {
    // What the gateway of a test serves besides Bayeux is of no interest: pages come from `pages`.
    let pages, server;
    before(async () => {
      pages = await startGateway("http://127.0.0.1:9");
      server = await startExample("axum", { ALLOW_ORIGIN: pages.origin, JSONP: "1" });
    });
    after(async () => {
      await server.close();
      await pages.close();
    });

    /** `carriers`: by what its messages come, in alphabetical order. */
    const across = (name, [kind, ...more], transport, carriers, upgrades = UPGRADES.pass) =>
      test(name, { timeout: 60_000 }, async () => {
        const gateway = await startGateway(server.origin, { upgrades });
        const page = await PageClient.open(browser, kind, gateway.url, { origin: pages.origin, more });
        try {
          await page.connect();
          await page.subscribe("/across/*");
          await page.publish("/across/a", 1);
          await page.publishAll([["/across/a", 2], ["/across/a", 3]]);
          assert.deepEqual((await receivedBy(page, 3)).map(({ data }) => data), [1, 2, 3]);
          await until(`it is on ${transport}`, async () => (await page.transport()) === transport);
          await until(`a connect on ${transport}`, () => gateway.connectionTypes.has(transport));
          assert.deepEqual(carriersOf(gateway), carriers);
          await page.disconnect();
        } finally {
          await page.close();
          await gateway.close();
        }
      });

    across("with Faye's client handshakes by JSONP and goes on over a WebSocket", ["faye"], "websocket", ["callback-polling", "websocket"]);
    across("with Faye's client and no WebSocket stays within CORS", ["faye", ["websocket"]], "cross-origin-long-polling", ["callback-polling", "long-polling"]);
    across("with Faye's client behind a proxy that refuses to upgrade stays within CORS", ["faye"], "cross-origin-long-polling", ["callback-polling", "long-polling"], UPGRADES.refuse);
    across("with Faye's client and nothing else stays with JSONP", ["faye", ["websocket", "cross-origin-long-polling"]], "callback-polling", ["callback-polling"]);
    for (const transport of ["websocket", "callback-polling", "long-polling"]) {
      across(`with cometd.js works on ${transport}`, ["cometd", [transport]], transport, [transport]);
    }
  });
});
