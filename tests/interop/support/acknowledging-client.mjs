import { CometD } from "cometd";
import { AckExtension } from "cometd/AckExtension.js";
import { adapt } from "cometd-nodejs-client";

import { CometdClient } from "./cometd-client.mjs";

/**
 * A cometd.js client in Node with the AckExtension and cookies of its own. After failures in a row it waits `backoffMs`,
 * twice as long, and so on up to ten times, instead of seconds.
 */
export class AcknowledgingClient extends CometdClient {
  #waiting = [];

  constructor(url, backoffMs) {
    adapt();
    const Request = window.XMLHttpRequest;
    const cometd = new CometD();
    cometd.registerExtension("ack", new AckExtension());
    cometd.configure({ url, backoffIncrement: backoffMs, maxBackoff: 10 * backoffMs });
    const transport = cometd.findTransport("long-polling");
    const send = transport.xhrSend;
    // The transport looks the class up in `window` for each request, and does not wait in between.
    transport.xhrSend = function (packet) {
      window.XMLHttpRequest = Request;
      return send.call(this, packet);
    };
    super(cometd, url);
    // Comes after the events of its answer.
    cometd.addListener("/meta/connect", () => this.#waiting.splice(0).forEach((wake) => wake()));
  }

  /** Waits until there are as many events; for how long, is for the test to say. */
  async receives(count) {
    while (this.received.length < count) await new Promise((wake) => this.#waiting.push(wake));
  }
}
