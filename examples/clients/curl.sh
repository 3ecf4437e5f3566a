#!/usr/bin/env bash
# Follows an agent with curl: each event on a line of its own, its cursor before it, until the agent is at rest.
#
#   examples/clients/curl.sh http://127.0.0.1:3000 user:42            what it told so far, and what it tells
#   examples/clients/curl.sh http://127.0.0.1:3000 user:42 "hello"    sends a message and shows what that causes
#
# KODE_API_KEY is sent where it is set. A lost stream is opened again where it broke off: curl does not do that itself.
# To look at a stream once, `curl -N URL` is enough; without -N curl keeps back what has come until it is much.
set -euo pipefail

agent=$1/api/agents/$2 text=${3-}
request=("$agent/stream?since=0")
if [ -n "$text" ]; then
  # The message is posted again for the rest of its stream, and the key makes it the same message.
  json=${text//\\/\\\\} json=${json//\"/\\\"}
  request=("$agent/messages" -H 'accept: text/event-stream' -H 'content-type: application/json'
    -H "idempotency-key: $(date +%s%N)-$$" -d "{\"text\":\"$json\"}")
fi
# The key is no argument: everybody on the machine may read those.
key=${KODE_API_KEY:+header = \"authorization: Bearer $KODE_API_KEY\"}

last=
while :; do
  id='' data='' status=000
  # The first request has no such header: curl leaves out one that is empty.
  while IFS= read -r line; do
    case $line in
      'id: '*) id=${line#id: } ;;
      'data: '*) data=${line#data: } ;;
      'status: '*) status=${line#status: } ;;
      '') if [ -n "$data" ]; then printf '%s\t%s\n' "$id" "$data"; last=$id data=''; fi ;;
    esac
  done < <(curl -sSN -K - -H "last-event-id: $last" -w '\nstatus: %{http_code}\n' "${request[@]}" <<<"$key" || true)
  case $status in
    # There is no more, and all of it was shown.
    204) exit 0 ;;
    # The stream ended or broke off, or the server is not there for the moment.
    000 | 200 | 429 | 5??) sleep 1 ;;
    *) echo "refused with $status" >&2 && exit 1 ;;
  esac
done
