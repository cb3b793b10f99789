// Each example does what its own documentation says to try.

import assert from "node:assert/strict";
import { test } from "node:test";

import { startExample } from "./support/server.mjs";
import { until } from "./support/until.mjs";

const POLL = { channel: "/meta/connect", connectionType: "long-polling", advice: { timeout: 0 } };

const withExample = (what, name, body, env = {}) =>
  test(what, async () => {
    const example = await startExample(name, env);
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

  async handshake(ext) {
    const [reply] = await this.send({ channel: "/meta/handshake", version: "1.0", ext });
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

const SERVERS = ["hyper", "axum", "chat", "auth", "policy", "remote_call", "acknowledged", "extensions", "../example-tonic"];

for (const name of SERVERS) {
  const letsGo = (by) => async (example) => {
    const client = new Raw(example, { authorization: "Bearer ada-secret" });
    // One of them wants to know the language of its clients, another one who they are.
    await client.handshake({ language: "en", token: "ada-secret" });
    client.held = client.send({ channel: "/meta/connect", connectionType: "long-polling" });
    // Answered by another request, so the one before has arrived too.
    await client.send({ channel: "/meta/subscribe", subscription: "/x" });
    await example.shutdown(by);
    const reply = (await client.held).at(-1);
    assert.equal(reply.successful, true);
    assert.equal(reply.advice.reconnect, "retry");
  };
  withExample(`${name}: prints its URL, serves Bayeux at /cometd, and lets a held poll go when it is stopped`, name, letsGo("SIGINT"));
  withExample(`${name}: lets a held poll go at SIGTERM, too`, name, letsGo("SIGTERM"));
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
  const bob = new Raw(example, { authorization: "Bearer bob-secret" });
  bob.id = ada.id;
  const refused = await bob.send(POLL, { channel: "/service/whoami" }, { channel: "/meta/disconnect" });
  assert.deepEqual(refused.map(({ error }) => error), Array(3).fill("402::session_unknown"));
  assert.equal(refused[0].advice.reconnect, "handshake");
  await ada.send({ channel: "/service/whoami" });
  assert.match(JSON.stringify((await ada.receive("/service/whoami")).data), /Ada/);
  assert.ok((await post(example, "/logout", "", ada.headers)).ok);
  const [farewell, reply] = await ada.send(POLL);
  assert.equal(farewell.channel, "/meta/disconnect");
  assert.equal(reply.advice.reconnect, "none");
});

withExample("acknowledged: what was not acknowledged comes again, and with it the book can be followed", "acknowledged", async (example) => {
  const client = new Raw(example);
  const [handshake] = await client.send({ channel: "/meta/handshake", version: "1.0", ext: { ack: true } });
  client.id = handshake.clientId;
  assert.equal(handshake.ext.ack, true);
  const connect = async (ack) => {
    const answer = await client.send({ channel: "/meta/connect", connectionType: "long-polling", ext: { ack } });
    return { ack: answer.at(-1).ext.ack, changes: answer.slice(0, -1).map(({ data }) => data) };
  };
  assert.deepEqual(await connect(0), { ack: 1, changes: [] });
  await client.send({ channel: "/meta/subscribe", subscription: "/book" });
  const wholeBook = async () => (await fetch(new URL("/book", example.origin))).json();
  const book = await wholeBook();

  const lost = await connect(1);
  assert.equal(lost.ack, 2);
  assert.ok(lost.changes.length > 0);
  let answer = await connect(1);
  assert.equal(answer.ack, 3);
  assert.deepEqual(answer.changes.slice(0, lost.changes.length), lost.changes);

  const now = await wholeBook();
  while (book.number < now.number) {
    for (const { number, price, quantity } of answer.changes) {
      if (number <= book.number) continue; // It is in the book already.
      assert.equal(number, book.number + 1);
      book.number = number;
      book.offers[price] = (book.offers[price] ?? 0) + quantity;
      if (book.offers[price] === 0) delete book.offers[price];
      if (number === now.number) assert.deepEqual(book, now);
    }
    answer = await connect(answer.ack);
  }
}, { TICK_MS: "20" });

withExample("policy: members only, each channel with its rules, and a backend without a session", "policy", async (example) => {
  const client = new Raw(example);
  const handshake = async (ext) => (await client.send({ channel: "/meta/handshake", version: "1.0", ext }))[0];
  const refused = await handshake(undefined);
  assert.equal(refused.error, "403::handshake_denied");
  assert.deepEqual(refused.ext, { missing: "ext.token" });
  assert.equal((await handshake({ token: "wrong" })).successful, false);
  const { clientId, ext } = await handshake({ token: "ada-secret" });
  assert.deepEqual(ext, { user: "Ada" });
  client.id = clientId;

  const errors = async (...messages) => (await client.send(...messages)).map(({ error }) => error);
  assert.deepEqual(
    await errors(
      { channel: "/meta/subscribe", subscription: ["/chat/tea", "/news/*"] },
      { channel: "/meta/subscribe", subscription: "/**" },
      { channel: "/elsewhere", data: "hello" },
      { channel: "/news/today", data: "I know better" },
      { channel: "/chat/tea", id: "1", data: "HELLO" },
      { channel: "/chat/tea", id: "2", data: "hello" },
      { channel: "/chat/tea", id: "2", data: "hello" },
    ),
    [
      undefined,
      "403:denied_by_not_granting:create_denied",
      "403:denied_by_not_granting:channel_create_denied",
      "403:denied_by_not_granting:publish_denied",
      "403:no_shouting:publish_denied",
      undefined,
      undefined,
    ],
  );

  const news = JSON.stringify([{ channel: "/news/today", data: "rain" }]);
  const publish = async (headers) => (await post(example, "/cometd", news, headers)).json();
  assert.equal((await publish())[0].error, "403:no_token:publish_denied");
  assert.equal((await publish({ authorization: "Bearer backend-secret" }))[0].successful, true);
  await client.receive("/news/today");
  assert.deepEqual(client.events.map(({ channel, data }) => [channel, data]), [["/chat/tea", "hello"], ["/news/today", "rain"]]);
  await example.shutdown();
});
