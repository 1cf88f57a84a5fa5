// Finds the handler as Lambda's Node runtimes do, and begins one run of it.

import { existsSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { Writable } from "node:stream";
import { pathToFileURL } from "node:url";

import { Fault } from "./errors.mjs";

const STREAMING = Symbol.for("aws.lambda.runtime.handler.streaming");
const CALLBACK_PARAMETERS = 3; // (event, context, callback)
const BY_VALUE_SINCE = 24; // from Node 24 on what a plain function returns is the answer; before, Lambda ignores it

const FACTS = {
  functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
  functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
  memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
  logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
  logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
};

// The function that `name` stands for, below the folder `root`. Throws a Fault, or what its module throws.
export async function load(root, name) {
  const { folder, file, property } = split(name);
  const exported = await loadModule(root, folder, file);
  const handler = find(exported, property) || find(exported?.default, property);
  if (!handler) {
    throw new Fault("Runtime.HandlerNotFound", `${name} is undefined or not exported`);
  }
  if (typeof handler !== "function") {
    throw new Fault("Runtime.HandlerNotFound", `${name} is not a function`);
  }
  return handler;
}

// `folder/file.export`: the first dot after the last slash parts the file from the export, which may be nested.
function split(name) {
  if (name.includes("..")) {
    throw new Fault("Runtime.MalformedHandlerName", `'${name}' is not a valid handler name: it leaves the function's folder`);
  }
  const base = path.basename(name);
  const dot = base.indexOf(".");
  if (dot < 0) {
    throw new Fault("Runtime.MalformedHandlerName", "Bad handler");
  }
  return { folder: path.dirname(name), file: base.slice(0, dot), property: base.slice(dot + 1) };
}

const find = (exported, property) => property.split(".").reduce((found, key) => found?.[key], exported);

async function loadModule(root, folder, name) {
  try {
    return await importFirst(path.resolve(root, folder, name), [root, path.join(root, folder)], name);
  } catch (error) {
    if (error instanceof SyntaxError) {
      throw new Fault("Runtime.UserCodeSyntaxError", String(error), error.stack);
    }
    if (error?.code === "MODULE_NOT_FOUND") {
      throw new Fault("Runtime.ImportModuleError", String(error), `Runtime.ImportModuleError: ${error.stack}`);
    }
    throw error;
  }
}

// The file itself, then with the extensions, each as what package.json and its extension make of it; then as `require` looks.
async function importFirst(file, folders, name) {
  const require = createRequire(path.join(folders[0], "index.js"));
  if (statSync(file, { throwIfNoEntry: false })?.isFile()) {
    return require(file);
  }
  const found = [".js", ".mjs", ".cjs"].map((extension) => file + extension).find((candidate) => existsSync(candidate));
  if (found) {
    return import(pathToFileURL(found));
  }
  return require(existsSync(file) ? file : require.resolve(name, { paths: folders }));
}

// Starts one run. A promise is the answer, else the callback is, or where Lambda has none any more the value returned.
export function begin(handler, call, answer) {
  try {
    const event = JSON.parse(call.event);
    if (handler[STREAMING]) {
      beginStreaming(handler, event, contextOf(call, answer), answer);
      return;
    }
    const returned = handler(event, contextOf(call, answer), answer.callback);
    if (typeof returned?.then === "function") {
      answer.promised = true;
      returned.then(answer.succeed, answer.fail);
    } else if (handler.length < CALLBACK_PARAMETERS && answersByValue()) {
      answer.succeed(returned);
    }
  } catch (error) {
    answer.fail(error);
  }
}

const answersByValue = () => !(Number(/nodejs(\d+)/.exec(process.env.AWS_EXECUTION_ENV)?.[1]) < BY_VALUE_SINCE);

function contextOf(call, answer) {
  return {
    get callbackWaitsForEmptyEventLoop() {
      return answer.waitsForEmptyEventLoop;
    },
    set callbackWaitsForEmptyEventLoop(waits) {
      answer.waitsForEmptyEventLoop = waits;
    },
    done: (error, result) => (error === undefined || error === null ? answer.succeed(result) : answer.fail(error)),
    succeed: answer.succeed,
    fail: answer.fail,
    ...FACTS,
    clientContext: call.clientContext && JSON.parse(call.clientContext),
    identity: call.identity && JSON.parse(call.identity),
    invokedFunctionArn: call.arn,
    awsRequestId: call.id,
    tenantId: call.tenant,
    getRemainingTimeInMillis: () => call.deadline - Date.now(),
  };
}

// awslambda.streamifyResponse, for handlers that have one form for function URLs and for event sources.
export function streamifyResponse(handler) {
  handler[STREAMING] = "response";
  return handler;
}

// Event sources take an answer as a whole: what the handler streams is collected.
function beginStreaming(handler, event, context, answer) {
  const pieces = [];
  const stream = new Writable({
    objectMode: true,
    write(piece, _encoding, done) {
      pieces.push(Buffer.from(typeof piece === "string" || piece instanceof Uint8Array ? piece : JSON.stringify(piece)));
      done();
    },
  });
  stream.setContentType = () => {};
  stream.on("error", answer.fail);
  answer.promised = true;
  const finish = () => {
    if (stream.writableFinished) {
      answer.pass(Buffer.concat(pieces));
    } else if (stream.writableEnded) {
      stream.once("finish", finish);
    } else {
      answer.fail(new Error("Response stream is not finished."));
    }
  };
  Promise.resolve(handler(event, stream, context)).then(finish, answer.fail);
}
