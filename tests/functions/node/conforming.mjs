// What `poller/testing/handlers.py` has in Python, under the same names.

import { appendFileSync, existsSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const PATIENCE_MS = 10_000;

class ValueError extends Error {
  name = "ValueError";
}

export const echo = async (event) => event;

export const nothing = async () => {};

export const unicode = async (event) => ({ text: "Grüße, 世界 😀 \u2028", event });

export const partial = async (event) => ({
  batchItemFailures: event.Records.filter((each) => each.bad).map((each) => ({ itemIdentifier: each.id })),
});

export const raising = async (event) => innermost(event.message);

function innermost(message) {
  throw new ValueError(message);
}

export const fails_if_told = async (event) => {
  if (event.fail) {
    throw new Error("told to");
  }
  return "fine";
};

export const unserialisable = async () => ({ a: 1n });

export const large = async (event) => "x".repeat(event.size - 2);

export const sleeping = async (event) => {
  await sleep(event.seconds * 1000);
  return "awake";
};

export const describing = async (_event, context) => ({
  aws_request_id: context.awsRequestId,
  function_name: context.functionName,
  function_version: context.functionVersion,
  invoked_function_arn: context.invokedFunctionArn,
  memory_limit_in_mb: context.memoryLimitInMB,
  log_group_name: context.logGroupName,
  log_stream_is_text: typeof context.logStreamName === "string",
  client_context: context.clientContext ?? null,
  tenant_id: context.tenantId ?? null,
  identity: [context.identity?.cognitoIdentityId ?? null, context.identity?.cognitoIdentityPoolId ?? null],
  remaining: context.getRemainingTimeInMillis(),
});

export const meeting = async (event) => {
  writeFileSync(event.mine, "");
  const until = Date.now() + PATIENCE_MS;
  while (Date.now() < until) {
    if (existsSync(event.other)) {
      return "met";
    }
    await sleep(5);
  }
  return "alone";
};

export const ticking = async (event) => {
  for (let tick = 0; tick < event.ticks; tick++) {
    appendFileSync(event.file, "x");
    await sleep(10);
  }
  return "harm done";
};
