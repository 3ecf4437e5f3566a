// Sends a message to an agent and shows what it causes, with a browser's own EventSource.
//
//   import { ask } from "./event_source.js";
//   await ask("https://kode.example", "user:42", "hello", { key, show: (cursor, data) => console.log(JSON.parse(data)) });
//
// A lost stream is opened again by the browser, where it broke off. EventSource sends no headers: where a key is needed,
// a ticket stands in the URL. A ticket ends with its minute or with the server; then the browser gives up and this
// goes on with a new one.

/** Returns once the message is answered and the browser has been told that there is no more. */
export async function ask(base, agent, text, { key, show }) {
  const headers = { "content-type": "application/json", ...(key && { authorization: `Bearer ${key}` }) };
  const post = async (path, body) => {
    const answer = await fetch(base + path, { method: "POST", headers, body: JSON.stringify(body) });
    const told = await answer.json();
    if (!answer.ok) throw new Error(`${told.code}: ${told.error}`);
    return told;
  };
  const { messageId, cursor } = await post(`/api/agents/${agent}/messages`, { text });
  let last = cursor;
  let answered = false;
  const watch = (ticket) =>
    new Promise((closed) => {
      // The browser's `Last-Event-ID` wins over `since` when it connects again.
      const source = new EventSource(`${base}/api/agents/${agent}/stream?since=${last}${ticket}`);
      source.onmessage = ({ lastEventId, data }) => {
        last = lastEventId;
        show(lastEventId, data);
        const { event } = JSON.parse(data);
        answered ||= event.type === "done" && event.messageIds.includes(messageId);
      };
      // It is not closed for good where the line broke off, but where the answer was no stream: 204 at the end.
      source.onerror = () => {
        if (source.readyState === EventSource.CLOSED) closed();
      };
    });
  for (;;) {
    try {
      await watch(key ? `&ticket=${(await post("/api/stream-tickets", { agentId: agent })).ticket}` : "");
      if (answered) return;
    } catch (error) {
      // What `fetch` throws where the server is not there for the moment.
      if (!(error instanceof TypeError)) throw error;
    }
    await new Promise((later) => setTimeout(later, 1000));
  }
}
