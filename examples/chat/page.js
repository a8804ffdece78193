// The chat's page. Text from other visitors becomes text nodes, never markup.
"use strict";

const MESSAGES_SHOWN_MAX = 500;
const MESSAGES_KEPT = 50;
const MINUTE = 60_000;
const WAIT_MIN = 500;
const WAIT_MAX = 10_000;

const room = decodeURIComponent(location.pathname.split("/").pop());
const find = (id) => document.getElementById(id);
const [status, log, composer, text, newer, door] = ["status", "log", "composer", "text", "newer", "door"].map(find);

let name = sessionStorage.getItem("name");
let socket = null;
/** The position of the last message; after a reconnect the page resumes here. */
let position = null;
let failures = 0;
/** When the page connects again, while it has no connection. */
let retryAt = 0;
let retry = null;
/** When a server that stops has asked the page to come back, in milliseconds. */
let comeBack = null;
let lastSaid = null;

/** Creates an element with a class and content. */
function element(tag, className, ...inside) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...inside);
  return made;
}

/** Returns a hue for a name; similar names get different hues. */
function hue(name) {
  let hash = 2166136261;
  for (const character of name) hash = Math.imul(hash ^ character.codePointAt(0), 16777619);
  return (hash >>> 8) % 360;
}

function avatar(name) {
  const made = element("span", "avatar", [...name][0].toUpperCase());
  made.style.setProperty("--hue", hue(name));
  made.ariaHidden = "true";
  return made;
}

/** Adds to the log, and scrolls along if the reader is at its end. */
function append(item, isOwn) {
  const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  log.append(item);
  while (log.childElementCount > MESSAGES_SHOWN_MAX) log.firstElementChild.remove();
  if (isAtEnd || isOwn) log.scrollTop = log.scrollHeight;
  else newer.hidden = false;
}

function note(className, words) {
  lastSaid = null;
  append(element("p", className, words), false);
}

