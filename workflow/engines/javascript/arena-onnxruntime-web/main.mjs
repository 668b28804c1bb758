/** The arena's workloads in ONNX Runtime Web, from the ONNX files: forward passes, and greedy decoding with a KV cache.
 *
 * It computes in WebAssembly with SIMD instructions, on as many threads as it is given.
 */

import * as ort from "onnxruntime-web";

import { Unsupported, main } from "../arena/index.mjs";

const KINDS = { float32: Float32Array, int64: BigInt64Array };

class OnnxRuntimeWeb {
  constructor(job) {
    this.job = job;
    ort.env.wasm.numThreads = job.cell.threads; // its own default is half of the processors, four at most
  }

  describe() {
    // It says 1 instead where it cannot start threads.
    return { backend: "WebAssembly, SIMD", device: "cpu", threads: ort.env.wasm.numThreads };
  }

  async load() {
    this.session = await start(this.job.files.export);
  }

  async prepare(task) {
    if (task === "training") throw new Unsupported("no-training", "ONNX Runtime Web runs inference only.");
    const inputs = Object.entries(this.job.inputs(task)).map(([name, tensor]) => [name, fromHost(tensor)]);
    if (task === "decode") {
      await this.session.release(); // of both together the weights might not fit into the 4 GB of WebAssembly
      this.session = await start(this.job.files.decode_export);
      const { input_ids } = Object.fromEntries(inputs);
      this.iteration = () => this.generate(input_ids);
      return;
    }
    const feeds = Object.fromEntries(inputs);
    const [output] = this.session.outputNames;
    this.iteration = async () => (await this.session.run(feeds))[output];
  }

  run() {
    return this.iteration();
  }

  /** Greedy generation: what a step returns as present is the next step's past. */
  async generate(prompt) {
    const begin = process.hrtime.bigint();
    const [logits, ...present] = this.session.outputNames;
    const [, ...past] = this.session.inputNames;
    const sizes = this.session.inputMetadata.slice(1).map(({ shape }) => shape.map((size) => (size > 0 ? size : 0)));
    let cache = sizes.map((shape) => new ort.Tensor("float32", new Float32Array(0), shape));
    const step = async (input_ids) => {
      const feeds = Object.fromEntries(past.map((name, index) => [name, cache[index]]));
      const outputs = await this.session.run({ input_ids, ...feeds });
      cache = present.map((name) => outputs[name]);
      return BigInt(highest(outputs[logits].data));
    };
    const tokens = [await step(prompt)];
    const firstTokenNs = Number(process.hrtime.bigint() - begin);
    while (tokens.length < this.job.cell.decode_tokens) {
      const last = BigInt64Array.of(tokens.at(-1));
      tokens.push(await step(new ort.Tensor("int64", last, [1, 1])));
    }
    return { tokens, firstTokenNs };
  }

  fetch(task, output) {
    if (task === "decode") {
      return { tokens: { shape: [output.tokens.length], data: BigInt64Array.from(output.tokens) } };
    }
    return { output: { shape: [...output.dims], data: output.data } };
  }

  firstTokenNs(output) {
    return output.firstTokenNs ?? null;
  }
}

/** A session of the graph in this file. */
function start(path) {
  if (!path) throw new Error("the job names no ONNX file");
  return ort.InferenceSession.create(path, { executionProviders: ["wasm"], graphOptimizationLevel: "all" });
}

/** A tensor of the arena's as one of ONNX Runtime's. */
function fromHost({ shape, data }) {
  const kind = Object.keys(KINDS).find((each) => data instanceof KINDS[each]);
  return new ort.Tensor(kind, data, shape);
}

/** The index of the highest value, the first of equals. */
function highest(values) {
  let found = 0;
  for (let index = 1; index < values.length; index += 1) {
    if (values[index] > values[found]) found = index;
  }
  return found;
}

await main(OnnxRuntimeWeb);
