// As much of HTTP/1.1 as the Runtime API needs, over one connection that is kept. node:http takes several times as long.

import net from "node:net";

const { connect } = net; // as it is before the function's modules wrap it

const HEAD_END = "\r\n\r\n";

export class Connection {
  #server;
  #socket = null;
  #waiting = []; // for replies, in the order of the requests
  #pieces = []; // of replies, as they came
  #size = 0;
  #wanted = 1; // so many bytes have to be here before there can be another reply

  constructor(address) {
    const colon = address.lastIndexOf(":");
    this.#server = { host: address.slice(0, colon), port: Number(address.slice(colon + 1)), noDelay: true };
  }

  // Fulfilled with the reply: its head as text, its body as text. A body goes out with its length. Requests of one turn of the
  // event loop share a write, and are answered in order.
  exchange(method, path, body, fields = "") {
    return new Promise((resolve, reject) => {
      const socket = this.#open();
      this.#waiting.push({ resolve, reject });
      const length = body === undefined ? "" : `Content-Length: ${Buffer.byteLength(body)}\r\n`;
      socket.cork();
      socket.write(`${method} ${path} HTTP/1.1\r\nHost: ${this.#server.host}\r\n${length}${fields}\r\n`);
      if (body !== undefined) {
        socket.write(body);
      }
      process.nextTick(() => socket.uncork());
    });
  }

  // While nobody waits for a reply the connection does not keep the event loop alive.
  #open() {
    if (this.#socket === null) {
      const socket = connect(this.#server);
      let trouble = new Error("the connection was closed");
      socket.on("data", (piece) => this.#take(piece));
      socket.on("error", (error) => {
        trouble = error;
      });
      socket.on("close", () => this.#closed(trouble));
      this.#socket = socket;
    }
    this.#socket.ref();
    return this.#socket;
  }

  #closed(trouble) {
    this.#socket = null;
    this.#keep([]);
    for (const { reject } of this.#waiting.splice(0)) {
      reject(trouble);
    }
  }

  #take(piece) {
    this.#pieces.push(piece);
    this.#size += piece.length;
    while (this.#size >= this.#wanted && this.#reply()) {
      if (this.#waiting.length === 0) {
        this.#socket.unref();
      }
    }
  }

  // Hands over one reply if all of it is here. Large ones are put together once, not with every piece.
  #reply() {
    const data = this.#pieces.length === 1 ? this.#pieces[0] : Buffer.concat(this.#pieces);
    const end = data.indexOf(HEAD_END);
    const head = data.toString("latin1", 0, Math.max(0, end));
    const begin = end + HEAD_END.length;
    const size = end < 0 ? data.length + 1 : begin + Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
    if (data.length < size) {
      this.#keep([data], size);
      return false;
    }
    this.#keep(data.length > size ? [data.subarray(size)] : []);
    this.#waiting.shift()?.resolve({ head, body: data.toString("utf8", begin, size) });
    return true;
  }

  #keep(pieces, wanted = 1) {
    this.#pieces = pieces;
    this.#size = pieces.length === 0 ? 0 : pieces[0].length;
    this.#wanted = wanted;
  }
}
