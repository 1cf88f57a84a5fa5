// The function's log: each message is one line on standard output, with time, request id and level, as text or as JSON.

import { format } from "node:util";

import { attempt, describe, Fault, ownLines } from "./errors.mjs";

const LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
const AS_JSON = process.env.AWS_LAMBDA_LOG_FORMAT?.toUpperCase() === "JSON";

let requestId = "-"; // of the latest invocation

export function belongsTo(id) {
  requestId = id;
}

export function patchConsole() {
  const lowest = Math.max(0, LEVELS.indexOf(process.env.AWS_LAMBDA_LOG_LEVEL?.toUpperCase()));
  LEVELS.forEach((level, rank) => {
    console[level.toLowerCase()] = rank < lowest ? () => {} : (...parts) => log(level, ...parts);
  });
  console.log = console.info;
}

// Ends of lines inside of a message become carriage returns, as on Lambda.
export function log(level, ...parts) {
  const time = new Date().toISOString();
  const line = AS_JSON ? jsonLine(time, level, parts) : [time, requestId, level, format(...parts)].join("\t");
  process.stdout.write(`${line.replaceAll("\n", "\r")}\n`);
}

function jsonLine(timestamp, level, parts) {
  const entry = { timestamp, level, requestId };
  if (parts.length === 1) {
    const text = attempt(() => JSON.stringify({ ...entry, message: parts[0] }, (_key, value) => loggable(value)));
    return typeof text === "string" ? text : JSON.stringify({ ...entry, message: format(parts[0]) });
  }
  const error = parts.find((part) => part instanceof Error);
  return JSON.stringify({ ...entry, message: format(...parts), ...(error && errorFields(error)) });
}

const loggable = (value) => (value instanceof Error ? { ...errorFields(value), ...value } : value);

const errorFields = (error) => ({
  errorType: error.constructor?.name ?? "UnknownError",
  errorMessage: error.message,
  stackTrace: ownLines(error.stack),
});

// What was thrown, with all its own properties.
export function logError(title, thrown) {
  const error = thrown instanceof Error ? thrown : new Fault("Error", attempt(() => String(thrown)));
  if (AS_JSON) {
    log("ERROR", error);
    return;
  }
  const { errorType, errorMessage, trace } = describe(error);
  const text = attempt(() => JSON.stringify({ errorType, errorMessage, code: error.code, ...error, stack: trace }));
  log("ERROR", title, `\t${typeof text === "string" ? text : JSON.stringify({ errorType, errorMessage, trace })}`);
}
