// Sessions of clients in Node that lose their WebSocket in the middle of a stream, change the transport, or outlive their
// client.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { AckExtension } from "cometd/AckExtension.js";
import { ReloadExtension } from "cometd/ReloadExtension.js";
import faye from "faye";

import { AcknowledgingClient } from "./support/acknowledging-client.mjs";
import { receivedBy } from "./support/behaviour.mjs";
import { CometdClient } from "./support/cometd-client.mjs";
import { newCometd, newCometdClient, newCometdsOfOneBrowser } from "./support/cometd-node.mjs";
import { FayeClient } from "./support/faye-client.mjs";
import { startGateway } from "./support/gateway.mjs";
import { startExample } from "./support/server.mjs";
import { SessionStorage } from "./support/session-storage.mjs";
import { until } from "./support/until.mjs";

const CUTS = 20;
const BACKOFF = { backoffIncrement: 5, maxBackoff: 50 };

describe("a session", () => {
  let server, gateway;
  before(async () => (server = await startExample("hyper")));
  after(() => server.close());

  /** A test with a gateway, a publisher that goes past it, and whatever `newClients` makes, which is closed afterwards. */
  const withGateway = (name, newClients, body) =>
    test(name, { timeout: 60_000 }, async (t) => {
      gateway = await startGateway(server.origin);
      const publisher = newCometdClient(server.url);
      const clients = newClients(gateway.url);
      try {
        await publisher.connect();
        await body(publisher, clients, t);
      } finally {
        for (const client of [publisher, ...clients]) client.close();
        await gateway.close();
      }
    });

  const clients = {
    "cometd.js": (url) => [newCometdClient(url, ["websocket"], BACKOFF)],
    "Faye's client": (url) => [new FayeClient(new faye.Client(url, { retry: 0.05 }))],
  };
  for (const [name, newClients] of Object.entries(clients)) {
    withGateway(`of ${name} whose socket is cut ${CUTS} times in a stream gets each message once and in order`, newClients, async (publisher, [client], t) => {
      await client.connect();
      await client.subscribe("/stream");
      await until("it is on a socket", () => client.transport() === "websocket" && gateway.connectionTypes.has("websocket"));
      const published = await streamThrough(publisher, client, async () => {
        const opened = gateway.sockets.opened;
        const cut = await gateway.cutSockets();
        await until("a new socket", () => gateway.sockets.opened > opened);
        return cut;
      });
      assert.deepEqual(dataOf(await receivedBy(client, published)), [...Array(published).keys()]);
      assert.equal(client.sessions.length, 1);
      assert.equal(client.transport(), "websocket");
      t.diagnostic(`${published} messages over ${gateway.sockets.opened} sockets`);
    });
  }

  const acknowledging = (url) => [new AcknowledgingClient(url, 5, "websocket")];
  // The events of a connect come in frames of their own before its reply: where it breaks in between, they come again.
  withGateway(`that acknowledges loses nothing though its socket breaks ${CUTS} times with messages on their way`, acknowledging, async (publisher, [client], t) => {
    await client.connect();
    await client.subscribe("/stream");
    const published = await streamThrough(publisher, client, async () => {
      const opened = gateway.sockets.opened;
      gateway.breakSockets();
      await until("a new socket", () => gateway.sockets.opened > opened);
      return 1;
    });
    await until("all messages", () => client.received.at(-1)?.data === published - 1);
    let [next, repeats] = [0, 0];
    for (const number of dataOf(client.received)) {
      assert.ok(number <= next, `${number} where ${next} was missing`);
      if (number < next) repeats++;
      next = number + 1;
    }
    assert.ok(repeats <= CUTS, `${repeats} repeats`);
    assert.equal(client.sessions.length, 1);
    t.diagnostic(`${published} messages over ${gateway.sockets.opened} sockets`);
  });

  let cometd;
  const beginsByPolling = (url) => {
    cometd = newCometd();
    cometd.websocketEnabled = false;
    // From the handshake's reply on, a WebSocket will do.
    cometd.registerExtension("move", { incoming: (message) => {
      if (message.channel === "/meta/handshake") cometd.websocketEnabled = true;
      return message;
    } });
    return [new CometdClient(cometd, url, ["websocket", "long-polling"])];
  };
  withGateway("that cometd.js began by long-polling goes on over a WebSocket", beginsByPolling, async (publisher, [client]) => {
    await client.connect();
    await client.subscribe("/moved");
    await publisher.publish("/moved", 1);
    assert.deepEqual(dataOf(await receivedBy(client, 1)), [1]);
    assert.equal(client.transport(), "websocket");
    assert.equal(client.sessions.length, 1);
    assert.equal(gateway.carried["long-polling"], 1, "the handshake");
    assert.deepEqual([...gateway.connectionTypes], ["websocket"]);
  });

  for (const transport of ["websocket", "long-polling"]) {
    const newPages = (url) => {
      window.sessionStorage = new SessionStorage();
      return newCometdsOfOneBrowser(2).map((page) => {
        // What is under way when the page goes is sent again only if it is acknowledged.
        page.registerExtension("ack", new AckExtension());
        page.registerExtension("reload", new ReloadExtension());
        const client = new CometdClient(page, url, [transport]);
        client.subscribeAtHandshake("/reloaded");
        return client;
      });
    };
    withGateway(`of a page that is loaded again goes on by ${transport} and misses nothing`, newPages, async (publisher, [first, second]) => {
      await first.connect();
      await until("a subscription", () => first.resubscribed());
      first.reload();
      await publisher.publish("/reloaded", "meanwhile");
      // Nothing is left of the first page but what the browser keeps.
      await second.connect();
      await publisher.publish("/reloaded", "after");
      assert.deepEqual(dataOf(await receivedBy(second, 2)), ["meanwhile", "after"]);
      assert.deepEqual(second.sessions, first.sessions);
      assert.equal(gateway.count("/meta/handshake"), 1);
      assert.equal(second.transport(), transport);
      assert.deepEqual([...gateway.connectionTypes], [transport]);
    });
  }
});

/** Publishes numbers without a pause until `cut` has cut a socket often enough, and resolves to how many. */
async function streamThrough(publisher, client, cut) {
  let published = 0;
  let cuts = 0;
  const publishing = (async () => {
    while (cuts < CUTS) await publisher.publish("/stream", published++);
  })();
  while (cuts < CUTS) {
    const seen = client.received.length;
    await until("a part of the stream", () => client.received.length >= seen + 10);
    cuts += await cut();
  }
  await publishing;
  return published;
}

const dataOf = (received) => received.map(({ data }) => data);
