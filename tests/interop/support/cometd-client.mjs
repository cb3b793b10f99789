/**
 * The CometD library behind the interface that the shared tests use, in Node and in a page.
 * It subscribes anew after every handshake, as the library's documentation tells applications to.
 */
export class CometdClient {
  /** The clientId of every session so far. */
  sessions = [];
  /** Every call of a subscription's listener: {pattern, channel, data}. */
  received = [];
  #cometd;
  #patterns = new Map();
  #resubscribed = Promise.resolve();

  /** It knows no other transports than `transports`; `options` are those of the library's `configure`. */
  constructor(cometd, url, transports = ["long-polling"], options = {}) {
    this.#cometd = cometd;
    for (const type of cometd.getTransportTypes()) {
      if (!transports.includes(type)) cometd.unregisterTransport(type);
    }
    cometd.configure({ url, logLevel: "warn", maxSendBayeuxMessageSize: 1 << 20, ...options });
    cometd.addListener("/meta/handshake", ({ successful, clientId }) => {
      if (!successful) return;
      this.sessions.push(clientId);
      const again = [...this.#patterns.keys()].map((pattern) => this.#subscribe(pattern));
      this.#resubscribed = Promise.allSettled(again).then((results) => results.every((each) => each.status === "fulfilled"));
    });
  }

  /** The transport that it uses now. */
  transport() {
    return this.#cometd.getTransport()?.type;
  }

  /** Resolves when the handshake and the first connect have succeeded. */
  connect() {
    return new Promise((resolve, reject) => {
      const listener = this.#cometd.addListener("/meta/connect", (reply) => {
        this.#cometd.removeListener(listener);
        settle(reply, resolve, reject);
      });
      // After a failure of the network, it tries again, maybe on another transport.
      this.#cometd.handshake((reply) => reply.successful || reply.failure || reject(new Error(JSON.stringify(reply))));
    });
  }

  subscribe(pattern) {
    return this.#subscribe(pattern);
  }

  /** Subscribes in every session as soon as it is there: from the handshake's reply on, nothing is missed. */
  subscribeAtHandshake(pattern) {
    this.#patterns.set(pattern, null);
  }

  /** With the reload extension: keeps what the next page needs. */
  reload() {
    this.#cometd.reload();
  }

  #subscribe(pattern) {
    return new Promise((resolve, reject) => {
      const receive = ({ channel, data }) => {
        // The library shows replies to its own requests to the listeners of `/**`, too.
        if (!channel.startsWith("/meta/")) this.received.push({ pattern, channel, data });
      };
      const handle = this.#cometd.subscribe(pattern, receive, (reply) => settle(reply, resolve, reject));
      this.#patterns.set(pattern, handle);
    });
  }

  /** Whether the subscriptions of before the last handshake are all in force again. */
  resubscribed() {
    return this.#resubscribed;
  }

  unsubscribe(pattern) {
    const handle = this.#patterns.get(pattern);
    this.#patterns.delete(pattern);
    return new Promise((resolve, reject) =>
      this.#cometd.unsubscribe(handle, (reply) => settle(reply, resolve, reject)));
  }

  publish(channel, data) {
    return new Promise((resolve, reject) =>
      this.#cometd.publish(channel, data, (reply) => settle(reply, resolve, reject)));
  }

  /** Publishes [channel, data] pairs in one request. */
  publishAll(pairs) {
    let published;
    this.#cometd.batch(() => (published = pairs.map(([channel, data]) => this.publish(channel, data))));
    return Promise.all(published);
  }

  /** The answer to a remote call, be it a success or a failure. */
  remoteCall(target, data, timeoutMs = 10_000) {
    return new Promise((resolve) => this.#cometd.remoteCall(target, data, timeoutMs, resolve));
  }

  /**
   * Says goodbye. A connect that the disconnect overtakes on its way, on another connection, finds no session any more;
   * hearing that, the library gives up waiting for the reply to its disconnect.
   */
  disconnect() {
    let isOvertaken = false;
    const listener = this.#cometd.addListener("/meta/connect", ({ error }) => (isOvertaken ||= error?.startsWith("402:")));
    return new Promise((resolve, reject) =>
      this.#cometd.disconnect((reply) => {
        this.#cometd.removeListener(listener);
        settle(isOvertaken ? { successful: true } : reply, resolve, reject);
      }));
  }

  /** For clean-up: stops it whatever its state. */
  close() {
    if (!this.#cometd.isDisconnected()) this.#cometd.disconnect();
  }
}

function settle(reply, resolve, reject) {
  if (reply.successful) resolve();
  else reject(new Error(JSON.stringify(reply).slice(0, 500)));
}
