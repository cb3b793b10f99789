import { once } from "node:events";
import { readFile } from "node:fs/promises";
import http from "node:http";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";

const interopDir = fileURLToPath(new URL("..", import.meta.url));
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript" };

/** What pages may load: the clients as their packages ship them, the shared wrappers, and an empty page. */
const FOLDERS = {
  "/cometd-js/": "node_modules/cometd",
  "/faye-js/": "node_modules/faye/client",
  "/support/": "support",
};

/**
 * A reverse proxy for `/cometd` that records every request and can cut the network, and an origin for browser pages.
 * While cut, a client sees its connections closed, as it does when the server is gone.
 */
class Gateway {
  /** One entry per request: the channels of its messages. */
  requests = [];
  /** What becomes of a request on its way: `({ channels, headers, body })` to the same, and to `upstream` if it goes elsewhere. */
  reroute = (request) => request;
  #upstream;
  #cut = false;
  #server = http.createServer((request, response) => this.#handle(request, response));

  constructor(upstream) {
    this.#upstream = upstream;
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

  cut() {
    this.#cut = true;
    this.#server.closeAllConnections();
  }

  mend() {
    this.#cut = false;
  }

  async close() {
    this.cut();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #handle(request, response) {
    const { pathname } = new URL(request.url, this.origin);
    if (pathname !== "/cometd" && !pathname.startsWith("/cometd/")) return sendFile(pathname, response);

    const chunks = [];
    try {
      for await (const chunk of request) chunks.push(chunk);
    } catch {
      return; // the client went away while it sent
    }
    const received = Buffer.concat(chunks);
    const channels = channelsOf(received);
    this.requests.push(channels);
    if (this.#cut) return response.destroy();

    const { upstream = this.#upstream, headers, body } = this.reroute({ channels, headers: request.headers, body: received });
    const forward = http.request(upstream + request.url, { method: request.method, headers });
    forward.on("response", (reply) => {
      response.writeHead(reply.statusCode, reply.headers);
      reply.pipe(response);
      reply.on("aborted", () => response.destroy());
    });
    forward.on("error", () => response.destroy());
    response.on("close", () => forward.destroy());
    forward.end(body);
  }
}

function channelsOf(body) {
  try {
    return [JSON.parse(body)].flat().map(({ channel }) => channel);
  } catch {
    return [];
  }
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

export function startGateway(upstream) {
  return new Gateway(upstream).listen();
}
