// Node's ws meets the conformance example: `node node_client.cjs SCENARIO ws://ADDRESS`, silent and 0 if all is as it should be.

const assert = require("node:assert/strict");
const { randomBytes } = require("node:crypto");
const { once } = require("node:events");
const WebSocket = require("ws");

const SUBSCRIBERS = 16;
const MESSAGES = 200;

const [scenario, url] = process.argv.slice(2);

/** Opens a socket whose messages wait in `heard`, and whose end, code and reason, is a promise. */
async function connect(path, options = {}, subprotocols = []) {
  const ws = new WebSocket(url + path, subprotocols, { maxPayload: 0, ...options });
  ws.heard = [];
  ws.wanted = [];
  ws.on("message", (data, isBinary) => {
    const message = isBinary ? data : data.toString();
    ws.wanted.length ? ws.wanted.shift()(message) : ws.heard.push(message);
  });
  ws.end = new Promise((resolve) => ws.on("close", (code, reason) => resolve([code, reason.toString()])));
  ws.on("upgrade", (response) => (ws.answer = response.headers));
  await once(ws, "open");
  return ws;
}

function next(ws) {
  return ws.heard.length ? ws.heard.shift() : new Promise((resolve) => ws.wanted.push(resolve));
}

async function same(ws, message) {
  ws.send(message);
  assert.deepEqual(await next(ws), message);
}

const scenarios = {
  async echo() {
    for (const perMessageDeflate of [false, true]) {
      const ws = await connect("/ws/echo", { perMessageDeflate });
      const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
      const large = ["x".repeat(1_000_000), randomBytes(1_000_000)];
      for (const message of ["", "hello", "Grüße, 世界 🌀", Buffer.alloc(0), Buffer.alloc(1), all, ...large]) {
        await same(ws, message);
      }
      for (const [part, fin] of [["in ", false], ["", false], ["fragments", true]]) {
        ws.send(part, { fin });
      }
      assert.equal(await next(ws), "in fragments");
      const sent = Array.from({ length: 500 }, (_, number) => `message ${number}`);
      sent.forEach((message) => ws.send(message));
      for (const message of sent) {
        assert.equal(await next(ws), message);
      }
      ws.close();
      await ws.end;
    }
  },

  async deflate() {
    // `false` would be more than not to ask for it: this library then refuses an answer that has it.
    const switches = [[], [undefined, true], [true, undefined], [true, true]];
    const bits = [[undefined, undefined], [9, 9], [12, 10], [15, 15], [undefined, 11]];
    for (const [serverNoContextTakeover, clientNoContextTakeover] of switches) {
      for (const [serverMaxWindowBits, clientMaxWindowBits] of bits) {
        const perMessageDeflate = {
          serverNoContextTakeover,
          clientNoContextTakeover,
          serverMaxWindowBits,
          clientMaxWindowBits,
          threshold: 0,
        };
        // The library itself refuses an answer that does not fit what it offered (RFC 7692 §7.1).
        const ws = await connect("/ws/echo", { perMessageDeflate });
        assert.match(ws.answer["sec-websocket-extensions"], /^permessage-deflate/);
        const alike = "squall ".repeat(20_000);
        for (const message of [alike, alike, randomBytes(70_000), "", "tiny"]) {
          await same(ws, message);
        }
        ws.close();
        await ws.end;
      }
    }
  },

  async subprotocol() {
    const ws = await connect("/ws/echo", {}, ["other", "echo"]);
    assert.equal(ws.protocol, "echo");
    await same(ws, "hello");
    ws.close();
    // This library takes no for no answer, as browsers do.
    await assert.rejects(connect("/ws/echo", {}, ["other"]), /no subprotocol/);
  },

  async ping() {
    const ws = await connect("/ws/echo");
    for (const payload of [Buffer.alloc(0), Buffer.from("are you there?"), Buffer.alloc(125)]) {
      ws.ping(payload);
      const [pong] = await once(ws, "pong");
      assert.deepEqual(pong, payload);
    }
    ws.send("one ", { fin: false });
    ws.ping("between");
    const [between] = await once(ws, "pong");
    assert.equal(between.toString(), "between");
    ws.send("message", { fin: true });
    assert.equal(await next(ws), "one message");
    ws.close();
    await ws.end;
  },

  async close() {
    for (const [code, reason] of [[1000, ""], [1001, "going"], [3000, "a registered one"], [4999, "é".repeat(61)]]) {
      const ws = await connect("/ws/echo");
      ws.close(code, reason);
      assert.equal((await ws.end)[0], code);
    }
    const silent = await connect("/ws/echo");
    silent.close();
    assert.equal((await silent.end)[0], 1005);
    const wrong = await connect("/ws/echo", { perMessageDeflate: false });
    wrong.send(Buffer.from([0xff]), { binary: false });
    assert.equal((await wrong.end)[0], 1007);
  },

  async limit() {
    for (const perMessageDeflate of [false, { threshold: 0 }]) {
      for (const [most, more] of [["x".repeat(1000), "x".repeat(1001)], [Buffer.alloc(1000), Buffer.alloc(100_000)]]) {
        const ws = await connect("/ws/echo", { perMessageDeflate });
        await same(ws, most);
        ws.send(more);
        assert.equal((await ws.end)[0], 1009);
      }
    }
  },

  async fan_out() {
    const open = (count, path) => Promise.all(Array.from({ length: count }, () => connect(path)));
    const subscribers = await open(SUBSCRIBERS, "/ws/sub");
    // A socket is subscribed before it reads, so who has answered is subscribed.
    const answers = subscribers.map((subscriber) => once(subscriber, "pong"));
    subscribers.forEach((subscriber) => subscriber.ping());
    await Promise.all(answers);
    const publishers = await open(4, "/ws/pub");
    for (let number = 0; number < MESSAGES; number++) {
      publishers.forEach((publisher, name) => publisher.send(`${name} ${number}`));
    }
    for (const subscriber of subscribers) {
      const numbers = publishers.map(() => 0);
      for (let count = 0; count < MESSAGES * publishers.length; count++) {
        const [name, number] = (await next(subscriber)).split(" ").map(Number);
        assert.equal(number, numbers[name]++);
      }
    }
    [...subscribers, ...publishers].forEach((ws) => ws.terminate());
  },

  async goodbye() {
    const sockets = await Promise.all(["/ws/echo", "/ws/sub", "/ws/pub"].map((path) => connect(path)));
    console.log("open");
    for (const ws of sockets) {
      assert.equal((await ws.end)[0], 1001);
    }
  },
};

// Without this, Node ends well when nothing is left to wait for, whatever the scenario still waits for.
process.exitCode = 1;
scenarios[scenario]().then(() => (process.exitCode = 0));
