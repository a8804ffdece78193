// The ticker's page: receives every price and redraws eight times a second.
"use strict";

const ROWS = 40;
const POINTS_MAX = 1200;
const TREND_POINTS = 40;
const PULSE_BARS = 40;
/** How often the page redraws, and how often it sorts its rows, in milliseconds. */
const SHOW_EVERY = 125;
const ORDER_EVERY = 1000;
const WAIT_MIN = 500;
const WAIT_MAX = 10_000;
/** How long the market may be silent until the page counts it as an outage: it has thousands of prices a second. */
const SILENCE_MAX = 3_000;

const find = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat("en");
const percent = new Intl.NumberFormat("en", { style: "percent", minimumFractionDigits: 2, signDisplay: "exceptZero" });

/** The quote of each symbol. */
let quotes = new Map();
/** The names of all sectors. */
let sectors = [];
let selected = null;
let received = 0;
let characters = 0;
let missed = 0;
let connection = null;
let failures = 0;
let retry = null;
let receivedAt = 0;
/** Whether prices are missing until the next one arrives. */
let isLost = false;
const counts = Array(PULSE_BARS).fill(0);

/** Handles what the server sent: a price, or how many it skipped. */
function receive(text) {
  characters += text.length;
  const { topic, data, missed: left } = JSON.parse(text);
  // The reply to a request has no topic, and the notice of a stop neither.
  if (topic === undefined) return;
  if (left) {
    missed += left;
    return;
  }
  received++;
  receivedAt = performance.now();
  isLost = false;
  let quote = quotes.get(data.symbol);
  if (!quote) {
    quote = { symbol: data.symbol, sector: topic.slice("prices/".length), points: [], updates: 0 };
    quotes.set(data.symbol, quote);
  }
  Object.assign(quote, { cents: data.cents, open: data.open, change: Math.round((data.cents / data.open - 1) * 1e4) / 1e4 });
  quote.updates++;
  quote.points.push([receivedAt, data.cents]);
  if (quote.points.length > POINTS_MAX) quote.points.splice(0, POINTS_MAX / 4);
}

/** Ends the course of every price: what follows is a gap until the next one arrives. */
function lose(when) {
  if (isLost || quotes.size === 0) return;
  isLost = true;
  for (const { points } of quotes.values()) points.push([when, null]);
}

