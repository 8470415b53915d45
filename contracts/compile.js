// Standard JSON in, standard JSON out: npm's solc as a filter. tools/contracts.py runs it.
const fs = require("fs");
const solc = require("solc");

const input = fs.readFileSync(0, "utf8");
// Not process.stdout: it is cut off at 64 KiB when the process ends while a pipe is full.
fs.writeSync(1, JSON.stringify({ version: solc.version(), output: JSON.parse(solc.compile(input)) }));
