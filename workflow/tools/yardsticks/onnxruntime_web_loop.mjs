/** What onnxruntime_web_loop.py starts: PACKAGES GRAPH INPUTS THREADS SECONDS WARMUP → durations in nanoseconds, JSON. */

import { createRequire } from "node:module";
import path from "node:path";

import { load } from "../../engines/javascript/arena/tensors.mjs";

const [packages, graph, inputs, threads, seconds, warmup] = process.argv.slice(2);
const ort = createRequire(path.join(packages, "main.mjs"))("onnxruntime-web");
const PREFIX = "inference.";

ort.env.wasm.numThreads = Number(threads);
const session = await ort.InferenceSession.create(graph, { executionProviders: ["wasm"] });
const feeds = {};
for (const [name, { shape, data }] of Object.entries(load(inputs))) {
  if (!name.startsWith(PREFIX)) continue;
  const kind = data instanceof Float32Array ? "float32" : "int64";
  feeds[name.slice(PREFIX.length)] = new ort.Tensor(kind, data, shape);
}

for (let count = 0; count < Number(warmup); count += 1) await session.run(feeds);
const durations = [];
let spent = 0;
while (spent < Number(seconds) * 1e9) {
  const begin = process.hrtime.bigint();
  await session.run(feeds);
  durations.push(Number(process.hrtime.bigint() - begin));
  spent += durations.at(-1);
}
console.log(JSON.stringify(durations));
process.exit(0); // the threads would wait on
