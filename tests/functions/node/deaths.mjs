// What `deaths.py` has in Python, under the same names.

import { spawn } from "node:child_process";
import { closeSync, existsSync, readFileSync, unlinkSync, writeSync } from "node:fs";
import { connect } from "node:net";

const once = process.env.DIES_ONCE;
if (once && existsSync(once)) {
  const how = readFileSync(once, "utf8");
  unlinkSync(once);
  if (how === "import_error") {
    await import("nothing-of-this-name");
  }
  throw Object.assign(new Error("no"), { name: "ValueError" });
}

const forever = () => new Promise((resolve) => setTimeout(resolve, 600_000));

const ignoreSignals = () => ["SIGTERM", "SIGINT", "SIGHUP"].forEach((each) => process.on(each, () => {}));

const faults = {
  none: async () => process.pid,
  exits: async (event) => process.exit(event.status),
  kills_itself: async () => process.kill(process.pid, "SIGKILL") && forever(),
  allocates: async () => {
    const hoard = [];
    while (hoard.length < 8) {
      hoard.push(Buffer.alloc(32 * 1024 * 1024, "x"));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await forever();
    return hoard.length;
  },
  hangs: async () => {
    for (;;) {}
  },
  ignores_sigterm: async () => {
    ignoreSignals();
    process.kill(process.pid, "SIGTERM");
    await forever();
  },
  forks_and_hangs: async () => {
    spawn("sleep", ["600"], { stdio: "ignore" });
    await forever();
  },
  closes_its_socket: async () => {
    for (let each = 3; each < 64; each++) {
      try {
        closeSync(each);
      } catch {}
    }
  },
  floods_stdout: async (event) => {
    const lines = "x".repeat(1023).concat("\n").repeat(64);
    for (let left = event.bytes; left > 0; left -= lines.length) {
      writeAll(lines);
    }
    return "flooded";
  },
  answers_seven_megabytes: async () => "x".repeat(7_000_000),
  answers_junk: async () => undefined,
  talks_junk: async () => {
    const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
    await new Promise((resolve) => {
      const connection = connect(Number(port), host, () => connection.end("GET / NONSENSE\r\n\r\n, or what is it that you expect?"));
      connection.on("close", resolve).on("error", resolve).resume();
    });
    return null;
  },
  sleeps: forever,
  prints_secrets: async () => {
    console.log("connecting to redis://admin:hunter2@cache:6379/0");
    process.stdout.write('{"level": "INFO", "password": "hunter2", "url": "https://me:hunter2@example.com"}\n');
    process.stderr.write("Authorization: redis://:hunter2@cache\n");
    return null;
  },
};

function writeAll(text) {
  let rest = Buffer.from(text);
  while (rest.length) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      if (error.code !== "EAGAIN") {
        throw error;
      }
    }
  }
}

export const handler = (event, context) => faults[event.fault](event, context);
