// How messages get to the server and back: over a WebSocket, or by long-polling with fetch. Both do the same:
//
//   transport.name                          what Bayeux calls it
//   transport.exchange(messages, options)   sends them, and resolves to their replies
//
// Whatever comes, also what nobody has asked for, goes to `receive`, one message at a time.

export class LongPolling {
  name = "long-polling";
  isOpen = true;
  #url;
  #receive;

  constructor(url, receive) {
    this.#url = url;
    this.#receive = receive;
  }

  async exchange(messages, { timeout, signal }) {
    const response = await fetch(this.#url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(messages),
      signal: AbortSignal.any([AbortSignal.timeout(timeout), signal].filter(Boolean)),
    });
    if (!response.ok) throw new Error(`HTTP status ${response.status}`);
    const answer = await response.json();
    answer.forEach(this.#receive);
    return answer.filter((message) => !("data" in message));
  }

  close() {
    this.isOpen = false;
  }
}

export class Socket {
  name = "websocket";
  /** Whether anything has ever come: there are proxies that open sockets and let nothing through. */
  hasHeard = false;
  #socket;
  #receive;
  #waiting = new Set(); // of {ids, replies, resolve, reject}

  /** Resolves to an open socket, or to null where none can be had in `timeout` milliseconds. */
  static open(url, receive, timeout) {
    return new Promise((resolve) => {
      const socket = new WebSocket(new URL(url, location.href).href.replace(/^http/, "ws"));
      const timer = setTimeout(() => socket.close(), timeout);
      socket.onopen = () => {
        clearTimeout(timer);
        resolve(new Socket(socket, receive));
      };
      socket.onclose = () => {
        clearTimeout(timer);
        resolve(null);
      };
    });
  }

  constructor(socket, receive) {
    this.#socket = socket;
    this.#receive = receive;
    socket.onmessage = ({ data }) => JSON.parse(data).forEach((message) => this.#hear(message));
    socket.onclose = () => this.#fail(new Error("the socket was closed"));
  }

  get isOpen() {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  exchange(messages, { timeout, signal }) {
    return new Promise((resolve, reject) => {
      if (!this.isOpen) throw new Error("the socket is closed");
      const entry = { ids: new Set(messages.map(({ id }) => id)), replies: [], resolve, reject };
      this.#waiting.add(entry);
      const limit = AbortSignal.any([AbortSignal.timeout(timeout), signal].filter(Boolean));
      limit.addEventListener("abort", () => this.#waiting.delete(entry) && reject(limit.reason));
      this.#socket.send(JSON.stringify(messages));
    });
  }

  close() {
    this.#socket.close();
    this.#fail(new Error("the socket was closed"));
  }

  #hear(message) {
    this.hasHeard = true;
    this.#receive(message);
    if ("data" in message) return;
    for (const entry of this.#waiting) {
      if (!entry.ids.delete(message.id)) continue;
      entry.replies.push(message);
      if (entry.ids.size > 0) continue;
      this.#waiting.delete(entry);
      entry.resolve(entry.replies);
    }
  }

  #fail(error) {
    for (const { reject } of this.#waiting) reject(error);
    this.#waiting.clear();
  }
}
