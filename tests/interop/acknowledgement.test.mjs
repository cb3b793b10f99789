// The acknowledgement extension against cometd.js's own, over connections that are cut everywhere.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { AcknowledgingClient } from "./support/acknowledging-client.mjs";
import { newCometdClient } from "./support/cometd-node.mjs";
import { startCuttingProxy } from "./support/cutting-proxy.mjs";
import { Random } from "./support/random.mjs";
import { startExample } from "./support/server.mjs";
import { until } from "./support/until.mjs";

const BACKOFF_MS = 5;
/** Long enough for a test to do something meanwhile. */
const LONG_BACKOFF_MS = 1_000;

const CUTS = 200;
const PUBLISHERS = 4;
/** How many messages one publisher may be ahead of the subscriber: the load never outgrows what the server keeps. */
const AHEAD = 20;
const MAX_MESSAGES = 50_000;

describe("cometd.js with its AckExtension", () => {
  let server;
  before(async () => (server = await startExample("hyper")));
  after(() => server.close());

  /** A test with a client behind a proxy, subscribed to `/a/*`, and publishers that nothing stands in the way of. */
  const withCuts = (name, { backoffMs = BACKOFF_MS, publishers: count = 1 }, body) =>
    test(name, { timeout: 90_000 }, async (t) => {
      const proxy = await startCuttingProxy(server.origin);
      const client = new AcknowledgingClient(proxy.url, backoffMs);
      const publishers = Array.from({ length: count }, () => newCometdClient(server.url));
      try {
        await Promise.all([client, ...publishers].map((each) => each.connect()));
        await client.subscribe("/a/*");
        await body({ client, proxy, publishers, publisher: publishers[0], t });
        // Nothing comes a second time later on, and all of it came in one session.
        const received = client.received.length;
        proxy.plan = () => undefined;
        await publishers[0].publish("/a/end", "end");
        await client.receives(received + 1);
        assert.equal(client.received.length, received + 1);
        assert.equal(client.received.at(-1).data, "end");
        assert.equal(client.sessions.length, 1);
      } finally {
        for (const each of [client, ...publishers]) each.close();
        await proxy.close();
      }
    });

  for (const unnoticed of [false, true]) {
    const name = `gets what is published while its held connect is cut${unnoticed ? " and the server does not know" : ""}`;
    withCuts(name, { backoffMs: LONG_BACKOFF_MS }, async ({ client, proxy, publisher }) => {
      await publisher.publish("/a/x", 0);
      await client.receives(1);
      // Its next connect is not on its way yet. What comes after it and is answered shows that it has arrived.
      const when = () => publisher.publish("/other", null);
      proxy.plan = () => ({ when, unnoticed });
      await until("a cut", () => proxy.cuts.held === 1);
      proxy.plan = () => undefined;
      const requests = proxy.requests;
      await publisher.publish("/a/x", 1);
      if (unnoticed) await until("an answer into the void", () => proxy.voided === 1);
      await publisher.publish("/a/x", 2);
      assert.equal(proxy.requests, requests, "it is not back yet");
      await client.receives(3);
      assert.deepEqual(client.received.map(({ data }) => data), [0, 1, 2]);
    });
  }

  withCuts("gets each message once wherever its answer is cut: at each byte, and after the last", {}, async ({ client, proxy, publisher, t }) => {
    let cutAfter;
    let length = 0;
    proxy.plan = () => ({
      after: (bytes) => {
        if (cutAfter === undefined) return undefined;
        length = bytes;
        const here = cutAfter;
        cutAfter = undefined;
        return here;
      },
    });
    // The connect that is held now was made before the plan.
    await publisher.publish("/a/x", 0);
    await client.receives(1);
    let number = 1;
    do {
      cutAfter = number - 1;
      await publisher.publish("/a/x", number++);
      await client.receives(number);
    } while (number < length + 20);
    assert.deepEqual(client.received.map(({ data }) => data), [...Array(number).keys()]);
    t.diagnostic(JSON.stringify(proxy.cuts));
    assert.ok(proxy.cuts.before === 1 && proxy.cuts.during >= length - 1 && proxy.cuts.after >= 10, JSON.stringify(proxy.cuts));
  });

  withCuts(`gets each message once and in its publisher's order through ${CUTS} cuts at random`, { publishers: PUBLISHERS }, async ({ client, proxy, publishers, t }) => {
    const random = new Random(20);
    proxy.plan = () => {
      const dice = random.below(10);
      const reset = random.below(4) === 0;
      if (proxy.cutCount >= CUTS || dice < 3) return undefined;
      if (dice < 6) return { when: () => delay(random.below(8)), unnoticed: random.below(2) === 0, reset };
      if (dice < 9) return { after: (length) => random.below(length), reset };
      return { after: (length) => length, reset };
    };

    const sent = await Promise.all(
      publishers.map(async (publisher, from) => {
        const choices = new Random(from);
        let number = 0;
        while (proxy.cutCount < CUTS && number < MAX_MESSAGES / PUBLISHERS) {
          const batch = Array.from({ length: 1 + choices.below(4) }, () => {
            const text = "x".repeat(choices.below(20) === 0 ? choices.below(50_000) : choices.below(100));
            return [`/a/${from}`, { from, number: number++, text }];
          });
          await publisher.publishAll(batch);
          await until("the subscriber to keep up", () => number - seenFrom(client, from).length < AHEAD);
        }
        return number;
      }),
    );
    const total = sent.reduce((sum, count) => sum + count);
    await client.receives(total);

    assert.equal(client.received.length, total);
    for (const [from, count] of sent.entries()) {
      assert.deepEqual(seenFrom(client, from), [...Array(count).keys()], `from ${from}`);
    }
    t.diagnostic(`${total} messages, cuts ${JSON.stringify(proxy.cuts)}, ${proxy.voided} answers into the void`);
    assert.ok(proxy.cutCount >= CUTS);
    for (const [kind, count] of Object.entries(proxy.cuts)) assert.ok(count >= CUTS / 40, `${count} ${kind}`);
  });
});

function seenFrom(client, from) {
  return client.received.filter(({ data }) => data.from === from).map(({ data }) => data.number);
}
