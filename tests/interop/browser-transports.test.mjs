// Clients on pages in Chromium, on each transport by itself: those of the same origin, and those of another.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { receivedBy, recovered } from "./support/behaviour.mjs";
import { launchChromium, PageClient } from "./support/chromium.mjs";
import { newCometdClient } from "./support/cometd-node.mjs";
import { startGateway, UPGRADES } from "./support/gateway.mjs";
import { startExample } from "./support/server.mjs";
import { carriersOf, worksOn } from "./support/transports.mjs";
import { until } from "./support/until.mjs";

/** Pages take their time; the other end is tested in Node. */
const ends = ["crash"];

describe("in Chromium", () => {
  let browser;
  before(async () => (browser = await launchChromium()));
  after(() => browser.close());

  /** A maker of clients in pages of the server's own origin. */
  const inPage = (kind, ...more) => (url) => PageClient.open(browser, kind, url, { more });

  describe("cometd.js", () => {
    for (const transport of ["websocket", "callback-polling", "long-polling"]) {
      worksOn(transport, inPage("cometd", [transport]), { calls: true, ends });
    }
  });

  describe("Faye's client", () => {
    // It handshakes by long-polling if it can, and moves as soon as a socket or a stream is open.
    worksOn("websocket", inPage("faye"), { begins: "long-polling", ends });
    worksOn("eventsource", inPage("faye", ["websocket"]), { begins: "long-polling", ends });
    worksOn("long-polling", inPage("faye", ["websocket", "eventsource"]), { ends });
    worksOn("callback-polling", inPage("faye", ["websocket", "eventsource", "long-polling"]), { ends });
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
        const clients = [];
        try {
          for (const _ of [1, 2]) clients.push(await PageClient.open(browser, kind, gateway.url, { origin: pages.origin, more }));
          const [alice, bob] = clients;
          for (const client of clients) {
            await client.connect();
            await client.subscribe("/across/*");
          }
          await alice.publish("/across/a", 1);
          await bob.publishAll([["/across/a", 2], ["/across/a", 3]]);
          for (const client of clients) {
            assert.deepEqual((await receivedBy(client, 3)).map(({ data }) => data), [1, 2, 3]);
          }
          await server.crash();
          await server.start();
          for (const client of clients) await recovered(client, 2);
          await alice.publish("/across/a", 4);
          for (const client of clients) {
            assert.deepEqual((await receivedBy(client, 4)).map(({ data }) => data), [1, 2, 3, 4]);
            await until(`it is on ${transport}`, async () => (await client.transport()) === transport);
          }
          await until(`a connect on ${transport}`, () => gateway.connectionTypes.has(transport));
          assert.deepEqual(carriersOf(gateway), carriers);
          for (const client of clients) await client.disconnect();
        } finally {
          await Promise.all(clients.map((client) => client.close()));
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
