// Clients in Node on each transport by itself. Chromium has the transports that Node has not: browser-transports.test.mjs.

import { describe } from "node:test";

import faye from "faye";

import { newCometdClient } from "./support/cometd-node.mjs";
import { FayeClient } from "./support/faye-client.mjs";
import { worksOn } from "./support/transports.mjs";

describe("cometd.js in Node", () => {
  for (const transport of ["websocket", "long-polling"]) {
    worksOn(transport, (url) => newCometdClient(url, [transport]), { calls: true });
  }
});

describe("Faye's client in Node", () => {
  const newClient = (disabled) => (url) => new FayeClient(new faye.Client(url, { retry: 1 }), disabled);
  // It handshakes by long-polling, and moves as soon as a socket is open.
  worksOn("websocket", newClient([]), { begins: "long-polling" });
  worksOn("long-polling", newClient(["websocket"]));
});
