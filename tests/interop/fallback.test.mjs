// What clients in Node do where no WebSocket gets through.

import assert from "node:assert/strict";
import { after, before, describe } from "node:test";

import faye from "faye";

import { receivedBy, recovered, withServer } from "./support/behaviour.mjs";
import { CometdClient } from "./support/cometd-client.mjs";
import { newCometd } from "./support/cometd-node.mjs";
import { FayeClient } from "./support/faye-client.mjs";
import { startGateway, UPGRADES } from "./support/gateway.mjs";
import { startExample } from "./support/server.mjs";
import { carriersOf } from "./support/transports.mjs";

/** What cometd.js must be told, so that it does not take a proxy that says nothing for a slow network. */
const IMPATIENT = { connectTimeout: 300, maxNetworkDelay: 1_000, stickyReconnect: false };

/**
 * After a failed handshake cometd.js takes its next transport; but after the next handshake that succeeds, it would go
 * back to the socket and have no way out of it. So applications tell it, as this one does.
 */
function newCometdClientOnBoth(url) {
  const cometd = newCometd();
  cometd.onTransportException = (_failure, failed) => {
    if (failed === "websocket") cometd.websocketEnabled = false;
  };
  return new CometdClient(cometd, url, ["websocket", "long-polling"], IMPATIENT);
}

const newFayeClient = (url) => new FayeClient(new faye.Client(url, { retry: 1 }));

describe("cometd.js falls back to long-polling", () => {
  fallsBack(newCometdClientOnBoth, "behind a proxy that refuses to upgrade", UPGRADES.refuse);
  fallsBack(newCometdClientOnBoth, "behind a proxy that closes on an upgrade", UPGRADES.close);
  fallsBack(newCometdClientOnBoth, "behind a proxy that does not answer an upgrade", UPGRADES.ignore);
  fallsBack(newCometdClientOnBoth, "behind a proxy that lets nothing through a socket", UPGRADES.silence, "websocket");
});

// A socket that is open, Faye's client trusts for ever.
describe("Faye's client falls back to long-polling", () => {
  fallsBack(newFayeClient, "behind a proxy that refuses to upgrade", UPGRADES.refuse);
  fallsBack(newFayeClient, "behind a proxy that closes on an upgrade", UPGRADES.close);
  fallsBack(newFayeClient, "behind a proxy that does not answer an upgrade", UPGRADES.ignore);
});

/** `tried`: by what else the client has sent something. */
function fallsBack(newClient, where, upgrades, ...tried) {
  describe(where, () => {
    let server, gateway;
    before(async () => {
      server = await startExample("hyper");
      gateway = await startGateway(server.origin, { upgrades });
    });
    after(async () => {
      await gateway.close();
      await server.close();
    });

    withServer("and stays there when the server restarts", () => gateway.url, 2, newClient, async (clients) => {
      const [alice, bob] = clients;
      await Promise.all(clients.map((client) => client.subscribe("/anyway")));
      await alice.publish("/anyway", 1);
      await bob.publishAll([["/anyway", 2], ["/anyway", 3]]);
      for (const client of clients) {
        assert.deepEqual((await receivedBy(client, 3)).map(({ data }) => data), [1, 2, 3]);
        assert.equal(client.sessions.length, 1);
      }
      await server.crash();
      await server.start();
      for (const client of clients) await recovered(client, 2);
      await alice.publish("/anyway", 4);
      for (const client of clients) {
        assert.deepEqual((await receivedBy(client, 4)).map(({ data }) => data), [1, 2, 3, 4]);
        assert.equal(client.transport(), "long-polling");
      }
      assert.deepEqual([...gateway.connectionTypes], ["long-polling"]);
      assert.deepEqual(carriersOf(gateway), ["long-polling", ...tried]);
      assert.ok(gateway.sockets.wanted >= clients.length);
    });
  });
}
