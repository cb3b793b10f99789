/** Faye's client behind the interface that the shared tests use, in Node and in a page. It resubscribes by itself. */
export class FayeClient {
  sessions = [];
  received = [];
  #faye;
  #subscriptions = new Map();
  #resubscribing = new Set();

  /** It is to use none of the transports `disabled`. */
  constructor(faye, disabled = []) {
    this.#faye = faye;
    for (const transport of disabled) faye.disable(transport);
    faye.addExtension({
      incoming: (message, callback) => {
        if (message.channel === "/meta/handshake" && message.successful) {
          this.sessions.push(message.clientId);
          this.#resubscribing = new Set(this.#subscriptions.keys());
        }
        if (message.channel === "/meta/subscribe" && message.successful) {
          [message.subscription].flat().forEach((pattern) => this.#resubscribing.delete(pattern));
        }
        callback(message);
      },
    });
  }

  /** The transport that it uses now. */
  transport() {
    return this.#faye._dispatcher.connectionType;
  }

  connect() {
    return new Promise((resolve) => this.#faye.connect(resolve));
  }

  async subscribe(pattern) {
    const subscription = this.#faye
      .subscribe(pattern)
      .withChannel((channel, data) => this.received.push({ pattern, channel, data }));
    this.#subscriptions.set(pattern, subscription);
    await succeeded(subscription);
  }

  async resubscribed() {
    return this.#resubscribing.size === 0;
  }

  /** Faye tells nobody when the server has agreed, so this watches for the reply. */
  unsubscribe(pattern) {
    const subscription = this.#subscriptions.get(pattern);
    this.#subscriptions.delete(pattern);
    return new Promise((resolve, reject) => {
      const watch = {
        incoming: (message, callback) => {
          if (message.channel === "/meta/unsubscribe") {
            this.#faye.removeExtension(watch);
            if (message.successful) resolve();
            else reject(new Error(JSON.stringify(message)));
          }
          callback(message);
        },
      };
      this.#faye.addExtension(watch);
      subscription.cancel();
    });
  }

  publish(channel, data) {
    return succeeded(this.#faye.publish(channel, data));
  }

  /** What is published in one turn of the event loop, Faye sends in one request. */
  publishAll(pairs) {
    return Promise.all(pairs.map(([channel, data]) => this.publish(channel, data)));
  }

  disconnect() {
    return succeeded(this.#faye.disconnect());
  }

  close() {
    this.#faye.disconnect();
  }
}

/** A deferrable of Faye's as a promise that rejects with the server's words. */
function succeeded(deferrable) {
  return new Promise((resolve, reject) =>
    deferrable.then(resolve, ({ code, params, message }) => reject(new Error(`${code}:${params}:${message}`))));
}
