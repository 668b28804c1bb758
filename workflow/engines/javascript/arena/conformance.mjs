/** What a test holds to the same in Python: the timing protocol, and a whole cell.
 *
 * `conformance.mjs --job JOB.json` measures a made-up engine as any other is measured. Without arguments it drives the
 * timing protocol with a scripted clock: it reads `{"protocol": {...}, "durations_ns": [...]}` on standard input, the last
 * duration going on for ever, and writes the warm-up, the samples and whether it was steady.
 */

import fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

import { Unsupported, main } from "./index.mjs";
import { measure } from "./protocol.mjs";
import { monotonicNs } from "./system.mjs";

/** tests/support/adapters/conforming.py in JavaScript: it computes by rule, and takes its time by the clock. */
class Conforming {
  constructor(job) {
    this.job = job;
    this.options = job.cell.options;
  }

  describe() {
    return { backend: "by rule", device: "none", threads: this.job.cell.threads };
  }

  load() {
    if (this.options.fault === "load") throw new Error("asked   to\nfail");
  }

  prepare(task) {
    if (this.options.unsupported === task) throw new Unsupported("unsupported-model", "not by this rule");
  }

  async run(task) {
    const begin = monotonicNs();
    await sleep(1);
    const firstTokenNs = monotonicNs() - begin;
    await sleep(1);
    const [{ data }] = Object.values(this.job.inputs(task));
    return { values: Float32Array.from({ length: data.length * 4 }, (_, index) => index / 8), firstTokenNs };
  }

  fetch(task, { values }) {
    const tensor = { shape: [values.length / 4, 4], data: values };
    if (task === "training") {
      return { loss: this.options.fault === "nan" ? NaN : 0.5, gradients: { weight: tensor } };
    }
    if (task === "decode") {
      const count = this.job.cell.decode_tokens;
      const data = BigInt64Array.from({ length: count }, (_, index) => BigInt(index));
      return { tokens: { shape: [count], data } };
    }
    return { output: tensor };
  }

  firstTokenNs(output) {
    return output.firstTokenNs;
  }

  deviceNs() {
    return this.options.device_ns ?? null;
  }

  devicePeakBytes() {
    return this.options.device_bytes ?? null;
  }
}

/** The protocol under the script on standard input, as JSON. */
async function timing() {
  const { protocol, durations_ns } = JSON.parse(fs.readFileSync(0, "utf8"));
  let [now, runs] = [0, 0];
  const run = () => {
    now += durations_ns[Math.min(runs, durations_ns.length - 1)];
    runs += 1;
    return runs;
  };
  const { warmup_ns, samples_ns, steady, result } = await measure(run, protocol, () => now);
  console.log(JSON.stringify({ warmup_ns, samples_ns, steady, result }));
}

await (process.argv.length > 2 ? main(Conforming) : timing());
