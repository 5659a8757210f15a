// Verifies Ed25519 signatures with the example of docs/receiving.md, over Node's own cryptography.
//
// The first argument is that page. Reads a JSON list of {"publicKey", "headers", "body"} and writes, one line each,
// "verified" or "refused".

import { readFileSync } from "node:fs";

const blocks = readFileSync(process.argv[2], "utf8").split("```js\n").map((part) => part.split("```")[0]);
const example = blocks.find((block) => block.includes("function verifyV1a"));
const { verifyV1a } = await import(`data:text/javascript,${encodeURIComponent(example)}`);

for (const { publicKey, headers, body } of JSON.parse(readFileSync(0, "utf8"))) {
  console.log(verifyV1a(publicKey, headers, body) ? "verified" : "refused");
}