/** Both transports carry the same text. Over the socket the page asks for its topics, in the protocol squall.v1. */
const transports = {
  socket(sector) {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/feed`, "squall.v1");
    socket.addEventListener("open", () => {
      for (const name of sector === "all" ? sectors : [sector]) socket.send(JSON.stringify({ subscribe: `prices/${name}` }));
    });
    socket.onclose = fail;
    return socket;
  },
  events(sector) {
    const events = new EventSource(`/sectors/${sector}/events`);
    events.addEventListener("notice", ({ data }) => events.onmessage?.({ data }));
    // An EventSource reconnects by itself, but not after every error. Here both transports reconnect the same way.
    events.onerror = () => {
      events.close();
      fail.call(events);
    };
    return events;
  },
};

function disconnect() {
  clearTimeout(retry);
  const before = connection;
  connection = null;
  if (!before) return;
  // Its remaining messages belong to the previous sector.
  before.onmessage = null;
  before.close();
}

function connect() {
  disconnect();
  if (quotes.size) lose(receivedAt);
  showStatus("waiting", "connecting …");
  receivedAt = performance.now();
  const transport = document.querySelector("[name=transport]:checked").value;
  connection = transports[transport](find("sectors").value);
  connection.onopen = () => {
    failures = 0;
    showStatus("open", "live");
  };
  connection.onmessage = ({ data }) => receive(data);
}

function fail() {
  // A connection that the page closed itself already has a successor.
  if (this !== connection) return;
  lose(receivedAt);
  showStatus("waiting", "reconnecting …");
  retry = setTimeout(connect, Math.min(WAIT_MAX, WAIT_MIN * 2 ** failures++) * (0.5 + Math.random()));
}

function showStatus(state, words) {
  find("status").dataset.state = state;
  find("status").textContent = words;
}

/** The orders of the table, best row first. */
const orders = {
  busiest: (a, b) => b.updates - a.updates,
  winners: (a, b) => b.change - a.change,
  losers: (a, b) => a.change - b.change,
  names: (a, b) => a.symbol.localeCompare(b.symbol),
};

const rows = Array.from({ length: ROWS }, () => {
  const line = svg("path", { d: "" });
  const course = svg("svg", { viewBox: "0 0 80 24", "aria-hidden": "true" });
  course.append(line);
  const [row, name, price, change] = ["tr", "button", "span", "span"].map((tag) => document.createElement(tag));
  name.type = "button";
  price.className = "value";
  const cells = [name, "", course, price, change].map((inside) => {
    const cell = document.createElement("td");
    cell.append(inside);
    row.append(cell);
    return cell;
  });
  cells[1].className = "sector";
  const made = { row, name, sector: cells[1], course, line, price, change, quote: null, cents: null };
  row.addEventListener("click", () => made.quote && select(made.quote.symbol));
  return made;
});

function direction(change) {
  return change > 0 ? "up" : change < 0 ? "down" : "";
}

/** Selects and sorts the symbols of the table. */
function order() {
  const wanted = find("search").value.trim().toUpperCase();
  const fitting = [...quotes.values()].filter(({ symbol }) => symbol.includes(wanted)).sort(orders[find("order").value]);
  const shown = fitting.slice(0, ROWS);
  rows.forEach((row, at) => {
    if (row.quote !== shown[at]) {
      row.quote = shown[at] ?? null;
      row.cents = null;
      row.price.classList.remove("rises", "falls");
    }
  });
  const inUse = rows.filter(({ quote }) => quote).map(({ row }) => row);
  if (find("rows").childElementCount !== inUse.length) find("rows").replaceChildren(...inUse);
  find("shown").textContent = `${shown.length} of ${whole.format(fitting.length)} symbols`;
  if (!quotes.has(selected) && shown.length) select(shown[0].symbol);
}

function showRow(row) {
  const { quote, cents } = row;
  if (!quote || quote.cents === cents) return;
  row.name.textContent = quote.symbol;
  row.sector.textContent = quote.sector;
  row.price.textContent = money(quote.cents);
  row.change.textContent = percent.format(quote.change);
  row.change.className = direction(quote.change);
  const points = quote.points.slice(-TREND_POINTS);
  row.line.setAttribute("d", sparkline(points));
  // The colour is that of the drawn course; the change since the opening has its own column.
  row.course.setAttribute("class", direction(trend(points)));
  row.row.ariaCurrent = quote.symbol === selected ? "true" : null;
  if (cents !== null) {
    const [added, removed] = quote.cents > cents ? ["rises", "falls"] : ["falls", "rises"];
    row.price.classList.remove(removed, added);
    // Reading the width forces a layout without the class, so that the same animation can start again.
    void row.price.offsetWidth;
    row.price.classList.add(added);
  }
  row.cents = quote.cents;
}

function select(symbol) {
  selected = symbol;
  rows.forEach(({ row, quote }) => (row.ariaCurrent = quote?.symbol === symbol ? "true" : null));
  showFocus();
}

function showFocus() {
  const quote = quotes.get(selected);
  if (!quote) return;
  find("symbol").textContent = quote.symbol;
  find("sector").textContent = quote.sector;
  find("price").textContent = money(quote.cents);
  find("change").textContent = `${percent.format(quote.change)} · opened at ${money(quote.open)}`;
  find("change").className = direction(quote.change);
  const now = performance.now();
  const shown = chartPoints(quote.points, now);
  find("chart").className.baseVal = direction(trend(shown));
  drawChart(find("chart"), shown, quote.open, now, isLost);
}

function showFigures(seconds) {
  find("rate").textContent = whole.format(Math.round(received / seconds));
  find("traffic").textContent = `${whole.format(Math.round(characters / 1000 / seconds))} kB a second`;
  counts.push(received);
  counts.shift();
  drawPulse(find("pulse"), counts);
  received = characters = 0;
  const all = [...quotes.values()];
  find("count").textContent = whole.format(all.length);
  find("up").textContent = whole.format(all.filter(({ change }) => change > 0).length);
  find("down").textContent = `${whole.format(all.filter(({ change }) => change < 0).length)} down`;
  find("missed").textContent = whole.format(missed);
}

let shownAt = 0;
let orderedAt = performance.now();

function show(now) {
  requestAnimationFrame(show);
  if (now - shownAt < SHOW_EVERY) return;
  shownAt = now;
  const isOpen = find("status").dataset.state === "open";
  if (isOpen && !isLost && now - receivedAt > SILENCE_MAX) lose(receivedAt);
  find("market").dataset.state = isLost ? "lost" : "live";
  if (now - orderedAt >= ORDER_EVERY) {
    showFigures((now - orderedAt) / 1000);
    orderedAt = now;
    order();
  }
  rows.forEach(showRow);
  showFocus();
}

async function start() {
  sectors = await (await fetch("/sectors")).json();
  find("sectors").append(...sectors.map((sector) => new Option(sector, sector)));
  find("sectors").addEventListener("change", () => {
    quotes = new Map();
    connect();
  });
  find("transports").addEventListener("change", connect);
  find("order").addEventListener("change", order);
  find("search").addEventListener("input", order);
  find("choice").addEventListener("submit", (event) => event.preventDefault());
  connect();
  requestAnimationFrame(show);
  // A browser caches a page that the reader has left, with its connection. Close it until the reader returns.
  addEventListener("pagehide", disconnect);
  addEventListener("pageshow", ({ persisted }) => persisted && connect());
}

start();
