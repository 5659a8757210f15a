// Verifies callbacks of the format `transak` with the call of Transak's own guide.
//
// The first argument is the folder that holds node_modules. Reads a JSON list of {"body", "accessToken"} and writes, one
// line each, the decoded claims or "refused: why".

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.argv[2], "index.js"));
const jsonwebtoken = require("jsonwebtoken");

for (const { body, accessToken } of JSON.parse(readFileSync(0, "utf8"))) {
  const { data } = JSON.parse(body);
  try {
    const decoded = jsonwebtoken.verify(data, accessToken);
    console.log(JSON.stringify(decoded));
  } catch (error) {
    console.log(`refused: ${error.message}`);
  }
}
