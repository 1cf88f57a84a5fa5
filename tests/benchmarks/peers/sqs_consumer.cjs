// npm's sqs-consumer as one side of the comparison, as in contender.py: prints the CPU seconds of a message, for each lap, and
// its memory. Its packages are found by NODE_PATH.
"use strict";

const { parseArgs } = require("node:util");
const { SQSClient } = require("@aws-sdk/client-sqs");
const { Consumer } = require("sqs-consumer");

const options = Object.fromEntries(
  ["service", "endpoint", "source", "lanes", "records", "laps"].map((name) => [name, { type: "string" }]),
);
const { endpoint, source, lanes, records, laps } = parseArgs({ options }).values;

const lap = Math.floor(Number(records) / Number(laps));
const marks = [];
let seen = 0;

function used() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

function saw(messages) {
  if (marks.length === 0) marks.push(used());
  seen += messages;
  if (seen >= lap * marks.length) marks.push(used());
  if (seen >= Number(records)) consumers.forEach((consumer) => consumer.stop());
}

const sqs = new SQSClient({ endpoint, region: "us-east-1" });
const consumers = Array.from({ length: Number(lanes) }, () =>
  Consumer.create({
    sqs,
    queueUrl: `${endpoint}/000000000000/${source}`,
    batchSize: 10,
    waitTimeSeconds: 1,
    messageSystemAttributeNames: ["All"],
    messageAttributeNames: ["All"],
    handleMessageBatch: async (messages) => {
      saw(messages.length);
      return messages; // those that it is to delete
    },
  }),
);

for (const consumer of consumers) {
  consumer.on("error", (error) => {
    throw error;
  });
  consumer.start();
}

// Once all have stopped and the last answers are there, nothing keeps node alive.
process.on("exit", () => {
  const costs = marks.slice(1).map((mark, index) => (mark - marks[index]) / lap);
  const memory = Math.floor(process.resourceUsage().maxRSS / 1024);
  console.log(JSON.stringify({ laps: costs, memory_mb: memory }));
});
