import { CometD } from "cometd";
import { adapt } from "cometd-nodejs-client";

import { CometdClient } from "./cometd-client.mjs";

adapt();
// What it installs keeps one cookie store for the whole process, by host name only.
const SharedJarRequest = window.XMLHttpRequest;

/** A client with a cookie store of its own, as every browser has. The other arguments are those of CometdClient. */
export function newCometdClient(url, ...more) {
  return new CometdClient(newCometd(), url, ...more);
}

/** The library's own client, with a cookie store of its own. */
export function newCometd() {
  adapt();
  return withRequests(window.XMLHttpRequest);
}

/** Several of them that share a cookie store, as the pages of a browser do. */
export function newCometdsOfOneBrowser(count) {
  adapt();
  const Request = window.XMLHttpRequest;
  return Array.from({ length: count }, () => withRequests(Request));
}

/** A client that shares its cookies with all others of this process: how the package works out of the box. */
export function newCometdClientWithSharedCookies(url) {
  return new CometdClient(withRequests(SharedJarRequest), url);
}

/** A client that never sends a cookie back. */
export function newCometdClientWithoutCookies(url) {
  adapt({ cookies: { storeCookie: (_uri, _header, done) => done(), retrieveCookies: (_context, _uri, done) => done(null, []) } });
  return new CometdClient(withRequests(window.XMLHttpRequest), url);
}

function withRequests(Request) {
  const cometd = new CometD();
  const transport = cometd.findTransport("long-polling");
  const send = transport.xhrSend;
  // The transport looks the class up in `window` for each request, and does not wait in between.
  transport.xhrSend = function (packet) {
    window.XMLHttpRequest = Request;
    return send.call(this, packet);
  };
  return cometd;
}
