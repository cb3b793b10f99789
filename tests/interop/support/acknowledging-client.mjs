import { AckExtension } from "cometd/AckExtension.js";

import { CometdClient } from "./cometd-client.mjs";
import { newCometd } from "./cometd-node.mjs";

/**
 * A cometd.js client in Node with the AckExtension and cookies of its own. After failures in a row it waits `backoffMs`,
 * twice as long, and so on up to ten times, instead of seconds.
 */
export class AcknowledgingClient extends CometdClient {
  #waiting = [];

  constructor(url, backoffMs, transport = "long-polling") {
    const cometd = newCometd();
    cometd.registerExtension("ack", new AckExtension());
    super(cometd, url, [transport], { backoffIncrement: backoffMs, maxBackoff: 10 * backoffMs });
    // Comes after the events of its answer.
    cometd.addListener("/meta/connect", () => this.#waiting.splice(0).forEach((wake) => wake()));
  }

  /** Waits until there are as many events; for how long, is for the test to say. */
  async receives(count) {
    while (this.received.length < count) await new Promise((wake) => this.#waiting.push(wake));
  }
}
