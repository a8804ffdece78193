// The uploads' page: one request for each file, so that each has a progress bar, one after the other.
"use strict";

const find = (id) => document.getElementById(id);
const [form, drop, picker, uploads, stored] = ["form", "drop", "picker", "uploads", "stored"].map(find);

/** The uploads that wait for the one before. */
const waiting = [];
let isSending = false;
let limit = Infinity;

/** Creates an element with a class and content. */
function element(tag, className, ...inside) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...inside);
  return made;
}

/** Writes a number of bytes as people read it. */
function size(bytes) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit += 1;
  }
  return `${bytes >= 100 || Number.isInteger(bytes) ? Math.round(bytes) : bytes.toFixed(1)} ${units[unit]}`;
}

/** Adds a row for a file that will be sent. */
function enqueue(file) {
  const row = element("li", "");
  const bar = element("progress", "");
  bar.max = 1;
  bar.value = 0;
  bar.ariaLabel = `Progress of ${file.name}`;
  const state = element("p", "state", "waiting");
  const button = element("button", "", "Cancel");
  button.type = "button";
  const name = element("span", "name", file.name);
  name.title = file.name;
  row.append(
    element("div", "line", name, element("span", "size", size(file.size))),
    bar,
    element("div", "line", state, button),
  );
  uploads.prepend(row);
  const upload = { file, row, bar, state, button, request: null, isCancelled: false };
  button.onclick = () => cancel(upload);
  waiting.push(upload);
  sendNext();
}

function cancel(upload) {
  upload.isCancelled = true;
  if (upload.request) upload.request.abort();
  else finish(upload, "failed", "cancelled");
}

function finish(upload, state, words) {
  upload.row.dataset.state = state;
  upload.state.textContent = words;
  upload.button.hidden = true;
}

function sendNext() {
  if (isSending) return;
  const upload = waiting.shift();
  if (!upload) return;
  if (upload.isCancelled) return sendNext();
  isSending = true;
  send(upload).then(() => {
    isSending = false;
    sendNext();
  });
}

/** Sends a file; the promise is kept once the row shows how it ended. */
function send(upload) {
  const { file, bar, state } = upload;
  if (file.size > limit) {
    finish(upload, "failed", `larger than ${size(limit)}`);
    return Promise.resolve();
  }
  return new Promise((resolve) => {
    const end = (...how) => {
      finish(upload, ...how);
      resolve();
    };
    const request = new XMLHttpRequest();
    upload.request = request;
    const began = performance.now();
    request.upload.onprogress = ({ loaded, total }) => {
      bar.value = loaded / total;
      const seconds = (performance.now() - began) / 1000;
      const rate = seconds > 0.5 ? `, ${size(Math.round(loaded / seconds))}/s` : "";
      state.textContent = loaded < total ? `${Math.floor((100 * loaded) / total)} %${rate}` : "storing";
    };
    request.onload = () => {
      if (request.status === 201) {
        bar.value = 1;
        end("done", "stored");
        showStored();
      } else {
        end("failed", request.status === 413 ? "too large for the server" : `refused with ${request.status}`);
      }
    };
    request.onerror = () => end("failed", "the connection broke");
    request.onabort = () => end("failed", "cancelled");
    const content = new FormData();
    content.append("file", file);
    request.open("POST", form.action);
    request.send(content);
  });
}

async function showStored() {
  const files = await (await fetch("/files")).json();
  find("count").textContent = files.length ? String(files.length) : "";
  stored.replaceChildren(
    ...files.map(({ name, bytes }) => {
      const label = element("span", "name", name);
      label.title = name;
      return element("li", "line", label, element("span", "size", size(bytes)));
    }),
  );
}

async function showLimits() {
  limit = (await (await fetch("/limits")).json()).upload_bytes;
  find("limit").textContent = `at most ${size(limit)} in one upload`;
}

picker.onchange = () => {
  for (const file of picker.files) enqueue(file);
  picker.value = "";
};
for (const kind of ["dragenter", "dragover"]) {
  drop.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  for (const file of event.dataTransfer.files) enqueue(file);
});

showLimits();
showStored();
