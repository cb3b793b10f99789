// Each example does what its own documentation says to try.

import assert from "node:assert/strict";
import { test } from "node:test";

import { startExample } from "./support/server.mjs";
import { until } from "./support/until.mjs";

const POLL = { channel: "/meta/connect", connectionType: "long-polling", advice: { timeout: 0 } };

const withExample = (what, name, body) =>
  test(what, async () => {
    const example = await startExample(name);
    try {
      await body(example);
    } finally {
      await example.close();
    }
  });

/** A POST with a body as curl sends it. */
const post = (example, path, body, headers = {}) =>
  fetch(new URL(path, example.origin), { method: "POST", body, headers });

/** A client that is no more than its requests. */
class Raw {
  constructor(example, headers) {
    this.example = example;
    this.headers = headers;
    this.events = [];
  }

  async send(...messages) {
    const batch = messages.map((message) => ({ ...message, clientId: this.id }));
    const response = await post(this.example, "/cometd", JSON.stringify(batch), this.headers);
    assert.equal(response.status, 200);
    const answer = await response.json();
    this.events.push(...answer.filter((message) => "data" in message));
    return answer;
  }

  async handshake() {
    const [reply] = await this.send({ channel: "/meta/handshake", version: "1.0" });
    assert.equal(reply.successful, true);
    this.id = reply.clientId;
    await this.send(POLL);
  }

  /** Polls until a message on `channel` has come. */
  async receive(channel) {
    return until(`a message on ${channel}`, async () => {
      const found = this.events.find((event) => event.channel === channel);
      if (!found) await this.send({ ...POLL, advice: { timeout: 1000 } });
      return found;
    });
  }
}

for (const name of ["hyper", "axum", "chat", "../example-tonic"]) {
  withExample(`${name}: prints its URL, serves Bayeux at /cometd, and lets a held poll go when it is stopped`, name, async (example) => {
    const client = new Raw(example);
    await client.handshake();
    client.held = client.send({ channel: "/meta/connect", connectionType: "long-polling" });
    // Answered by another request, so the one before has arrived too.
    await client.send({ channel: "/meta/subscribe", subscription: "/x" });
    await example.shutdown();
    const reply = (await client.held).at(-1);
    assert.equal(reply.successful, true);
    assert.equal(reply.advice.reconnect, "retry");
  });
}

withExample("axum: a handler publishes, and its other routes are served", "axum", async (example) => {
  const client = new Raw(example);
  await client.handshake();
  await client.send({ channel: "/meta/subscribe", subscription: "/announcements" });
  const json = { "content-type": "application/json" };
  const announced = await post(example, "/announce", JSON.stringify({ text: "the bar is open" }), json);
  assert.equal(announced.status, 202);
  assert.deepEqual((await client.receive("/announcements")).data, { text: "the bar is open" });
  assert.match(await (await fetch(example.origin)).text(), /cometd/);
  assert.equal((await (await fetch(new URL("/stats", example.origin))).json()).sessions, 1);
});

withExample("auth: no token, no Bayeux; with one, the session knows its user", "auth", async (example) => {
  assert.equal((await post(example, "/cometd", "[]")).status, 401);
  const ada = new Raw(example, { authorization: "Bearer ada-secret" });
  await ada.handshake();
  assert.match(JSON.stringify((await ada.receive("/greeting")).data), /Ada/);
  await ada.send({ channel: "/service/whoami" });
  assert.match(JSON.stringify((await ada.receive("/service/whoami")).data), /Ada/);
  assert.ok((await post(example, "/logout", "", ada.headers)).ok);
  const [farewell, reply] = await ada.send(POLL);
  assert.equal(farewell.channel, "/meta/disconnect");
  assert.equal(reply.advice.reconnect, "none");
});
