// A small Bayeux client without dependencies. It uses a WebSocket where one can be had, and long-polling elsewhere; when
// its socket is lost it goes on by whatever works then, in the same session.
//
//   const client = new BayeuxClient("/cometd", { onStatus: (state, transport) => ... });
//   client.on("/news/*", (data, channel) => ...);   // hears what is subscribed to or delivered
//   client.subscribe("/news/*");                    // now, and again after every handshake
//   client.start();
//   await client.publish("/service/ask", { question: 42 });
//
// The state is one of "connecting", "connected", "reconnecting", "disconnected"; the transport is "websocket",
// "long-polling" or, where there is none, null.

import { LongPolling, Socket } from "/transports.js";

const OPEN_TIMEOUT = 3_000;
const REQUEST_TIMEOUT = 10_000;
const FIRST_BACKOFF = 500;

export class BayeuxClient {
  #url;
  #onStatus;
  #greet;
  #maxBackoff;
  #state = "disconnected";
  #running = null; // the AbortController of the current run, null when stopped
  #wake = () => {}; // ends the current pause after a failure
  #transport = null;
  #trustsSockets = true;
  #clientId = null;
  #advice = {};
  #lastId = 0;
  #subscriptions = new Set();
  #listeners = new Map(); // pattern -> [function]
  #outbox = []; // publishes that wait to be sent

