// The page: what people do goes to the server, what the server says goes onto the page.
// All text from others is set with textContent, so none of it is ever read as HTML.

import { BayeuxClient } from "/bayeux.js";

const $ = (id) => document.getElementById(id);

const STATES = {
  connecting: "Connecting…",
  connected: "Connected",
  reconnecting: "Reconnecting…",
  disconnected: "Disconnected",
};

const TRANSPORTS = { websocket: "WebSocket", "long-polling": "long-polling" };

let wantedName = null; // what this page joined as
let ownName = null; // what the server made of it
const seen = new Set(); // the ids of the lines on the page

const client = new BayeuxClient("/cometd", {
  // A new session knows no name: join again.
  greet: () => (wantedName ? [["/service/join", { name: wantedName }]] : []),
  onStatus(state, transport) {
    $("status").dataset.state = state;
    $("state").textContent = STATES[state];
    $("transport").textContent = state === "connected" ? `by ${TRANSPORTS[transport]}` : "";
    hint(state === "disconnected" ? "The connection has ended. Reload the page to come back." : "");
  },
});

client.on("/welcome", ({ name }) => {
  ownName = name;
  wantedName ??= name;
  for (const item of $("messages").querySelectorAll(".text")) markOwn(item);
  for (const item of $("users").children) markSelf(item);
  showComposer();
});
client.on("/history", (lines) => showLines(lines));
client.on("/chat", (line) => showLines([line]));
client.on("/members", showMembers);
client.subscribe("/chat");
client.subscribe("/members");
client.start();

// A page that is closed says goodbye; one that comes back out of the browser's cache starts anew.
addEventListener("pagehide", () => client.stop());
addEventListener("pageshow", (event) => event.persisted && client.start());

// --- joining and sending ---

$("name").value = sessionStorage.getItem("name") ?? "";
if (matchMedia("(hover: hover)").matches) $("name").select();

$("join-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("name").value.trim();
  if (!name || wantedName) return;
  wantedName = name;
  sessionStorage.setItem("name", name);
  client.publish("/service/join", { name }).catch(() => {
    wantedName = null;
    hint("Joining did not work. Please try again.");
  });
});

$("send-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text) return;
  $("text").value = "";
  $("text").focus();
  hint(client.state === "connected" ? "" : "It will be sent when the connection is back.");
  try {
    await client.publish("/service/say", { text });
    hint("");
  } catch {
    if (!$("text").value) $("text").value = text;
    hint("That may not have been sent. Please try again.");
  }
});

function showComposer() {
  if (!$("send-form").hidden) return;
  $("join-form").hidden = true;
  $("send-form").hidden = false;
  $("text").focus();
}

function hint(text) {
  $("hint").textContent = text;
  $("hint").hidden = !text;
}

// --- lines ---

function showLines(lines) {
  const log = $("messages");
  const atEnd = isAtEnd();
  for (const line of lines) {
    if (seen.has(line.id)) continue;
    seen.add(line.id);
    const item = line.kind === "text" ? textItem(line) : noteItem(line);
    item.dataset.id = line.id;
    // Nearly always the last; the history of a page that comes back may have older ones.
    const next = [...log.children].findLast((other) => Number(other.dataset.id) < line.id)?.nextElementSibling;
    log.insertBefore(item, next === undefined ? log.firstChild : next);
    for (const changed of [item, item.nextElementSibling]) if (changed) markFollowing(changed);
  }
  $("empty").hidden = log.children.length > 0;
  if (atEnd) scrollToEnd();
  else $("latest").hidden = false;
}

function textItem({ at, name, text }) {
  const item = element("li", "text");
  item.dataset.name = name;
  const head = element("p", "head");
  head.append(element("b", "", name), timeOf(at));
  item.append(avatar(name), head, element("p", "bubble", text));
  markOwn(item);
  return item;
}

const NOTES = { joined: "joined", left: "left", lost: "lost the connection" };

function noteItem({ at, name, kind }) {
  const item = element("li", "note");
  item.append(element("b", "", name), ` ${NOTES[kind] ?? kind} · `, timeOf(at));
  return item;
}

function markOwn(item) {
  item.classList.toggle("own", item.dataset.name === ownName);
}

// Several lines in a row by the same person share one head.
function markFollowing(item) {
  const before = item.previousElementSibling;
  item.classList.toggle("following", Boolean(item.dataset.name) && before?.dataset.name === item.dataset.name);
}

function isAtEnd() {
  const log = $("messages");
  return log.scrollHeight - log.scrollTop - log.clientHeight < 40;
}

function scrollToEnd() {
  $("messages").scrollTop = $("messages").scrollHeight;
}

$("latest").addEventListener("click", scrollToEnd);
$("messages").addEventListener("scroll", () => isAtEnd() && ($("latest").hidden = true));
// A keyboard on the screen, or a turned phone, must not hide the last line.
new ResizeObserver(() => $("latest").hidden && scrollToEnd()).observe($("messages"));

// --- members ---

function showMembers(names) {
  $("count").textContent = names.length;
  $("users").replaceChildren(
    ...names.map((name) => {
      const item = element("li", "");
      item.dataset.name = name;
      item.append(avatar(name), element("span", "", name));
      markSelf(item);
      return item;
    }),
  );
}

function markSelf(item) {
  item.classList.toggle("self", item.dataset.name === ownName);
}

// --- small things ---

function element(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

// A circle with the first letter, in a colour of the name's own.
function avatar(name) {
  const made = element("span", "avatar");
  made.dataset.letter = [...name][0]?.toUpperCase() ?? "?";
  made.setAttribute("aria-hidden", "true");
  let hash = 7;
  for (const character of name) hash = (hash * 31 + character.codePointAt(0)) % 360;
  made.style.setProperty("--hue", hash);
  return made;
}

function timeOf(at) {
  const time = new Date(at);
  const made = element("time", "", time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  made.dateTime = time.toISOString();
  return made;
}
