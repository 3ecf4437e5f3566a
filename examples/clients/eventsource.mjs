// Sends a message to an agent and shows what it causes, with npm's `eventsource`, from Node: each event on a line of its
// own, its cursor before it, until the agent is at rest.
//
//   npm install eventsource
//   node eventsource.mjs http://127.0.0.1:3000 user:42 "hello"
//
// KODE_API_KEY is sent where it is set. A lost stream is opened again by `eventsource`, where it broke off.
import * as eventsource from "eventsource";

// Versions 1 and 2 export the class alone.
const EventSource = eventsource.EventSource ?? eventsource.default;
const [base, agent, text] = process.argv.slice(2);
const key = process.env.KODE_API_KEY;
const authorization = key ? { authorization: `Bearer ${key}` } : {};

const sent = await fetch(`${base}/api/agents/${agent}/messages`, {
  method: "POST",
  headers: { ...authorization, "content-type": "application/json" },
  body: JSON.stringify({ text }),
});
const queued = await sent.json();
if (!sent.ok) throw new Error(`${queued.code}: ${queued.error}`);

const headers = { ...authorization };
const source = new EventSource(`${base}/api/agents/${agent}/stream?since=${queued.cursor}`, {
  // Versions 1 and 2 take headers, later ones take a `fetch` that sets them.
  headers,
  fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, ...headers } }),
});
// Version 2 counts an event as seen that broke off in its middle, and would not ask for it again: it is told what was seen.
headers["Last-Event-ID"] = queued.cursor;
source.onmessage = (event) => {
  console.log(`${event.lastEventId}\t${event.data}`);
  headers["Last-Event-ID"] = event.lastEventId;
};
// Version 5 does not keep a process alive that has nothing else to do while it waits to connect again.
const alive = setInterval(() => {}, 60_000);
source.onerror = ({ code, status = code, message }) => {
  if (status === undefined) return; // the line broke off: it is opened again
  clearInterval(alive);
  // 204: there is no more, and all of it was shown.
  if (status !== 204) console.error(`refused with ${status}: ${message}`);
  process.exitCode = status === 204 ? 0 : 1;
};
