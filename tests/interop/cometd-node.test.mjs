import assert from "node:assert/strict";
import { after, before, describe } from "node:test";

import { behavesLikeABayeuxClient, receivedBy, withServer } from "./support/behaviour.mjs";
import {
  newCometdClient,
  newCometdClientWithoutCookies,
  newCometdClientWithSharedCookies,
} from "./support/cometd-node.mjs";
import { startExample } from "./support/server.mjs";

describe("cometd.js in Node", () => {
  // Handshake, subscribe, two connects, and a failed connect after 0, 1, 2, ... seconds while the server is away.
  // cometd-nodejs-client 2.0.0 decodes each chunk of an answer by itself, which breaks a character that two chunks share.
  behavesLikeABayeuxClient(newCometdClient, { requestsToRecover: 10, largeText: "0123456789" });

  describe("cookies", () => {
    let server;
    before(async () => (server = await startExample("hyper")));
    after(() => server.close());

    const exchange = async (clients) => {
      await Promise.all(clients.map((client) => client.subscribe("/cookies")));
      for (const [number, client] of clients.entries()) await client.publish("/cookies", number);
      const numbers = [...clients.keys()];
      for (const client of clients) {
        assert.deepEqual((await receivedBy(client, clients.length)).map(({ data }) => data), numbers);
        assert.equal(client.sessions.length, 1);
      }
    };

    withServer("are not needed", () => server.url, 5, newCometdClientWithoutCookies, exchange);

    withServer("may be shared by all clients of a process", () => server.url, 1, newCometdClientWithSharedCookies, async (clients) => {
      // One after the other: of several first handshakes at once, each would set a cookie and only the last would stay.
      const all = [...clients];
      try {
        while (all.length < 5) {
          all.push(newCometdClientWithSharedCookies(server.url));
          await all.at(-1).connect();
        }
        await exchange(all);
      } finally {
        all.slice(1).forEach((client) => client.close());
      }
    });
  });
});