  /**
   * @param url where the server is
   * @param onStatus told of every change of state, and by which transport it is
   * @param greet what to publish first in every new session: returns a list of [channel, data]
   * @param maxBackoff the longest pause between two attempts to reach the server, in milliseconds
   */
  constructor(url, { onStatus = () => {}, greet = () => [], maxBackoff = 5_000 } = {}) {
    this.#url = url;
    this.#onStatus = onStatus;
    this.#greet = greet;
    this.#maxBackoff = maxBackoff;
    addEventListener("online", () => this.#wake());
    document.addEventListener("visibilitychange", () => document.hidden || this.#wake());
  }

  get state() {
    return this.#state;
  }

  get transport() {
    return this.#transport?.name ?? null;
  }

  on(pattern, listener) {
    this.#listeners.set(pattern, [...(this.#listeners.get(pattern) ?? []), listener]);
  }

  subscribe(subscription) {
    this.#subscriptions.add(subscription);
    if (this.#state === "connected") {
      this.#exchange([this.#message("/meta/subscribe", { subscription })]).catch(() => {});
    }
  }

  /** Resolves when the server has it, rejects when it refused it or when nobody can know. Waits while offline. */
  publish(channel, data) {
    return new Promise((resolve, reject) => {
      this.#outbox.push({ channel, data, resolve, reject });
      this.#flush();
    });
  }

  start() {
    if (this.#running) return;
    this.#running = new AbortController();
    this.#run(this.#running.signal);
  }

  /** Ends the session. Works while the page is being closed, too. */
  stop() {
    if (!this.#running) return;
    this.#running.abort();
    this.#running = null;
    this.#wake();
    this.#dropTransport();
    if (this.#clientId) {
      const body = JSON.stringify([this.#message("/meta/disconnect", {})]);
      const blob = new Blob([body], { type: "application/json" });
      if (!navigator.sendBeacon?.(this.#url, blob)) {
        fetch(this.#url, { method: "POST", body: blob, keepalive: true }).catch(() => {});
      }
    }
    this.#clientId = null;
    this.#setState("disconnected");
  }

  // Handshakes and polls until stopped, or told by the server to go away.
  async #run(stopped) {
    let backoff = FIRST_BACKOFF;
    this.#setState("connecting");
    while (!stopped.aborted) {
      try {
        await this.#chooseTransport(stopped);
        const answer = await (this.#clientId ? this.#poll(stopped) : this.#open(stopped));
        if (stopped.aborted) return;
        if (this.#advice.reconnect === "none") return this.#giveUp();
        if (!answer.successful) {
          // Without a word of advice, a new session is the best guess.
          if (answer.advice?.reconnect !== "retry") this.#clientId = null;
          throw new Error(answer.error);
        }
        backoff = FIRST_BACKOFF;
        this.#setState("connected");
        this.#flush();
        if (this.#advice.interval > 0) await new Promise((go) => setTimeout(go, this.#advice.interval));
      } catch {
        if (stopped.aborted) return;
        this.#dropTransport();
        this.#setState("reconnecting");
        // Spread out, so that all the pages do not come back to a restarted server in the same instant.
        await this.#pause(backoff * (0.5 + Math.random() / 2));
        backoff = Math.min(backoff * 2, this.#maxBackoff);
      }
    }
  }

  // A WebSocket if it can be had. What was lost or has failed is not used again, but for long-polling.
  async #chooseTransport(stopped) {
    if (this.#transport?.isOpen) return;
    const receive = (message) => this.#receive(message);
    const socket = this.#trustsSockets ? await Socket.open(this.#url, receive, OPEN_TIMEOUT) : null;
    if (stopped.aborted) return socket?.close();
    this.#transport = socket ?? new LongPolling(this.#url, receive);
  }

  #dropTransport() {
    if (this.#transport?.hasHeard === false) this.#trustsSockets = false;
    this.#transport?.close();
    this.#transport = null;
  }

  // A new session: the handshake, then in one request all subscriptions, the greeting and the first connect.
  async #open(stopped) {
    this.#advice = {};
    const handshake = this.#message("/meta/handshake", {
      version: "1.0",
      minimumVersion: "1.0",
      supportedConnectionTypes: ["websocket", "long-polling"],
    });
    const [welcome] = await this.#exchange([handshake], { stopped });
    if (!welcome?.successful) return welcome ?? { error: "no answer" };
    this.#clientId = welcome.clientId;

    const messages = this.#greet().map(([channel, data]) => this.#message(channel, { data }));
    if (this.#subscriptions.size > 0) {
      messages.unshift(this.#message("/meta/subscribe", { subscription: [...this.#subscriptions] }));
    }
    return this.#connect(messages, { stopped });
  }

  // The long poll: answered when there is something to tell, or when advice.timeout has passed. On a WebSocket events
  // come without it; it only tells both sides that the other is there.
  #poll(stopped) {
    const held = this.#advice.timeout ?? 60_000;
    return this.#connect([], { stopped, timeout: held + REQUEST_TIMEOUT });
  }

  async #connect(before, options) {
    const connect = this.#message("/meta/connect", { connectionType: this.#transport.name });
    // After a break the answer shall come at once, and with it the good news.
    if (this.#state !== "connected") connect.advice = { timeout: 0 };
    const replies = await this.#exchange([...before, connect], options);
    const reply = replies.find((reply) => reply.channel === "/meta/connect");
    if (!reply) throw new Error("no answer to the connect");
    return reply;
  }

  // Sends what waits in the outbox, all in one request.
  #flush() {
    if (this.#state !== "connected" || this.#outbox.length === 0) return;
    const sent = this.#outbox.splice(0).map((entry) => {
      return { entry, message: this.#message(entry.channel, { data: entry.data }) };
    });
    this.#exchange(sent.map(({ message }) => message)).then(
      (replies) => {
        for (const { entry, message } of sent) {
          const reply = replies.find((reply) => reply.id === message.id);
          if (reply?.successful) entry.resolve();
          // The session is gone, so it was surely not published: send it again in the next session.
          else if (reply?.error?.startsWith("402")) this.#outbox.push(entry);
          else entry.reject(new Error(reply?.error ?? "no answer"));
        }
      },
      (error) => sent.forEach(({ entry }) => entry.reject(error)),
    );
  }

  #message(channel, fields) {
    const message = { id: String(++this.#lastId), channel, ...fields };
    if (this.#clientId) message.clientId = this.#clientId;
    return message;
  }

  // Sends messages and returns their replies. Events go to the listeners, whenever they come.
  async #exchange(messages, { stopped, timeout = REQUEST_TIMEOUT } = {}) {
    if (!this.#transport) throw new Error("not connected");
    return this.#transport.exchange(messages, { timeout, signal: stopped });
  }

  #receive(message) {
    if (message.advice) this.#advice = { ...this.#advice, ...message.advice };
    if ("data" in message) this.#dispatch(message);
  }

  #dispatch({ channel, data }) {
    for (const [pattern, listeners] of this.#listeners) {
      if (!matches(pattern, channel)) continue;
      for (const listener of listeners) {
        try {
          listener(data, channel);
        } catch (error) {
          console.error(`a listener of ${pattern} failed`, error);
        }
      }
    }
  }

  #giveUp() {
    this.#dropTransport();
    this.#running = null;
    this.#clientId = null;
    this.#outbox.splice(0).forEach(({ reject }) => reject(new Error("disconnected")));
    this.#setState("disconnected");
  }

  #setState(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.#onStatus(state, this.transport);
  }

  #pause(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

// "/a/*" matches the children of /a, "/a/**" all its descendants.
function matches(pattern, channel) {
  if (!pattern.endsWith("*")) return pattern === channel;
  const parent = pattern.slice(0, pattern.lastIndexOf("/") + 1);
  return channel.startsWith(parent) && (pattern.endsWith("**") || !channel.slice(parent.length).includes("/"));
}
