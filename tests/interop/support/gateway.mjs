import { once } from "node:events";
import { readFile } from "node:fs/promises";
import http from "node:http";
import net from "node:net";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { FrameReader } from "./frames.mjs";

const interopDir = fileURLToPath(new URL("..", import.meta.url));
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript" };

/** What pages may load: the clients as their packages ship them, the shared wrappers, and an empty page. */
const FOLDERS = {
  "/cometd-js/": "node_modules/cometd",
  "/faye-js/": "node_modules/faye/client",
  "/support/": "support",
};

/** What a gateway may do when a client asks for a WebSocket. */
export const UPGRADES = {
  /** Passes it on, and all that comes afterwards. */
  pass: "pass",
  /** Answers 403, as proxies do that know no WebSockets or do not want any. */
  refuse: "refuse",
  /** Closes the connection. */
  close: "close",
  /** Says nothing. */
  ignore: "ignore",
  /** Lets the socket be opened, and nothing through it in either direction. */
  silence: "silence",
};

/**
 * A reverse proxy that records every request and frame for `/cometd` and can cut the network, and an origin for browser
 * pages. While cut, a client sees its connections closed, as it does when the server is gone.
 */
class Gateway {
  /** One entry per request, and per frame that a client sends on a socket: the channels of its messages. */
  requests = [];
  /** How many of them came by each transport; of `eventsource`, how many streams were asked for. */
  carried = { websocket: 0, eventsource: 0, "long-polling": 0, "callback-polling": 0 };
  /** The `connectionType` of every connect so far, each once. */
  connectionTypes = new Set();
  /** What the server replied to what was posted and to frames, the whole messages: they all have `successful`. */
  replies = [];
  /** How many sockets were asked for, and how many were opened. */
  sockets = { wanted: 0, opened: 0 };
  upgrades;
  /** What becomes of a request on its way: `({ channels, headers, body })` to the same, and to `upstream` if it goes elsewhere. */
  reroute = (request) => request;
  #upstream;
  #origin;
  #files;
  #cut = false;
  #upgraded = new Set();
  #server = http.createServer((request, response) => this.#handle(request, response));

  constructor(upstream, { upgrades = UPGRADES.pass, pages } = {}) {
    this.#upstream = new URL(upstream);
    this.upgrades = upgrades;
    this.#files = pages !== "upstream";
    this.#server.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head));
  }

  async listen() {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return this;
  }

  get port() {
    return this.#server.address().port;
  }

  get origin() {
    return `http://127.0.0.1:${this.port}`;
  }

  get url() {
    return `${this.origin}/cometd`;
  }

  /** How many messages went to `channel` so far. */
  count(channel) {
    return this.requests.flat().filter((each) => each === channel).length;
  }

  /** The replies on `channel` that refuse, so far. */
  refusals(channel) {
    return this.replies.filter((reply) => reply.channel === channel && reply.successful === false);
  }