function showMessage({ from, text, at }) {
  const isOwn = from === name;
  const continues = lastSaid?.from === from && at - lastSaid.at < 3 * MINUTE;
  const time = element("time", "", new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  time.dateTime = new Date(at).toISOString();
  const by = element("p", "by", element("span", "name", from), time);
  const said = element("article", "message", avatar(from), by, element("p", "text", text));
  said.style.setProperty("--hue", hue(from));
  said.classList.toggle("own", isOwn);
  said.classList.toggle("again", continues);
  append(said, isOwn);
  lastSaid = { from, at };
}

const GAPS = {
  expired: "Some messages are missing here: you were away longer than the room keeps messages.",
  "other-epoch": "The server restarted: earlier messages may be missing here.",
  "not-yet": "The server restarted: earlier messages may be missing here.",
};

/** Sends a request of the feed, whose protocol is squall.v1. */
const ask = (request) => socket.send(JSON.stringify(request));

/** Asks for the messages of the room: those behind our position, or the last ones. */
const enter = () => ask({ subscribe: `rooms/${room}`, ...(position ? { after: position } : { last: MESSAGES_KEPT }) });

/** Handles what the server sent: a message of a topic, a notice, or the position of a topic without messages. */
function receive({ topic, position: at, data, gap, missed, reconnect }) {
  if (reconnect) {
    comeBack = reconnect.after_ms;
  } else if (topic === undefined) {
    // The reply to a request.
  } else if (gap) {
    // The history no longer reaches back to our position, so ask for its last messages, as a new visitor does.
    note("note gap", GAPS[gap]);
    position = null;
    enter();
  } else if (missed) {
    note("note gap", `${missed} messages are missing here: this page was too slow.`);
  } else if (topic === `people/${room}`) {
    refresh();
    if (data.name !== name) note("note", `${data.name} ${data.event}`);
  } else if (topic.startsWith("people/")) {
    refresh();
  } else {
    position = at;
    if (data) showMessage(data);
  }
}

let refreshing = null;

/** Fetches visitors and room counts, once for all events within 150 ms. */
function refresh() {
  refreshing ??= setTimeout(async () => {
    refreshing = null;
    const answers = [`/rooms/${room}/people`, "/rooms"].map(async (url) => (await fetch(url)).json());
    // Without a connection there are no answers, and the page says so already.
    const [people, rooms] = await Promise.all(answers).catch(() => []);
    if (!rooms || isLost()) return;
    find("people").replaceChildren(
      ...people.map((person) => element("li", "", avatar(person), element("span", "person", person === name ? `${person} (you)` : person))),
    );
    find("rooms").replaceChildren(...rooms.map(link));
  }, 150);
}

function link({ name, people }) {
  const made = element("a", "", name);
  if (people !== undefined) {
    const count = element("span", "count", String(people));
    count.ariaLabel = people === 1 ? "1 person" : `${people} people`;
    made.append(count);
  }
  made.href = `/rooms/${encodeURIComponent(name)}`;
  if (name === room) made.ariaCurrent = "page";
  return element("li", "", made);
}

function showStatus(state, words) {
  status.dataset.state = state;
  status.textContent = words;
  composer.querySelector("button").disabled = state !== "open";
}

const isLost = () => !find("outage").hidden;

/** Shows an outage: a banner, and no visitors, because the page cannot know them. */
function lose() {
  if (!isLost()) {
    find("outage").hidden = false;
    find("people").replaceChildren();
    find("people").dataset.empty = "unknown without a connection";
    for (const count of document.querySelectorAll("#rooms .count")) count.remove();
  }
  showAttempt();
}

function recover() {
  find("outage").hidden = true;
  find("people").dataset.empty = "";
  refresh();
}

function showAttempt() {
  if (!isLost()) return;
  const seconds = Math.ceil((retryAt - Date.now()) / 1000);
  const isConnecting = socket?.readyState === WebSocket.CONNECTING || seconds <= 0;
  find("attempt").textContent = isConnecting ? "Trying again …" : `Trying again in ${seconds} s.`;
}

function disconnect() {
  clearTimeout(retry);
  if (!socket) return;
  socket.onmessage = socket.onclose = null;
  socket.close();
  socket = null;
}

/** Listens to arrivals and departures in all rooms, because the page shows the number of visitors in each. */
async function watchRooms(opened) {
  const rooms = await fetch("/rooms").then((answer) => answer.json()).catch(() => []);
  if (opened !== socket || opened.readyState !== WebSocket.OPEN) return;
  for (const { name } of rooms) ask({ subscribe: `people/${name}` });
  refresh();
}

function connect() {
  disconnect();
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/feed?${new URLSearchParams({ name })}`, "squall.v1");
  showStatus("waiting", failures ? "reconnecting …" : "connecting …");
  socket.onopen = () => {
    failures = 0;
    enter();
    showStatus("open", "connected");
    recover();
    watchRooms(socket);
  };
  socket.onmessage = ({ data }) => receive(JSON.parse(data));
  socket.onclose = () => {
    // All pages lost their connection at the same moment; a random wait spreads their reconnects.
    const wait = comeBack ?? Math.min(WAIT_MAX, WAIT_MIN * 2 ** failures++) * (0.5 + Math.random());
    comeBack = null;
    showStatus("waiting", "reconnecting …");
    retryAt = Date.now() + wait;
    retry = setTimeout(connect, wait);
    lose();
  };
  showAttempt();
}

composer.addEventListener("submit", (event) => {
  event.preventDefault();
  const said = text.value.trim();
  if (said && socket?.readyState === WebSocket.OPEN) {
    ask({ publish: `rooms/${room}`, data: said });
    text.value = "";
  }
  text.focus();
});

text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    composer.requestSubmit();
  }
});

newer.addEventListener("click", () => (log.scrollTop = log.scrollHeight));
log.addEventListener("scroll", () => {
  if (log.scrollHeight - log.scrollTop - log.clientHeight < 60) newer.hidden = true;
});

find("again").addEventListener("click", connect);
setInterval(showAttempt, 1000);
addEventListener("online", () => socket?.readyState === WebSocket.CLOSED && connect());
// A browser caches a page that the reader has left, with its socket. Close it, or the visitor would stay in the room.
addEventListener("pagehide", disconnect);
addEventListener("pageshow", ({ persisted }) => persisted && name && connect());

door.addEventListener("cancel", (event) => event.preventDefault());
door.addEventListener("close", () => {
  name = find("name").value.trim();
  sessionStorage.setItem("name", name);
  connect();
  text.focus();
});

document.title = `${room} · Squall chat`;
document.querySelector("h1").textContent = room;
find("door-room").textContent = room;
refresh();
if (name) connect();
else door.showModal();
