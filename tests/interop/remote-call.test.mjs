// cometd.js's `remoteCall` against the handlers of the remote_call example.

import assert from "node:assert/strict";
import { after, before, describe } from "node:test";

import { receivedBy, withServer } from "./support/behaviour.mjs";
import { newCometdClient } from "./support/cometd-node.mjs";
import { startExample } from "./support/server.mjs";

describe("remote calls by cometd.js", () => {
  let server;
  before(async () => (server = await startExample("remote_call")));
  after(() => server.close());
  const withClients = (what, count, body) => withServer(what, () => server.url, count, newCometdClient, body);

  withClients("a call is answered with what its handler returns", 1, async ([client]) => {
    const answer = await client.remoteCall("add", [2, 3.5]);
    assert.equal(answer.successful, true);
    assert.equal(answer.channel, "/service/add");
    assert.equal(answer.data, 5.5);
  });

  withClients("an error is answered with failure and its data", 1, async ([client]) => {
    const soldOut = await client.remoteCall("order", { item: "coffee", count: 1 });
    assert.equal(soldOut.successful, false);
    assert.deepEqual(soldOut.data, { message: "not enough of it", left: 0 });
    const unknown = await client.remoteCall("stock/milk", null);
    assert.equal(unknown.successful, false);
    assert.deepEqual(unknown.data, { message: "we do not sell that" });
  });

  withClients("data that does not fit is answered with failure", 1, async ([client]) => {
    const answer = await client.remoteCall("order", "tea");
    assert.equal(answer.successful, false);
    assert.match(answer.data.message, /does not fit/);
  });

  withClients("of many calls at once, each gets its own answer", 2, async (clients) => {
    const call = async (client, number) => assert.equal((await client.remoteCall("add", [number, 1000])).data, number + 1000);
    const numbers = [...Array(50).keys()];
    await Promise.all(clients.flatMap((client) => numbers.map((number) => call(client, number))));
  });

  withClients("a handler answers its caller and tells the others", 2, async ([caller, listener]) => {
    await listener.subscribe("/stock/tea");
    const { data: before } = await caller.remoteCall("stock/tea", null);
    const answer = await caller.remoteCall("order", { item: "tea", count: 2 });
    assert.deepEqual(answer.data, { item: "tea", total: 10 });
    assert.deepEqual((await receivedBy(listener, 1)).map(({ data }) => data), [before - 2]);
  });

  withClients("a call that nobody answers fails by the client's own timeout", 1, async ([client]) => {
    const answer = await client.remoteCall("nobody", null, 300);
    assert.equal(answer.successful, false);
    assert.equal(answer.error, "406::timeout");
  });
});