  cut() {
    this.#cut = true;
    this.#server.closeAllConnections();
    for (const { client } of this.#upgraded) client.destroy();
  }

  mend() {
    this.#cut = false;
  }

  /**
   * Cuts the sockets that are open now, but for what the server has written already: nothing of that is lost. New ones
   * may be opened at once. Resolves to how many they were, when the server knows that they are gone.
   */
  async cutSockets() {
    const open = [...this.#upgraded];
    await Promise.all(
      open.map(async ({ client, server }) => {
        const closed = once(client, "close");
        server.end();
        await closed;
      }),
    );
    return open.length;
  }

  /** Cuts the sockets that are open now, with whatever is on its way in them. */
  breakSockets() {
    for (const { client, server } of this.#upgraded) {
      client.resetAndDestroy();
      server?.resetAndDestroy();
    }
  }

  async close() {
    this.cut();
    this.#server.close();
    await once(this.#server, "close");
  }

  #record(transport, text) {
    const messages = messagesOf(text);
    this.carried[transport]++;
    this.requests.push(messages.map(({ channel }) => channel));
    for (const { channel, connectionType } of messages) {
      if (channel === "/meta/connect") this.connectionTypes.add(connectionType);
    }
  }

  async #handle(request, response) {
    const { pathname, searchParams } = new URL(request.url, this.origin);
    const isBayeux = pathname === "/cometd" || pathname.startsWith("/cometd/");
    if (!isBayeux && this.#files) return sendFile(pathname, response);

    const chunks = [];
    try {
      for await (const chunk of request) chunks.push(chunk);
    } catch {
      return; // the client went away while it sent
    }
    const received = Buffer.concat(chunks);
    if (isBayeux) this.#recordRequest(request, searchParams, received);
    if (this.#cut) return response.destroy();

    const channels = messagesOf(received).map(({ channel }) => channel);
    const { upstream = this.#upstream, headers, body } = this.reroute({ channels, headers: request.headers, body: received });
    const forward = http.request(new URL(request.url, upstream), { method: request.method, headers });
    forward.on("response", (reply) => {
      response.writeHead(reply.statusCode, reply.headers);
      // A stream that has said nothing yet is open nonetheless.
      response.flushHeaders();
      if (isBayeux && request.method === "POST") this.#recordAnswer(reply);
      reply.pipe(response);
      reply.on("aborted", () => response.destroy());
    });
    forward.on("error", () => response.destroy());
    response.on("close", () => forward.destroy());
    forward.end(body);
  }

  #recordRequest({ method, headers }, searchParams, body) {
    if (method === "POST") this.#record("long-polling", formOf(headers, body));
    else if (headers.accept === "text/event-stream") this.carried.eventsource++;
    else if (searchParams.has("message")) this.#record("callback-polling", searchParams.get("message"));
  }

  #recordAnswer(answer) {
    const chunks = [];
    answer.on("data", (chunk) => chunks.push(chunk));
    answer.on("end", () => this.#recordReplies(Buffer.concat(chunks)));
  }

  #recordReplies(text) {
    this.replies.push(...messagesOf(text).filter(({ successful }) => successful !== undefined));
  }

  #upgrade(request, client, head) {
    this.sockets.wanted++;
    client.on("error", () => client.destroy());
    const upgrades = this.#cut ? UPGRADES.close : this.upgrades;
    if (upgrades === UPGRADES.close) return client.destroy();
    if (upgrades === UPGRADES.refuse) {
      return client.end("HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    }
    const server = upgrades === UPGRADES.ignore ? null : net.connect(Number(this.#upstream.port), this.#upstream.hostname);
    const pair = { client, server };
    this.#upgraded.add(pair);
    client.on("close", () => {
      this.#upgraded.delete(pair);
      server?.destroy();
    });
    if (server) this.#join(request, head, pair, upgrades === UPGRADES.silence);
  }

  #join(request, head, { client, server }, isSilent) {
    // What the frames say is to be read here, so no compression.
    const headers = Object.entries(request.headers).filter(([name]) => name !== "sec-websocket-extensions");
    server.write(`GET ${request.url} HTTP/1.1\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`);

    const frames = new FrameReader();
    const up = (chunk) => {
      for (const text of frames.push(chunk)) this.#record("websocket", text);
      if (!isSilent) server.write(chunk);
    };
    up(head);
    client.on("data", up);
    client.on("end", () => server.end());

    const answers = new FrameReader();
    const recordDown = (chunk) => answers.push(chunk).forEach((text) => this.#recordReplies(text));
    let answer = Buffer.alloc(0);
    server.on("data", (chunk) => {
      if (answer === null) {
        recordDown(chunk);
        return isSilent || client.write(chunk);
      }
      answer = Buffer.concat([answer, chunk]);
      const end = answer.indexOf("\r\n\r\n");
      if (end < 0) return;
      if (answer.includes("HTTP/1.1 101")) {
        this.sockets.opened++;
        recordDown(answer.subarray(end + 4));
      }
      client.write(isSilent ? answer.subarray(0, end + 4) : answer);
      answer = null;
    });
    server.on("error", () => server.destroy());
    server.on("close", () => client.destroySoon());
    for (const socket of [client, server]) socket.setNoDelay();
  }
}

function messagesOf(text) {
  try {
    return [JSON.parse(text)].flat();
  } catch {
    return [];
  }
}

/** The JSON of a body, which Faye's client sends as a form when it goes to another origin. */
function formOf(headers, body) {
  const isForm = headers["content-type"]?.startsWith("text/plain") ?? false;
  return isForm ? (new URLSearchParams(body.toString()).get("message") ?? "") : body.toString();
}

async function sendFile(pathname, response) {
  const folder = Object.keys(FOLDERS).find((each) => pathname.startsWith(each));
  const path = folder ? join(FOLDERS[folder], pathname.slice(folder.length)) : "support/page.html";
  try {
    if (!folder && pathname !== "/") throw new Error("no such page");
    const content = await readFile(join(interopDir, path));
    response.writeHead(200, { "content-type": `${TYPES[extname(path)]}; charset=utf-8` }).end(content);
  } catch {
    response.writeHead(404).end();
  }
}

/**
 * Starts one in front of `upstream`. `upgrades` says what becomes of WebSockets; with `pages: "upstream"` it serves no
 * files of its own.
 */
export function startGateway(upstream, options) {
  return new Gateway(upstream, options).listen();
}
