import { once } from "node:events";
import net from "node:net";

/**
 * A TCP proxy that passes bytes on as they are and cuts connections where it is told to. Of HTTP it understands no more
 * than where a request and a response end.
 *
 * `proxy.plan()` says of each request, when it begins, what is to happen to it: `undefined` for nothing, or an object.
 *
 * - `when()`: cuts while the server holds the request, as soon as the promise that it returns resolves; not one byte of
 *   a response gets through, should it come before.
 * - `after(length)`: cuts after so many bytes of the response, which has `length` of them; `undefined` lets it pass.
 * - `unnoticed`: the server does not notice that it was cut, and answers into the void.
 * - `reset`: the client sees a reset instead of an end, and may lose what it had not read yet.
 */
export class CuttingProxy {
  plan = () => undefined;
  /**
   * How many connections were cut: while the request was held, with its response there but none of it passed on, between
   * two bytes of the response, right after its last one.
   */
  cuts = { held: 0, before: 0, during: 0, after: 0 };
  /** How many requests were passed on, and how many responses came for clients that had been cut off. */
  requests = 0;
  voided = 0;
  #upstream;
  #server = net.createServer((client) => this.#connect(client));
  #sockets = new Set();

  constructor(upstream) {
    this.#upstream = new URL(upstream);
  }

  async listen() {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return this;
  }

  get url() {
    return `http://127.0.0.1:${this.#server.address().port}/cometd`;
  }

  get cutCount() {
    return Object.values(this.cuts).reduce((sum, count) => sum + count);
  }

  async close() {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, "close");
  }

  #connect(client) {
    const server = net.connect({ host: this.#upstream.hostname, port: this.#upstream.port });
    let isCut = false;
    let exchange = null;

    const cut = (kind, bytes) => {
      isCut = true;
      this.cuts[kind]++;
      client.write(bytes, () => (exchange.plan.reset ? client.resetAndDestroy() : client.destroySoon()));
      if (kind !== "held" || !exchange.plan.unnoticed) server.destroy();
    };

    client.on("data", (chunk) => {
      if (isCut) return;
      exchange ??= { plan: this.plan(), request: Buffer.alloc(0), response: Buffer.alloc(0) };
      const current = exchange;
      current.request = Buffer.concat([current.request, chunk]);
      const isComplete = lengthOf(current.request) !== undefined;
      server.write(chunk, async () => {
        if (!isComplete) return;
        this.requests++;
        if (!current.plan?.when) return;
        await current.plan.when();
        if (!isCut && exchange === current) cut("held", "");
      });
    });

    server.on("data", (chunk) => {
      if (!exchange) return server.destroy();
      exchange.response = Buffer.concat([exchange.response, chunk]);
      const { plan, response } = exchange;
      if (lengthOf(response) === undefined) return;
      if (isCut) {
        this.voided++;
        return server.destroy();
      }
      const bytes = plan?.when ? 0 : plan?.after(response.length);
      if (bytes === undefined) {
        exchange = null;
        client.write(response);
      } else if (bytes >= response.length) {
        cut("after", response);
      } else {
        cut(bytes > 0 ? "during" : "before", response.subarray(0, bytes));
      }
    });

    client.on("close", () => isCut || server.destroy());
    server.on("close", () => isCut || client.destroy());
    for (const socket of [client, server]) {
      socket.setNoDelay();
      this.#sockets.add(socket);
      // Whatever it is, the other side is to see the connection closed.
      socket.on("error", () => socket.destroy());
      socket.on("close", () => this.#sockets.delete(socket));
    }
  }
}

/** The length of the HTTP message at the start of `bytes`, if it is there completely. */
function lengthOf(bytes) {
  const head = bytes.indexOf("\r\n\r\n");
  if (head < 0) return undefined;
  const headers = bytes.toString("latin1", 0, head).toLowerCase();
  const body = head + 4;
  if (/\r\ntransfer-encoding: *chunked/.test(headers)) {
    // JSON has no line end as raw as this one.
    const end = bytes.indexOf("\r\n0\r\n\r\n", body);
    return end < 0 ? undefined : end + 7;
  }
  const end = body + Number(/\r\ncontent-length: *(\d+)/.exec(headers)?.[1] ?? 0);
  return bytes.length < end ? undefined : end;
}

export function startCuttingProxy(upstream) {
  return new CuttingProxy(upstream).listen();
}
