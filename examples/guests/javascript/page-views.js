// Page views: JSON in, JSON rows out. The same processor as in ../c and ../python.

import { count } from "tidegate:processor/host@0.1.0";

const ROWS = 0;
const SKIPPED = 1;
const REJECTED = 4;

const COLUMNS = [
  ["visitor", "UInt64"],
  ["path", "String"],
  ["at", "DateTime"],
  ["referrer", "Nullable(String)"],
  ["tags", "Array(String)"],
];

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** The message cannot become a row; the text says why. */
class Rejected extends Error {}

/** The world's export of this name. */
export const processor = {
  describe() {
    const columns = COLUMNS.map(([name, clickhouseType]) => ({ name, clickhouseType }));
    const output = { name: "page_views", format: "json-each-row", columns };
    return { name: "page-views", version: "0.1.0", outputs: [output], wants: {}, selfTest: "" };
  },

  init(config) {
    if (Object.keys(JSON.parse(config.params || "{}")).length > 0) {
      throw "there are no settings";
    }
  },

  process(batch) {
    const outcomes = new Uint8Array(batch.ends.length);
    const rejections = [];
    const rows = new RowWriter();
    let heartbeats = 0;
    for (let message = 0; message < batch.ends.length; message += 1) {
      const start = message === 0 ? 0 : batch.ends[message - 1];
      try {
        const row = pageView(batch.payloads.subarray(start, batch.ends[message]));
        if (row === null) {
          heartbeats += 1;
          outcomes[message] = SKIPPED;
        } else {
          rows.write(row, message);
          outcomes[message] = ROWS;
        }
      } catch (error) {
        if (!(error instanceof Rejected)) throw error;
        rejections.push({ message, reason: error.message });
        outcomes[message] = REJECTED;
      }
    }
    if (heartbeats > 0) count("heartbeats", BigInt(heartbeats));
    return {
      outcomes,
      rows: [rows.finish(0)],
      replacements: undefined,
      rewrites: [],
      rejections,
      received: new BigInt64Array(),
    };
  },
};

/** The row of a message, or null for a heartbeat. */
function pageView(payload) {
  const message = parse(payload);
  if (message.kind === "heartbeat") return null;
  if (message.kind !== "view") {
    throw new Rejected(typeof message.kind === "string" ? `unknown kind: ${message.kind}` : "kind is not a text");
  }
  return {
    visitor: whole(message, "visitor", Number.MAX_SAFE_INTEGER),
    path: text("path", message.path),
    at: whole(message, "at", 2 ** 32 - 1),
    referrer: (message.referrer ?? null) === null ? null : text("referrer", message.referrer),
    tags: texts("tags", message.tags === undefined ? [] : message.tags),
  };
}

function parse(payload) {
  let message = null;
  try {
    message = JSON.parse(decoder.decode(payload));
  } catch {
    // Said below.
  }
  if (typeof message !== "object" || message === null || Array.isArray(message)) {
    throw new Rejected("not a JSON object");
  }
  return message;
}

function whole(message, name, most) {
  const value = message[name];
  if (!Number.isSafeInteger(value) || value < 0 || value > most) {
    throw new Rejected(`${name} is not a whole number up to ${most}`);
  }
  return value;
}

function text(name, value) {
  if (typeof value !== "string") throw new Rejected(`${name} is not a text`);
  return value;
}

function texts(name, value) {
  if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) {
    throw new Rejected(`${name} is not a list of texts`);
  }
  return value;
}

/** Rows of one output, one after the other in a buffer that grows. */
class RowWriter {
  data = new Uint8Array(64 * 1024);
  length = 0;
  ends = [];
  sources = [];

  write(row, source) {
    const line = JSON.stringify(row);
    // A unit of a JavaScript text takes 3 bytes at most.
    const needed = this.length + line.length * 3;
    if (needed > this.data.length) {
      const larger = new Uint8Array(needed * 2);
      larger.set(this.data.subarray(0, this.length));
      this.data = larger;
    }
    this.length += encoder.encodeInto(line, this.data.subarray(this.length)).written;
    this.ends.push(this.length);
    this.sources.push(source);
  }

  finish(output) {
    const data = this.data.subarray(0, this.length);
    return { output, data, rowEnds: new Uint32Array(this.ends), sources: new Uint32Array(this.sources) };
  }
}
