// Follows an agent in a browser with @microsoft/fetch-event-source, which can send headers and bodies.
//
//   import { ask, follow } from "./fetch_event_source.js";
//   const show = (cursor, data) => console.log(JSON.parse(data));
//   await ask("https://kode.example", "user:42", "hello", { key, show });
//   await follow("https://kode.example", "user:42", { key, show });
import { fetchEventSource } from "@microsoft/fetch-event-source";

class Refused extends Error {}

/** Sends a message and shows what it causes. */
export function ask(base, agent, text, { key, show }) {
  // It is posted again for the rest of its stream, and the key makes it the same message.
  const headers = { "content-type": "application/json", "idempotency-key": crypto.randomUUID() };
  const body = JSON.stringify({ text });
  return stream(`${base}/api/agents/${agent}/messages`, { method: "POST", headers, body }, { key, show });
}

/** Shows what an agent told so far and what it tells, until it is at rest. */
export function follow(base, agent, { key, show }) {
  return stream(`${base}/api/agents/${agent}/stream?since=0`, {}, { key, show });
}

function stream(url, request, { key, show }) {
  const over = new AbortController();
  const headers = { ...request.headers, accept: "text/event-stream", ...(key && { authorization: `Bearer ${key}` }) };
  return fetchEventSource(url, {
    ...request,
    // What was seen is counted here: by itself it also counts an event that broke off in its middle, and would not ask
    // for it again.
    fetch: (again, init) => fetch(again, { ...init, headers }),
    signal: over.signal,
    // Otherwise it drops the stream when the tab is hidden, and sends the request again when it is seen.
    openWhenHidden: true,
    async onopen(response) {
      if (response.status === 204) return over.abort(); // there is no more, and all of it was shown
      if (response.status === 429 || response.status >= 500) throw new Error(`busy: ${response.status}`);
      if (!response.ok) throw new Refused(`refused with ${response.status}: ${await response.text()}`);
    },
    onmessage: ({ id, data }) => {
      show(id, data);
      headers["last-event-id"] = id;
    },
    // It would take the end of one stream for the end of all. That is what 204 says.
    onclose() {
      throw new Error("the stream ended");
    },
    // What is thrown here ends it; otherwise it asks again after so many milliseconds.
    onerror(error) {
      if (error instanceof Refused) throw error;
      return 1000;
    },
  });
}
