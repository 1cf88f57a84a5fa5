#!/bin/sh
# The event is on stdin; stdout is the answer, stderr the log, 0 success.
bytes=$(wc -c | tr -d ' ')
echo "$GREETING: an event of $bytes bytes" >&2
echo '{"batchItemFailures": []}'
