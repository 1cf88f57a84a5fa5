// The light runtime client for Node: loads one handler and runs it as AWS Lambda does, one invocation at a time.
//
// These files need nothing but Node, 18 or newer. The daemon starts this one as `node runtime.mjs` with Lambda's environment:
// _HANDLER below LAMBDA_TASK_ROOT, invocations from the Runtime API at AWS_LAMBDA_RUNTIME_API. Types and texts of errors, the log
// and the life of a callback are those of Lambda's Node runtimes; docs/node.md says where this differs.

import { Answer } from "./answer.mjs";
import { RuntimeApi } from "./api.mjs";
import { attempt, Fault } from "./errors.mjs";
import { begin, load, streamifyResponse } from "./handler.mjs";
import { belongsTo, log, logError, patchConsole } from "./logs.mjs";

const STATUS = { failed: 1, rejection: 128, exception: 129 };

let current = null; // the invocation that is not answered yet: its id, and its answer
let initialised = false;
let ending = false;

async function main() {
  process.env.AWS_EXECUTION_ENV ??= `AWS_Lambda_nodejs${process.versions.node.split(".")[0]}.x`;
  patchConsole();
  globalThis.awslambda = { ...globalThis.awslambda, streamifyResponse };
  const api = new RuntimeApi(process.env.AWS_LAMBDA_RUNTIME_API);
  watch(api);
  const handler = await initialise(api);
  for (;;) {
    await serve(api, handler, await api.next());
  }
}

async function initialise(api) {
  try {
    const handler = await load(process.env.LAMBDA_TASK_ROOT, process.env._HANDLER);
    initialised = true;
    return handler;
  } catch (error) {
    logError("Init Error", error);
    await api.initError(error);
    return process.exit(STATUS.failed);
  }
}

// The answer goes out together with the wish for the next invocation.
async function serve(api, handler, call) {
  belongsTo(call.id);
  setTrace(call.trace);
  const answer = new Answer();
  current = { id: call.id, answer };
  begin(handler, call, answer);
  const { failure, body } = await answer.given;
  current = null;
  if (failure) {
    logError("Invoke Error", failure.thrown);
    api.error(call.id, failure.thrown);
  } else {
    api.response(call.id, body);
  }
}

// The X-Ray trace id of the invocation, where the SDK looks for it.
function setTrace(trace) {
  if (trace) {
    process.env._X_AMZN_TRACE_ID = trace;
  } else {
    delete process.env._X_AMZN_TRACE_ID;
  }
}

// What happens outside of the handler's own call: nobody caught something, or nothing is left to run.
function watch(api) {
  process.on("uncaughtException", (error) => end(api, "Uncaught Exception", error, STATUS.exception));
  process.on("unhandledRejection", (reason) => {
    const fault = new Fault("Runtime.UnhandledPromiseRejection", attempt(() => String(reason)), reason?.stack);
    end(api, "Unhandled Promise Rejection", fault, STATUS.rejection);
  });
  process.on("beforeExit", () => {
    if (current === null) {
      log("ERROR", "The module's top-level await will never end: nothing is left to run.");
    } else {
      current.answer.emptied();
    }
  });
}

// What nobody caught is what becomes of the invocation that runs, or of the initialisation; then the process ends. An answer that
// is on its way is let through.
async function end(api, title, thrown, status) {
  logError(title, thrown);
  if (ending) {
    return;
  }
  ending = true;
  if (current !== null) {
    current.answer.close();
    await api.error(current.id, thrown);
  } else if (!initialised) {
    await api.initError(thrown);
  }
  await api.posted;
  process.exit(status);
}

main().catch((error) => {
  log("FATAL", `The runtime cannot go on: ${error?.message}`);
  process.exit(STATUS.failed);
});
