// The script of the example todo. Without it the forms work as forms; with it, changes of others appear by themselves.

const WAIT_MIN = 500;
const WAIT_MAX = 10_000;

const page = document.querySelector("[data-topic]");
const list = document.getElementById("items");
const status = document.getElementById("status");
let failures = 0;
/** Whether a form leads to another page, such as the one to log out. */
let isLeaving = false;
/** News that come before the items themselves do; `null` once those are there. */
let early = null;

/** Returns the colour of a name, as the server does. */
function hue(name) {
  let sum = 7;
  for (const byte of new TextEncoder().encode(name)) sum = (Math.imul(sum, 31) + byte) >>> 0;
  return sum % 12;
}

function showStatus(state, words) {
  if (!status) return;
  status.dataset.state = state;
  status.textContent = words;
}

function count() {
  document.getElementById("open").textContent = list.querySelectorAll("li:not(.done)").length;
}

/** Returns text whose URLs are links. */
function linked(text) {
  return text.split(/(https?:\/\/[^\s<>"]+)/).map((part, place) => {
    if (place % 2 === 0) return part;
    const link = document.createElement("a");
    link.href = link.textContent = part;
    return link;
  });
}

/** Shows an item, unless the page shows a newer version of it. */
function showItem(item, isNews) {
  let row = list.querySelector(`li[data-id="${item.id}"]`);
  if (row && Number(row.dataset.version) >= item.version) return;
  if (!row) {
    row = document.getElementById("item").content.cloneNode(true).firstElementChild;
    row.dataset.id = item.id;
    row.querySelector("form").action = `${page.dataset.items}/${item.id}`;
    row.querySelector(".text").replaceChildren(...linked(item.text));
    const mark = row.querySelector(".mark");
    mark.textContent = [...item.author][0].toUpperCase();
    mark.title = item.author;
    mark.classList.add(`h${hue(item.author)}`);
    list.append(row);
    row.classList.toggle("fresh", isNews);
  }
  row.dataset.version = item.version;
  row.classList.toggle("done", item.is_done);
  const tick = row.querySelector(".tick");
  tick.ariaPressed = String(item.is_done);
  tick.value = item.is_done ? "open" : "done";
}

function show(news) {
  if (news.lists_changed) location.reload();
  if (early) return void early.push(news);
  if (news.item) showItem(news.item, true);
  if (news.removed) list.querySelector(`li[data-id="${news.removed}"]`)?.remove();
  if (list) count();
}

/** Fetches the items once the page gets news, and then shows the news that came meanwhile. */
async function load() {
  if (!list) return;
  early ??= [];
  const answer = await fetch(page.dataset.items, { headers: { Accept: "application/json" } });
  // The list is not shared with this user any more, or the session has ended.
  if (!answer.ok || answer.redirected) return location.reload();
  const items = await answer.json();
  const ids = new Set(items.map((item) => String(item.id)));
  for (const row of [...list.children]) if (!ids.has(row.dataset.id)) row.remove();
  for (const item of items) showItem(item, false);
  const news = early;
  early = null;
  for (const one of news) show(one);
  count();
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}/feed`, "squall.v1");
  let comeBack = null;
  socket.onopen = () => socket.send(JSON.stringify({ id: 1, subscribe: page.dataset.topic }));
  socket.onmessage = async ({ data }) => {
    const message = JSON.parse(data);
    if (message.subscribed) {
      failures = 0;
      await load();
      showStatus("open", "live");
    } else if (message.reconnect) {
      comeBack = message.reconnect.after_ms;
    } else if (message.error) {
      location.reload();
    } else if (message.data) {
      show(message.data);
    }
  };
  socket.onclose = ({ code }) => {
    // The session has ended, or the list is not shared any more: the server says what to show instead.
    if (isLeaving) return;
    if (code === 4401) return location.reload();
    // All pages lose their connection at the same moment; a random wait spreads their return.
    const wait = comeBack ?? Math.min(WAIT_MAX, WAIT_MIN * 2 ** failures++) * (0.5 + Math.random());
    early = list && [];
    showStatus("waiting", "reconnecting …");
    setTimeout(connect, wait);
  };
}

/** Sends a form without leaving the page. */
async function send(event) {
  const form = event.target;
  if (!list || !form.closest(".paper")) {
    isLeaving = true;
    return;
  }
  event.preventDefault();
  const body = new URLSearchParams(new FormData(form, event.submitter));
  const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
  if (!answer.ok) return location.reload();
  show(await answer.json());
  if (form.id === "add") form.reset();
}

document.addEventListener("submit", send);
connect();
