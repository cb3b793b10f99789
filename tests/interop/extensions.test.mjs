// cometd.js with its own extensions, against the extensions example: timesync, timestamp, binary and reload.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { CometD } from "cometd";
import { AckExtension } from "cometd/AckExtension.js";
import { BinaryExtension } from "cometd/BinaryExtension.js";
import { ReloadExtension } from "cometd/ReloadExtension.js";
import { TimeSyncExtension } from "cometd/TimeSyncExtension.js";
import { adapt } from "cometd-nodejs-client";

import { startExample } from "./support/server.mjs";
import { SessionStorage } from "./support/session-storage.mjs";
import { until } from "./support/until.mjs";

// A new one each time: extensions write into it.
const handshakeFields = () => ({ ext: { language: "en" } });

/** cometd.js with some of its extensions. All share the cookies of one browser. */
class Client {
  received = [];

  constructor(url, extensions) {
    this.cometd = new CometD();
    this.cometd.unregisterTransport("websocket");
    this.cometd.configure({ url, logLevel: "warn", maxSendBayeuxMessageSize: 1 << 20 });
    for (const [name, extension] of Object.entries(extensions)) this.cometd.registerExtension(name, extension);
  }

  handshake(fields) {
    return new Promise((done) => this.cometd.handshake(fields, done));
  }

  /** Waits for the reply to a connect. */
  connected() {
    return new Promise((done) => {
      const listener = this.cometd.addListener("/meta/connect", (reply) => {
        this.cometd.removeListener(listener);
        done(reply);
      });
    });
  }

  /** Subscribes as soon as there is a session: from the handshake's reply on, nothing is missed. */
  subscribeAtHandshake(channel) {
    this.cometd.addListener("/meta/handshake", ({ successful }) => successful && this.subscribe(channel));
  }

  subscribe(channel) {
    return new Promise((done) => this.cometd.subscribe(channel, (message) => this.received.push(message), done));
  }

  publish(channel, data) {
    return new Promise((done) => this.cometd.publish(channel, data, done));
  }

  publishBinary(channel, bytes, meta) {
    return new Promise((done) => this.cometd.publishBinary(channel, bytes, true, meta, done));
  }

  receives(count) {
    return until(`${count} messages`, () => this.received.length >= count && this.received);
  }

  disconnect() {
    return new Promise((done) => this.cometd.disconnect(done));
  }
}

describe("cometd.js and its extensions", () => {
  let example;
  before(async () => {
    adapt();
    example = await startExample("extensions");
  });
  after(() => example.close());

  const connect = (extensions) => connected(new Client(example.url, extensions));

  async function connected(client) {
    const connected = client.connected();
    client.handshakeReply = await client.handshake(handshakeFields());
    assert.equal((await connected).successful, true);
    assert.equal(client.handshakeReply.successful, true);
    return client;
  }

  test("timesync works out the lag and the offset of clocks that are the same", async () => {
    const timesync = new TimeSyncExtension();
    const client = await connect({ timesync });
    assert.ok(client.handshakeReply.ext.timesync.ts > 1.7e12);
    await client.subscribe("/caption");
    await client.publish("/caption", "hello");
    await client.receives(1);
    // The server and the client share a clock; what remains is the time that the messages took.
    assert.ok(Math.abs(timesync.getTimeOffset()) < 5000, `${timesync.getTimeOffset()}`);
    assert.ok(timesync.getNetworkLag() < 5000);
    await client.disconnect();
  });

  test("bytes that one publishes reach another as bytes", async () => {
    const publisher = await connect({ binary: new BinaryExtension() });
    const subscriber = await connect({ binary: new BinaryExtension() });
    await subscriber.subscribe("/photo");
    const bytes = Uint8Array.from({ length: 1001 }, (_, index) => (index * 37) % 256);
    await publisher.publishBinary("/photo", bytes, { name: "tea" });
    const [event] = await subscriber.receives(1);
    assert.deepEqual(new Uint8Array(event.data.data), bytes);
    assert.deepEqual(event.data.meta, { name: "tea" });
    assert.equal(event.data.last, true);
    assert.equal(event.language, "en");
    assert.match(event.timestamp, /^\d{4}-\d\d-\d\dT/);
    const refused = await publisher.publishBinary("/photo", new Uint8Array(70_000), null);
    assert.equal(refused.successful, false);
    assert.equal(refused.error, "404::message_deleted");
    await Promise.all([publisher.disconnect(), subscriber.disconnect()]);
  });

  test("a remote call takes and answers bytes", async () => {
    const client = await connect({ binary: new BinaryExtension() });
    const bytes = Uint8Array.of(0, 1, 254, 255, 7);
    const answer = await new Promise((done) => client.cometd.remoteCallBinary("invert", bytes, true, null, done));
    assert.equal(answer.successful, true);
    assert.deepEqual([...new Uint8Array(answer.data.data)], [255, 254, 1, 0, 248]);
    await client.disconnect();
  });

  test("a message that an extension answers fails with its text", async () => {
    const client = new Client(example.url, {});
    const reply = await client.handshake({});
    assert.equal(reply.successful, false);
    assert.equal(reply.error, "400::ext_language_missing");
    assert.equal(client.cometd.isDisconnected(), true);
  });

  test("a page that is loaded again goes on with its session and misses nothing", async () => {
    window.sessionStorage = new SessionStorage();
    const publisher = await connect({});
    // What is under way when the page goes is sent again only if it is acknowledged.
    const newPage = () => {
      const client = new Client(example.url, { ack: new AckExtension(), reload: new ReloadExtension() });
      client.subscribeAtHandshake("/caption");
      return connected(client);
    };
    const first = await newPage();
    const clientId = first.cometd.getClientId();
    first.cometd.reload();
    await publisher.publish("/caption", "while the page was loading");
    // Nothing is left but what the browser keeps.
    const second = await newPage();
    assert.equal(second.handshakeReply.ext.reload, true);
    assert.equal(second.cometd.getClientId(), clientId);
    await publisher.publish("/caption", "after it");
    const texts = (await second.receives(2)).map(({ data }) => data);
    assert.deepEqual(texts, ["while the page was loading", "after it"]);
    await Promise.all([publisher.disconnect(), second.disconnect()]);
  });
});
