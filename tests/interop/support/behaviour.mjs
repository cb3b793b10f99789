import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { startGateway } from "./gateway.mjs";
import { startExample } from "./server.mjs";
import { until } from "./until.mjs";

/** Text that a JSON encoder, a UTF-8 decoder or a script tag gets wrong if it can. */
export const AWKWARD_TEXT =
  "ASCII \"quotes\" \\ / \b\f\n\r\t NUL \u0000 DEL \u007f BOM \ufeff line\u2028paragraph\u2029 " +
  "é ß 漢字 עברית e\u0301 \u{1f600} \u{1f468}\u200d\u{1f469}\u200d\u{1f467} \u{10ffff} </script> ]]>";

/** Any JSON value may be published, not only objects. */
export const AWKWARD_VALUES = [
  null, false, 0, -0.5, 1e300, 12345678901234, "", [], {}, [[], [null]], { "": { "\u2028": [AWKWARD_TEXT] } },
];

const STEADY_MS = 2_000;

/**
 * What every client must be able to do against this server.
 *
 * - `newClient(url)` makes, or promises, a client with a cookie store of its own; see cometd-client.mjs and
 *   faye-client.mjs for its interface.
 * - `requestsToRecover`: how many requests one client may make from the loss of the server until it is back in the
 *   held connect of a new session.
 * - `crowd`: how many clients are many.
 * - `largeText`: what a large payload is made of.
 */
