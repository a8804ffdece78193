// A browser's own WebSocket meets the conformance example, from a page that the example serves: `run(SCENARIO)` is kept if all is well.

"use strict";

const SUBSCRIBERS = 8;
const MESSAGES = 200;

function check(claim, ...said) {
  if (!claim) throw new Error(`not so: ${JSON.stringify(said)}`);
}

/** Opens a socket whose messages wait in `heard`, and whose end, code and reason, is a promise. */
async function connect(path, subprotocols = []) {
  const ws = new WebSocket(`ws://${location.host}${path}`, subprotocols);
  ws.binaryType = "arraybuffer";
  ws.heard = [];
  ws.wanted = [];
  ws.onmessage = ({ data }) => (ws.wanted.length ? ws.wanted.shift()(data) : ws.heard.push(data));
  ws.end = new Promise((resolve) => (ws.onclose = ({ code, reason, wasClean }) => resolve({ code, reason, wasClean })));
  await new Promise((resolve, reject) => {
    ws.onopen = resolve;
    ws.onerror = () => reject(new Error(`${path} did not open`));
  });
  return ws;
}

function next(ws) {
  return ws.heard.length ? ws.heard.shift() : new Promise((resolve) => ws.wanted.push(resolve));
}

const bytes = (data) => (typeof data === "string" ? data : Array.from(new Uint8Array(data)).join());

async function same(ws, message) {
  ws.send(message);
  const answer = await next(ws);
  check(typeof answer === typeof message && bytes(answer) === bytes(message), bytes(message).slice(0, 40), bytes(answer).slice(0, 40));
}

const scenarios = {
  async echo() {
    const ws = await connect("/ws/echo");
    const all = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    const large = Uint8Array.from({ length: 500_000 }, (_, at) => (at * at) >> 3);
    for (const message of ["", "hello", "Grüße, 世界 🌀", new Uint8Array(0), new Uint8Array(1), all, "x".repeat(1_000_000), large]) {
      await same(ws, message);
    }
    const sent = Array.from({ length: 500 }, (_, number) => `message ${number}`);
    sent.forEach((message) => ws.send(message));
    for (const message of sent) check((await next(ws)) === message, message);
    ws.close();
    check((await ws.end).wasClean);
  },

  async deflate() {
    const ws = await connect("/ws/echo");
    check(ws.extensions.startsWith("permessage-deflate"), ws.extensions);
    for (const message of ["squall ".repeat(20_000), "squall ".repeat(20_000), "", "tiny"]) await same(ws, message);
    const plain = await connect("/ws/sub");
    check(plain.extensions === "", plain.extensions);
  },

  async subprotocol() {
    const ws = await connect("/ws/echo", ["other", "echo"]);
    check(ws.protocol === "echo", ws.protocol);
    await same(ws, "hello");
    // Browsers take no for no answer.
    const refused = await connect("/ws/echo", ["other"]).catch(() => "refused");
    check(refused === "refused");
  },

  async close() {
    for (const [code, reason] of [[1000, ""], [3000, "a registered one"], [4999, "é".repeat(61)]]) {
      const ws = await connect("/ws/echo");
      ws.close(code, reason);
      const end = await ws.end;
      check(end.wasClean && end.code === code, end);
    }
    const ws = await connect("/ws/echo");
    ws.close();
    const end = await ws.end;
    check(end.wasClean && end.code === 1005, end);
  },

  async limit() {
    for (const [most, more] of [["x".repeat(1000), "x".repeat(1001)], [new Uint8Array(1000), new Uint8Array(100_000)]]) {
      const ws = await connect("/ws/echo");
      await same(ws, most);
      ws.send(more);
      const end = await ws.end;
      check(end.code === 1009, end);
    }
  },

  async fan_out() {
    const open = (count, path) => Promise.all(Array.from({ length: count }, () => connect(path)));
    const subscribers = await open(SUBSCRIBERS, "/ws/sub");
    const publishers = await open(2, "/ws/pub");
    // A page cannot ping; so something is published until everybody has heard of it, and who has heard something is subscribed.
    const somethingHeard = Promise.all(subscribers.map(next)).then(() => true);
    const round = async () => (publishers[0].send("something"), new Promise((resolve) => setTimeout(resolve, 10, false)));
    while (!(await Promise.race([somethingHeard, round()])));
    for (let number = 0; number < MESSAGES; number++) {
      publishers.forEach((publisher, name) => publisher.send(`${name} ${number}`));
    }
    for (const subscriber of subscribers) {
      const numbers = publishers.map(() => 0);
      for (let count = 0; count < MESSAGES * publishers.length; ) {
        const message = await next(subscriber);
        if (message === "something") continue;
        const [name, number] = message.split(" ").map(Number);
        check(number === numbers[name]++, message, numbers);
        count++;
      }
    }
  },

  async goodbye() {
    const sockets = await Promise.all(["/ws/echo", "/ws/sub", "/ws/pub"].map((path) => connect(path)));
    window.goodbye = Promise.all(sockets.map((ws) => ws.end));
  },

  async gone() {
    for (const end of await window.goodbye) check(end.wasClean && end.code === 1001, end);
  },
};

const run = (scenario) => scenarios[scenario]();
