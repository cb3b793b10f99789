import { describe } from "node:test";

import faye from "faye";

import { behavesLikeABayeuxClient } from "./support/behaviour.mjs";
import { FayeClient } from "./support/faye-client.mjs";

/** A try every second while the server is away, where Faye by default makes one every five. */
const newFayeClient = (url) => new FayeClient(new faye.Client(url, { retry: 1 }), ["websocket"]);

describe("Faye's client in Node, by long-polling", () => {
  // Handshake, subscribe, two connects, and a failed connect per second while the server is away.
  behavesLikeABayeuxClient(newFayeClient, { requestsToRecover: 10 });
});
