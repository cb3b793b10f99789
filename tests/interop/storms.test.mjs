// Whatever a server refuses, a client must not ask for it over and over without a pause: real clients against every way
// to be turned away, their requests counted.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import faye from "faye";

import { newCometdClient } from "./support/cometd-node.mjs";
import { FayeClient } from "./support/faye-client.mjs";
import { UPGRADES, startGateway } from "./support/gateway.mjs";
import { startExample } from "./support/server.mjs";
import { until } from "./support/until.mjs";

/** How long requests are counted. */
const WATCHED_MS = 5_000;
/** How many requests a second are no storm yet: a new session takes a handshake, a subscribe and a connect. */
const REQUESTS_PER_SECOND = 2;
/** What it takes to come and be turned away for the first time, which is not counted. */
const FIRST = 4;

const CLIENTS = {
  "cometd.js": newCometdClient,
  "Faye's client": (url) => new FayeClient(new faye.Client(url, { retry: 1 })),
};

/** Starts the servers, a gateway to the first one and one client of each kind with its own; ends them whatever comes. */
function withEach(what, { names = ["hyper"], env = {}, only = Object.keys(CLIENTS), upgrades }, body) {
  for (const kind of only) {
    test(`${kind}: ${what}`, { timeout: 60_000 }, async (t) => {
      const servers = [];
      let gateway, client;
      try {
        for (const name of names) servers.push(await startExample(name, env));
        gateway = await startGateway(servers[0].origin, { upgrades });
        client = CLIENTS[kind](gateway.url);
        await body({ t, servers, gateway, client });
      } finally {
        client?.close();
        await gateway?.close();
        for (const server of servers) await server.close();
      }
    });
  }
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Counts requests for a while. */
async function assertNoStorm(t, gateway, before) {
  await pause(WATCHED_MS);
  const requests = gateway.requests.length - before;
  t.diagnostic(`${requests} requests in ${WATCHED_MS} ms: ${JSON.stringify(gateway.requests.slice(before, before + 8))}`);
  const most = FIRST + (REQUESTS_PER_SECOND * WATCHED_MS) / 1_000;
  assert.ok(requests <= most, `${requests} requests, more than ${most}`);
  return requests;
}

/** The client was turned away indeed, so often and in these words: where nothing is refused, no storm is no news. */
function assertRefused(t, gateway, channel, error, least = 1) {
  const refusals = gateway.refusals(channel);
  t.diagnostic(`refused ${refusals.length} times: ${JSON.stringify(refusals[0])}`);
  assert.ok(refusals.length >= least, `${refusals.length} refusals on ${channel}, fewer than ${least}`);
  for (const refusal of refusals) assert.match(refusal.error, error);
  return refusals;
}

/** It has not given up either. */
const comesBack = (gateway) => until("its second handshake", () => gateway.count("/meta/handshake") >= 2);

/** A client that is to fail: its promises may be kept or not. */
const begin = (client) => {
  client.connect().catch(() => {});
  client.subscribe("/storm").catch(() => {});
};

describe("no storm of a client", { concurrency: true }, () => {
  withEach("whose handshake is denied does not come back", { names: ["policy"] }, async ({ t, gateway, client }) => {
    client.connect().catch(() => {});
    assert.ok((await assertNoStorm(t, gateway, 0)) <= 2);
    const refusals = assertRefused(t, gateway, "/meta/handshake", /^403:/);
    for (const { advice } of refusals) assert.equal(advice.reconnect, "none");
  });

  withEach("that finds the server full tries again after a pause", { env: { BAYEUX_MAX_SESSIONS: "0" } }, async ({ t, gateway, client }) => {
    client.connect().catch(() => {});
    await assertNoStorm(t, gateway, 0);
    await comesBack(gateway);
    assertRefused(t, gateway, "/meta/handshake", /^403:/);
  });

  withEach("whose session is forgotten comes back at once, and once", {}, async ({ t, servers: [server], gateway, client }) => {
    await client.connect();
    await client.subscribe("/storm");
    await server.crash();
    await server.start();
    const before = gateway.requests.length;
    await assertNoStorm(t, gateway, before);
    await until("its new session", () => client.sessions.length === 2);
    assertRefused(t, gateway, "/meta/connect", /^402:/);
  });

  // What the gateway changes are requests, so no client may go by a socket.
  const upgrades = UPGRADES.refuse;

  // Two servers that share nothing behind a balancer that is not sticky: one makes the sessions, the other is asked for them.
  withEach("whose connects go to a server that never knows its session", { names: ["hyper", "hyper"], upgrades }, async ({ t, servers: [, other], gateway, client }) => {
    gateway.reroute = (request) =>
      request.channels.includes("/meta/connect") ? { ...request, upstream: other.origin } : request;
    begin(client);
    await assertNoStorm(t, gateway, 0);
    assertRefused(t, gateway, "/meta/connect", /^402:/, 2);
    await comesBack(gateway);
  });

  withEach("all of whose requests go to another server than the last", { names: ["hyper", "hyper"], upgrades }, async ({ t, servers, gateway, client }) => {
    let turn = 0;
    gateway.reroute = (request) => ({ ...request, upstream: servers[turn++ % 2].origin });
    begin(client);
    await assertNoStorm(t, gateway, 0);
    assertRefused(t, gateway, "/meta/connect", /^402:/, 2);
    await comesBack(gateway);
  });

  withEach("whose cookie comes with some requests and not with its connects", { upgrades }, async ({ t, gateway, client }) => {
    gateway.reroute = (request) => {
      // Faye's client sends its subscribe with the first connect: without that cookie the session would be nobody's.
      if (request.channels.some((channel) => channel !== "/meta/connect")) return request;
      const { cookie, ...headers } = request.headers;
      return { ...request, headers };
    };
    begin(client);
    await assertNoStorm(t, gateway, 0);
    assertRefused(t, gateway, "/meta/connect", /^402:/, 2);
    await comesBack(gateway);
  });

  withEach("whose connects are malformed pauses between them", { upgrades }, async ({ t, gateway, client }) => {
    gateway.reroute = (request) => {
      if (!request.channels.includes("/meta/connect")) return request;
      const messages = [JSON.parse(request.body)].flat().map((message) => ({ ...message, advice: 5 }));
      const body = Buffer.from(JSON.stringify(messages));
      return { ...request, body, headers: { ...request.headers, "content-length": body.length } };
    };
    begin(client);
    await assertNoStorm(t, gateway, 0);
    assertRefused(t, gateway, "/meta/connect", /^400:/, 2);
  });
});

describe("a client", () => {
  withEach("is served while others ignore everything they are told", {}, async ({ t, servers: [server], client }) => {
    await client.connect();
    await client.subscribe("/storm");
    const hammer = new Hammer(server.url, 20);
    try {
      for (let number = 0; number < 25; number++) {
        await client.publish("/storm", number);
        await until("the message", () => client.received.length === number + 1);
      }
      assert.equal(client.sessions.length, 1);
    } finally {
      t.diagnostic(`${await hammer.stop()} requests meanwhile`);
    }
  });
});

/** Clients that handshake, connect and subscribe as fast as they can, whatever the advice. */
class Hammer {
  #stopped = false;
  #requests = 0;
  #running;

  constructor(url, count) {
    this.#running = Promise.all(Array.from({ length: count }, () => this.#run(url)));
  }

  async #run(url) {
    const nobody = "0".repeat(40);
    const bodies = [
      { channel: "/meta/handshake", version: "1.0" },
      { channel: "/meta/connect", clientId: nobody },
      { channel: "/meta/subscribe", clientId: nobody, subscription: "/storm" },
    ].map((message) => JSON.stringify([message]));
    while (!this.#stopped) {
      for (const body of bodies) {
        const response = await fetch(url, { method: "POST", body });
        assert.equal(response.status, 200);
        await response.text();
        this.#requests++;
      }
    }
  }

  /** Ends them, and says how many requests they made. */
  async stop() {
    this.#stopped = true;
    await this.#running;
    return this.#requests;
  }
}
