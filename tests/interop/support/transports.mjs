import assert from "node:assert/strict";
import { after, before, describe } from "node:test";

import { receivedBy, recovered, withServer } from "./behaviour.mjs";
import { startGateway } from "./gateway.mjs";
import { startExample } from "./server.mjs";
import { until } from "./until.mjs";

/** Faye's event stream renews its connects only as often as they would run out, so that is to be often. */
const TIMEOUT_MS = "2000";

/**
 * What a client must be able to do on each transport.
 *
 * - `transport`: what the client says that it uses, what it names in its connects, and what the gateway sees.
 * - `newClient(url)` makes, or promises, a client that shall use it.
 * - `begins`: the transport on which its sessions begin, if that is another.
 * - `calls`: whether the client knows remote calls.
 * - `shutdown`: whether it is tested with an orderly end of the server, too.
 */
export function worksOn(transport, newClient, { begins, calls = false, shutdown = true } = {}) {
  describe(`on ${transport}`, () => {
    let server, gateway;
    before(async () => {
      server = await startExample("hyper", { BAYEUX_TIMEOUT_MS: TIMEOUT_MS });
      gateway = await startGateway(server.origin);
    });
    after(async () => {
      await gateway.close();
      await server.close();
    });

    const isOnIt = async (clients) => {
      for (const client of clients) await until(`it is on ${transport}`, async () => (await client.transport()) === transport);
      await until(`a connect on ${transport}`, () => gateway.connectionTypes.has(transport));
      const expected = new Set([transport, begins ?? transport]);
      for (const type of gateway.connectionTypes) assert.ok(expected.has(type), `a connect on ${type}`);
      assert.deepEqual(carriersOf(gateway), [...expected].sort());
    };

    const name = `it handshakes, subscribes, publishes, ${calls ? "calls, " : ""}comes back after a crash of the server and says goodbye`;
    withServer(name, () => gateway.url, 2, newClient, async (clients) => {
      const [alice, bob] = clients;
      const channel = `/on/${transport}/a`;
      await Promise.all(clients.map((client) => client.subscribe(`/on/${transport}/*`)));
      await alice.publish(channel, 0);
      await bob.publishAll([1, 2, 3].map((number) => [channel, number]));
      for (const client of clients) {
        assert.deepEqual(dataOf(await receivedBy(client, 4)), [0, 1, 2, 3]);
      }
      if (calls) {
        const answer = await alice.remoteCall("echo", { question: "what is 6 × 7?" });
        assert.equal(answer.successful, true);
        assert.deepEqual(answer.data, { question: "what is 6 × 7?" });
      }
      await isOnIt(clients);

      await server.crash();
      await server.start();
      for (const client of clients) await recovered(client, 2);
      await alice.publish(channel, 4);
      for (const client of clients) {
        assert.deepEqual(dataOf(await receivedBy(client, 5)), [0, 1, 2, 3, 4]);
        assert.equal(client.sessions.length, 2);
      }
      await isOnIt(clients);

      await alice.disconnect();
      await bob.publish(channel, 5);
      assert.deepEqual(dataOf(await receivedBy(bob, 6)), [0, 1, 2, 3, 4, 5]);
      assert.equal(alice.received.length, 5);
      await bob.disconnect();
    });

    if (!shutdown) return;
    withServer("it comes back after a shutdown of the server", () => gateway.url, 2, newClient, async (clients) => {
      const [alice] = clients;
      await Promise.all(clients.map((client) => client.subscribe("/shutdown")));
      await alice.publish("/shutdown", "before");
      for (const client of clients) await receivedBy(client, 1);
      await server.shutdown();
      await server.start();
      for (const client of clients) await recovered(client, 2);
      await alice.publish("/shutdown", "after");
      for (const client of clients) {
        assert.deepEqual(dataOf(await receivedBy(client, 2)), ["before", "after"]);
      }
      await isOnIt(clients);
    });
  });
}

/** The transports by which something came, in alphabetical order. */
export function carriersOf(gateway) {
  return Object.keys(gateway.carried).filter((transport) => gateway.carried[transport] > 0).sort();
}

const dataOf = (received) => received.map(({ data }) => data);
