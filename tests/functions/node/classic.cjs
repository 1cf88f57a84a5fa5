// The suite's handlers as CommonJS wrote them: with a callback, of which some are called late.

const { appendFileSync, existsSync, writeFileSync } = require("node:fs");

const PATIENCE_MS = 10_000;

class ValueError extends Error {
  get name() {
    return "ValueError";
  }
}

exports.echo = (event, _context, callback) => callback(null, event);

exports.nothing = (_event, _context, callback) => callback();

exports.unicode = (event, _context, callback) => {
  process.nextTick(callback, null, { text: "Grüße, 世界 😀 \u2028", event });
};

exports.partial = (event, _context, callback) => {
  const failed = event.Records.filter((each) => each.bad).map((each) => ({ itemIdentifier: each.id }));
  setImmediate(callback, null, { batchItemFailures: failed });
};

exports.raising = (event, _context, callback) => {
  setTimeout(() => callback(new ValueError(event.message)), 1);
};

exports.fails_if_told = (event, _context, callback) => {
  if (event.fail) {
    throw new Error("told to");
  }
  callback(null, "fine");
};

exports.unserialisable = (_event, _context, callback) => callback(null, { a: 1n });

exports.large = (event, context) => context.succeed("x".repeat(event.size - 2));

exports.sleeping = (event, context) => {
  setTimeout(() => context.done(null, "awake"), event.seconds * 1000);
};

exports.describing = (_event, context, callback) => {
  callback(null, {
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
};

exports.meeting = (event, _context, callback) => {
  writeFileSync(event.mine, "");
  const until = Date.now() + PATIENCE_MS;
  const look = () => {
    if (existsSync(event.other)) {
      callback(null, "met");
    } else if (Date.now() < until) {
      setTimeout(look, 5);
    } else {
      callback(null, "alone");
    }
  };
  look();
};

// The timer outlives the callback: the answer waits until nothing is left to run.
exports.ticking = (event, _context, callback) => {
  let ticks = 0;
  const timer = setInterval(() => {
    appendFileSync(event.file, "x");
    ticks += 1;
    if (ticks === event.ticks) {
      clearInterval(timer);
    }
  }, 10);
  callback(null, "harm done");
};
