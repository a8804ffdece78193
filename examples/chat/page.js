// The chat's page. Whatever others wrote becomes text nodes and never markup.
"use strict";

const MESSAGES_SHOWN_MAX = 500;
const MINUTE = 60_000;
const WAIT_MIN = 500;
const WAIT_MAX = 10_000;

const room = decodeURIComponent(location.pathname.split("/").pop());
const find = (id) => document.getElementById(id);
const [status, log, composer, text, newer, door] = ["status", "log", "composer", "text", "newer", "door"].map(find);

let name = sessionStorage.getItem("name");
let socket = null;
/** Where this page is in what has been said: it comes back to here. */
let position = null;
let failures = 0;
let retry = null;
let lastSaid = null;

/** An element of a class with text or elements inside. */
function element(tag, className, ...inside) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...inside);
  return made;
}

/** A name's own colour, as an angle: names that are much alike get colours that are not. */
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

/** Adds to the log, and stays at its end if the reader is there. */
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
  expired: "Some messages are missing here: you were away for longer than they are kept.",
  "other-epoch": "The server began anew: messages from before may be missing here.",
  "not-yet": "The server began anew: messages from before may be missing here.",
};

/** Takes in what the server sent: a message of a topic, a notice about one, or, where there is no message yet, only its position. */
function hear({ topic, position: at, data, gap, missed }) {
  if (gap) {
    // What came since is not to be had from there; so the last messages that are kept are asked for, as by somebody new.
    note("note gap", GAPS[gap]);
    position = null;
    connect();
  } else if (missed) {
    note("note gap", `${missed} messages are missing here: this page did not keep up.`);
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

/** Asks who is here and how full the rooms are, once for many events that come together. */
function refresh() {
  refreshing ??= setTimeout(async () => {
    refreshing = null;
    const [people, rooms] = await Promise.all([`/rooms/${room}/people`, "/rooms"].map(async (url) => (await fetch(url)).json()));
    find("people").replaceChildren(
      ...people.map((person) => element("li", "", avatar(person), element("span", "person", person === name ? `${person} (you)` : person))),
    );
    find("rooms").replaceChildren(...rooms.map(link));
  }, 150);
}

function link({ name, people }) {
  const count = element("span", "count", String(people));
  count.ariaLabel = people === 1 ? "1 person" : `${people} people`;
  const made = element("a", "", name, count);
  made.href = `/rooms/${encodeURIComponent(name)}`;
  if (name === room) made.ariaCurrent = "page";
  return element("li", "", made);
}

function say(state, words) {
  status.dataset.state = state;
  status.textContent = words;
  composer.querySelector("button").disabled = state !== "open";
}

function disconnect() {
  clearTimeout(retry);
  if (!socket) return;
  socket.onmessage = socket.onclose = null;
  socket.close();
  socket = null;
}

function connect() {
  disconnect();
  const query = new URLSearchParams({ name });
  if (position) query.set("after", position);
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/rooms/${encodeURIComponent(room)}/socket?${query}`);
  say("waiting", failures ? "reconnecting …" : "connecting …");
  socket.onopen = () => {
    failures = 0;
    say("open", "connected");
  };
  socket.onmessage = ({ data }) => hear(JSON.parse(data));
  socket.onclose = () => {
    // Everybody was cut at the same moment; that nobody comes back at the same moment, each waits for a time of its own.
    const wait = Math.min(WAIT_MAX, WAIT_MIN * 2 ** failures++) * (0.5 + Math.random());
    say("waiting", "reconnecting …");
    retry = setTimeout(connect, wait);
  };
}

composer.addEventListener("submit", (event) => {
  event.preventDefault();
  const said = text.value.trim();
  if (said && socket?.readyState === WebSocket.OPEN) {
    socket.send(said);
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

addEventListener("online", () => socket?.readyState === WebSocket.CLOSED && connect());
// Browsers keep a page that was left, socket and all, in case its reader comes back; but who has left is not here.
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