export function behavesLikeABayeuxClient(newClient, { requestsToRecover, crowd = 50, largeText = "0123456789 äöü 漢字 \u{1f600} " }) {
  describe("a session", () => {
    let server, gateway;
    before(async () => {
      server = await startExample("hyper");
      gateway = await startGateway(server.origin);
    });
    after(async () => {
      await gateway.close();
      await server.close();
    });

    const withClients = (name, count, body) => withServer(name, () => gateway.url, count, newClient, body);

    withClients("handshakes and gets a clientId of 40 hex digits", 1, async ([client]) => {
      assert.match(client.sessions[0], /^[0-9a-f]{40}$/);
    });

    withClients("receives what another publishes, and what it publishes itself", 2, async ([alice, bob]) => {
      await Promise.all([alice.subscribe("/room/a"), bob.subscribe("/room/a")]);
      await alice.publish("/room/a", { from: "alice" });
      await bob.publish("/room/a", { from: "bob" });
      const expected = [
        { pattern: "/room/a", channel: "/room/a", data: { from: "alice" } },
        { pattern: "/room/a", channel: "/room/a", data: { from: "bob" } },
      ];
      for (const client of [alice, bob]) assert.deepEqual(await receivedBy(client, 2), expected);
    });

    withClients("matches * to one segment and ** to any number", 3, async ([publisher, one, all]) => {
      await one.subscribe("/tree/*");
      await all.subscribe("/tree/**");
      const channels = ["/tree", "/tree/leaf", "/tree/branch/leaf", "/treetop/leaf", "/tree/last"];
      for (const channel of channels) await publisher.publish(channel, channel);
      assert.deepEqual((await receivedBy(one, 2)).map(channelOf), ["/tree/leaf", "/tree/last"]);
      assert.deepEqual((await receivedBy(all, 3)).map(channelOf), ["/tree/leaf", "/tree/branch/leaf", "/tree/last"]);
    });

    withClients("gets one copy although several of its patterns match", 2, async ([publisher, subscriber]) => {
      const patterns = ["/many/a", "/many/*", "/many/**", "/**"];
      for (const pattern of patterns) await subscriber.subscribe(pattern);
      await publisher.publish("/many/a", 1);
      await publisher.publish("/many/a", 2);
      // The library calls each listener once per copy that arrives.
      const received = await receivedBy(subscriber, 2 * patterns.length);
      for (const pattern of patterns) {
        assert.deepEqual(received.filter((each) => each.pattern === pattern).map(dataOf), [1, 2], pattern);
      }
    });

    withClients("receives nothing more after it unsubscribed", 2, async ([publisher, subscriber]) => {
      await subscriber.subscribe("/left");
      await subscriber.subscribe("/kept");
      await publisher.publish("/left", "before");
      await receivedBy(subscriber, 1);
      await subscriber.unsubscribe("/left");
      await publisher.publish("/left", "after");
      await publisher.publish("/kept", "end");
      assert.deepEqual((await receivedBy(subscriber, 2)).map(dataOf), ["before", "end"]);
    });

    withClients("publishes a batch in one request and in order", 2, async ([publisher, subscriber]) => {
      await subscriber.subscribe("/batch/*");
      const pairs = Array.from({ length: 20 }, (_, i) => [`/batch/${i % 3}`, i]);
      await publisher.publishAll(pairs);
      const ofBatch = (channels) => channels.filter((channel) => channel.startsWith("/batch/"));
      const batches = gateway.requests.map(ofBatch).filter((channels) => channels.length > 0);
      assert.deepEqual(batches, [pairs.map(([channel]) => channel)]);
      const received = await receivedBy(subscriber, pairs.length);
      assert.deepEqual(received.map(({ channel, data }) => [channel, data]), pairs);
    });

    withClients("carries every JSON value and every character unchanged", 2, async ([publisher, subscriber]) => {
      const values = [AWKWARD_TEXT, ...AWKWARD_VALUES];
      await subscriber.subscribe("/awkward");
      for (const value of values) await publisher.publish("/awkward", value);
      assert.deepEqual((await receivedBy(subscriber, values.length)).map(dataOf), values);
    });

    withClients("carries a payload of 500 kB", 2, async ([publisher, subscriber]) => {
      const text = largeText.repeat(Math.ceil(500_000 / Buffer.byteLength(largeText)));
      await subscriber.subscribe("/large");
      await publisher.publish("/large", { text });
      assert.ok((await receivedBy(subscriber, 1))[0].data.text === text);
    });

    withClients("is refused what it may not do, and goes on", 1, async ([client]) => {
      await client.subscribe("/fine");
      await assert.rejects(client.subscribe("/meta/connect"), /403/);
      await client.publish("/fine", "still here");
      assert.deepEqual((await receivedBy(client, 1)).map(dataOf), ["still here"]);
    });

    withClients(`of ${crowd} at once receives every message exactly once, in each publisher's order`, crowd, async (clients) => {
      await Promise.all(clients.map((client) => client.subscribe("/crowd/*")));
      const each = [0, 1, 2];
      await Promise.all(
        clients.map(async (client, from) => {
          for (const number of each) await client.publish(`/crowd/${from}`, { from, number });
        }),
      );
      for (const client of clients) {
        await receivedBy(client, clients.length * each.length);
        const numbers = clients.map(() => []);
        for (const { data } of client.received) numbers[data.from].push(data.number);
        numbers.forEach((seen, from) => assert.deepEqual(seen, each, `from ${from}`));
      }
    });

    withClients("ends with a disconnect, and another may follow", 2, async ([watcher, leaver]) => {
      await watcher.subscribe("/goodbye");
      await leaver.publish("/goodbye", "bye");
      await leaver.disconnect();
      const next = await newClient(gateway.url);
      try {
        await next.connect();
        await next.publish("/goodbye", "hello again");
        assert.deepEqual((await receivedBy(watcher, 2)).map(dataOf), ["bye", "hello again"]);
        assert.notEqual(next.sessions[0], leaver.sessions[0]);
      } finally {
        await next.close();
      }
    });
  });

  describe("a held connect", () => {
    let server, gateway;
    before(async () => {
      server = await startExample("hyper", { BAYEUX_TIMEOUT_MS: "1000" });
      gateway = await startGateway(server.origin);
    });
    after(async () => {
      await gateway.close();
      await server.close();
    });

    withServer("is renewed when it runs out, in one session", () => gateway.url, 1, newClient, async ([client]) => {
      await client.subscribe("/renewed");
      const start = gateway.count("/meta/connect");
      const startTime = Date.now();
      await until("three more connects", () => gateway.count("/meta/connect") >= start + 3);
      assert.ok(Date.now() - startTime >= 1_900, "each was held for its second");
      await client.publish("/renewed", "still here");
      assert.deepEqual((await receivedBy(client, 1)).map(dataOf), ["still here"]);
      assert.equal(client.sessions.length, 1);
    });

    withServer("loses nothing while connects come and go", () => gateway.url, 2, newClient, async ([publisher, client]) => {
      await client.subscribe("/flow");
      const end = gateway.count("/meta/connect") + 8;
      let published = 0;
      while (gateway.count("/meta/connect") < end) await publisher.publish("/flow", published++);
      assert.deepEqual((await receivedBy(client, published)).map(dataOf), [...Array(published).keys()]);
    });
  });

  describe("a client that was cut off", () => {
    let server, gateway;
    before(async () => {
      server = await startExample("hyper", { BAYEUX_MAX_INTERVAL_MS: "300" });
      gateway = await startGateway(server.origin);
    });
    after(async () => {
      await gateway.close();
      await server.close();
    });

    withServer("longer than its session lives gets a new one", () => gateway.url, 1, newClient, async ([client]) => {
      await client.subscribe("/expired");
      const connects = gateway.count("/meta/connect");
      gateway.cut();
      // The first try fails at once, the second about a second later: 300 ms are over by then.
      await until("two failed connects", () => gateway.count("/meta/connect") >= connects + 2);
      gateway.mend();
      await recovered(client, 2);
      await client.publish("/expired", "back");
      assert.deepEqual((await receivedBy(client, 1)).map(dataOf), ["back"]);
    });
  });

  describe("a short cut", () => {
    let server, gateway;
    before(async () => {
      server = await startExample("hyper");
      gateway = await startGateway(server.origin);
    });
    after(async () => {
      await gateway.close();
      await server.close();
    });

    withServer("keeps the session and what was published meanwhile", () => gateway.url, 1, newClient, async ([client]) => {
      // Somebody who is not cut off.
      const detour = await startGateway(server.origin);
      const other = await newClient(detour.url);
      try {
        await other.connect();
        await client.subscribe("/meanwhile");
        const connects = gateway.count("/meta/connect");
        gateway.cut();
        await until("a failed connect", () => gateway.count("/meta/connect") > connects);
        for (const number of [1, 2, 3]) await other.publish("/meanwhile", number);
        gateway.mend();
        assert.deepEqual((await receivedBy(client, 3)).map(dataOf), [1, 2, 3]);
        assert.equal(client.sessions.length, 1);
      } finally {
        await other.close();
        await detour.close();
      }
    });
  });

  for (const end of ["crash", "shutdown"]) {
    describe(`a restart of the server after a ${end}`, () => {
      let server, gateway;
      before(async () => {
        server = await startExample("hyper");
        gateway = await startGateway(server.origin);
      });
      after(async () => {
        await gateway.close();
        await server.close();
      });

      const count = Math.min(crowd, 12);
      withServer(`brings ${count} clients back without a storm`, () => gateway.url, count, newClient, async (clients, t) => {
        await Promise.all(clients.map((client) => client.subscribe("/back")));
        const [first] = clients;
        await first.publish("/back", "before");
        for (const client of clients) await receivedBy(client, 1);

        const before = gateway.requests.length;
        await server[end]();
        await server.start();
        for (const client of clients) await recovered(client, 2);
        await first.publish("/back", "after");
        for (const client of clients) {
          assert.deepEqual((await receivedBy(client, 2)).map(dataOf), ["before", "after"]);
        }
        const toRecover = gateway.requests.length - before;
        t.diagnostic(`${toRecover} requests brought ${clients.length} clients back`);
        assert.ok(toRecover <= clients.length * requestsToRecover, `${toRecover} requests for ${clients.length} clients`);

        // That something does not happen can only be seen by watching for a while: all connects are held now, but for
        // those that the last event has just released.
        await new Promise((resolve) => setTimeout(resolve, STEADY_MS));
        const toRest = gateway.requests.length - before - toRecover;
        assert.ok(toRest <= clients.length, `${toRest} requests of ${clients.length} idle clients in ${STEADY_MS} ms`);
        for (const client of clients) assert.equal(client.sessions.length, 2);
      });
    });
  }
}

/** A test with `count` connected clients, which are told goodbye even if it fails. */
export function withServer(name, url, count, newClient, body) {
  test(name, { timeout: 90_000 }, async (t) => {
    const clients = [];
    try {
      for (let number = 0; number < count; number++) clients.push(await newClient(url()));
      await Promise.all(clients.map((client) => client.connect()));
      await body(clients, t);
    } finally {
      await Promise.all(clients.map((client) => client.close()));
    }
  });
}

/** Waits for as many events, and fails if there are more. */
export async function receivedBy(client, count) {
  try {
    await until("all events", () => client.received.length >= count);
  } catch {
    assert.fail(`${client.received.length} events instead of ${count}: ${JSON.stringify(client.received).slice(0, 2000)}`);
  }
  assert.equal(client.received.length, count);
  return client.received;
}

/** Waits until the client has had as many sessions and its subscriptions are in force again. */
export function recovered(client, sessions) {
  return until(
    `session ${sessions} with its subscriptions`,
    async () => client.sessions.length >= sessions && (await client.resubscribed()),
    40_000,
  );
}

const channelOf = ({ channel }) => channel;
const dataOf = ({ data }) => data;
