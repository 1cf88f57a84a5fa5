// What one invocation comes to: an answer's JSON, or what was thrown. Only the first way to say it counts.

import { attempt, Fault } from "./errors.mjs";

const { setImmediate } = globalThis; // tests of the function's may fake it

export class Answer {
  waitsForEmptyEventLoop = true; // context.callbackWaitsForEmptyEventLoop
  promised = false; // the handler returned a promise, or streams
  #called = false;
  #result = undefined; // what the callback was given, while it waits
  #settle;

  constructor() {
    this.given = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  succeed = (value) => {
    if (this.#close()) {
      this.#complete(value);
    }
  };

  fail = (thrown) => {
    if (this.#close()) {
      this.#settle({ failure: { thrown: thrown ?? "handled" } });
    }
  };

  // The answer is these bytes.
  pass = (body) => {
    if (this.#close()) {
      this.#settle({ body });
    }
  };

  callback = (error, result) => {
    if (error !== undefined && error !== null) {
      this.fail(error);
    } else if (!this.waitsForEmptyEventLoop) {
      this.succeed(result);
    } else if (this.#close()) {
      this.#result = result;
    }
  };

  // Whatever is said from now on does not count.
  close() {
    this.#called = true;
  }

  // Nothing is left that could run: now a callback's result is the answer, or null where it was not called. A promise is not
  // settled by that. Then the process ends, as it does on Lambda's Node 24: nobody knows whether the work was done.
  emptied() {
    if (this.#called || !this.promised) {
      setImmediate(() => this.#complete(this.#result));
    } else {
      console.error("The handler's promise will never be settled: nothing is left to run.");
    }
  }

  #close() {
    const first = !this.#called;
    this.#called = true;
    return first;
  }

  #complete(value) {
    try {
      this.#settle({ body: toJson(value) });
    } catch (error) {
      this.#settle({ failure: { thrown: error } });
    }
  }
}

function toJson(value) {
  const text = attempt(() => JSON.stringify(value === undefined ? null : value));
  if (typeof text !== "string") {
    throw new Fault("Runtime.JSONStringifyError", "Unable to stringify response body", text?.stack);
  }
  return text;
}
