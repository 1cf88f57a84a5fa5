"use strict";
// Loaded into a node server before its own code: whatever it listens on, it listens on the loopback interface only.
const net = require("node:net");

const listen = net.Server.prototype.listen;

net.Server.prototype.listen = function (port, ...rest) {
  if (typeof port !== "number") {
    throw new Error("only listen(port, ...) is expected here");
  }
  return listen.call(this, port, "127.0.0.1", ...rest.filter((one) => typeof one === "function"));
};
