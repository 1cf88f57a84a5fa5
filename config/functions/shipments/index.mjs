// A handler of a queue as Lambda would run it: prints each shipment, reports the messages that it cannot take.

export const handler = async (event) => {
  const batchItemFailures = [];
  for (const message of event.Records) {
    try {
      const { id, city } = JSON.parse(message.body);
      console.log("shipment %d to %s", id, city);
    } catch (error) {
      console.warn("no shipment:", error.message);
      batchItemFailures.push({ itemIdentifier: message.messageId });
    }
  }
  return { batchItemFailures };
};
