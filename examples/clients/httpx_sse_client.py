#!/usr/bin/env python3
"""Follows an agent with httpx-sse: each event on a line of its own, its cursor before it, until the agent is at rest.

    pip install httpx httpx-sse
    python3 httpx_sse_client.py http://127.0.0.1:3000 user:42            what it told so far, and what it tells
    python3 httpx_sse_client.py http://127.0.0.1:3000 user:42 "hello"    sends a message and shows what that causes

KODE_API_KEY is sent where it is set. A lost stream is opened again where it broke off: httpx-sse does not do that itself.
"""

import os
import sys
import time
import uuid

import httpx
from httpx_sse import connect_sse

# A quiet stream has a comment every 15 s. httpx gives up after 5 s of silence if it is not told otherwise.
TIMEOUT = httpx.Timeout(10, read=45)


def events(client, method, url, headers=None, **request):
    """The events of a stream, over as many connections as it takes."""
    last, wait = "", 1.0
    while True:
        try:
            again = {"last-event-id": last} if last else {}
            with connect_sse(client, method, url, headers={**(headers or {}), **again}, **request) as source:
                status = source.response.status_code
                if status == 204:
                    return  # there is no more, and all of it was given
                if status != 429 and status < 500:  # else the server cannot for the moment
                    source.response.raise_for_status()
                    for event in source.iter_sse():
                        last = event.id
                        if event.retry is not None:
                            wait = event.retry / 1000
                        yield event
        except httpx.TransportError:
            pass  # the line broke off, or the server is not there
        time.sleep(wait)


def follow(client, agent):
    """What an agent told so far, and what it tells."""
    return events(client, "GET", f"{agent}/stream", params={"since": "0"})


def ask(client, agent, text):
    """What a message causes. It is posted again for the rest of its stream; the key makes it the same message."""
    return events(client, "POST", f"{agent}/messages", {"idempotency-key": str(uuid.uuid4())}, json={"text": text})


def main(base, agent, text=None):
    key = os.environ.get("KODE_API_KEY")
    headers = {"authorization": f"Bearer {key}"} if key else {}
    with httpx.Client(timeout=TIMEOUT, headers=headers) as client:
        agent = f"{base}/api/agents/{agent}"
        for event in ask(client, agent, text) if text else follow(client, agent):
            print(f"{event.id}\t{event.data}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
