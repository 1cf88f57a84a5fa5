// The client's half of Lambda's Runtime API.

import { Connection } from "./connection.mjs";
import { describe } from "./errors.mjs";
import { log } from "./logs.mjs";

const VERSION = "/2018-06-01/runtime";
const JSON_FIELD = "Content-Type: application/json\r\n";

export class RuntimeApi {
  posted = Promise.resolve(); // fulfilled when the latest answer is with the server
  #connection;

  constructor(address) {
    this.#connection = new Connection(address);
  }

  // Waits for the next invocation, however long. Throws where there is none to be had: then nothing is left to do.
  async next() {
    const { head, body } = await this.#connection.exchange("GET", `${VERSION}/invocation/next`);
    const [status, ...lines] = head.split("\r\n");
    if (status.split(" ")[1] !== "200") {
      throw new Error(`the Runtime API answered ${status}: ${body}`);
    }
    const fields = Object.fromEntries(lines.map(field));
    return {
      id: fields["lambda-runtime-aws-request-id"],
      deadline: Number(fields["lambda-runtime-deadline-ms"]), // Unix time in milliseconds
      arn: fields["lambda-runtime-invoked-function-arn"],
      trace: fields["lambda-runtime-trace-id"],
      clientContext: fields["lambda-runtime-client-context"],
      identity: fields["lambda-runtime-cognito-identity"],
      tenant: fields["lambda-runtime-aws-tenant-id"],
      event: body,
    };
  }

  response(id, body) {
    return this.#post(`/invocation/${id}/response`, body, JSON_FIELD);
  }

  error(id, thrown) {
    return this.#postError(`/invocation/${id}/error`, thrown);
  }

  initError(thrown) {
    return this.#postError("/init/error", thrown);
  }

  #postError(where, thrown) {
    const error = describe(thrown);
    const type = `Lambda-Runtime-Function-Error-Type: ${printable(error.errorType)}\r\n`;
    return this.#post(where, JSON.stringify(error), JSON_FIELD + type);
  }

  // An answer that is refused, or for which the server hangs up, is the server's to judge. The next exchange will tell.
  #post(where, body, fields) {
    this.posted = this.#connection
      .exchange("POST", VERSION + where, body, fields)
      .catch((error) => log("ERROR", `The Runtime API did not take an answer: ${error.message}`));
    return this.posted;
  }
}

// A header field: its name in lower case, its value.
function field(line) {
  const colon = line.indexOf(":");
  return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
}

const printable = (text) => String(text).replace(/[^\x20-\x7e]/g, "?");
