/** Measure one cell once, in this process: the counterpart of `workflow/scripts/measure.py`. */

import { Job, begun, taskRecord } from "./contract.mjs";
import { outcome, words } from "./failures.mjs";
import { loss } from "./loss.mjs";
import { measure } from "./protocol.mjs";
import { monotonicNs, peakBytes, residentBytes, resetPeak, unroutablePackets } from "./system.mjs";
import { replace, save } from "./tensors.mjs";

/** The exit status of a process whose own files cannot be written: `EXIT` of workflow/scripts/arena/storage.py. */
const STORAGE = 74;
/** The other tasks' peak is counted as that of inference. */
const OWN_PEAK = ["decode", "training"];

/** The whole program: `--job JOB.json`. What goes wrong is recorded; only an unreadable job is an error. */
export async function main(Engine) {
  const [flag, path, ...more] = process.argv.slice(2);
  if (flag !== "--job" || path === undefined || more.length) {
    const about = "benchmark.py --keep-job writes such a file, job.schema.json describes it";
    console.error(`usage: ${process.argv[1]} --job JOB.json (${about})`);
    process.exit(2);
  }
  let job;
  try {
    job = Job.read(path);
  } catch (error) {
    console.error(words(error));
    process.exit(2);
  }
  await new Process(job).run(Engine);
  process.exit(0); // whatever threads the engine has left
}

/** One round of one cell; `record` is what the supervisor reads. */
class Process {
  constructor(job) {
    this.job = job;
    this.record = begun();
    this.outputs = {};
  }

  /** Measure every task that the job asks for; failures are recorded, never thrown. */
  async run(Engine) {
    let engine;
    try {
      engine = await this.start(Engine);
    } catch (error) {
      Object.assign(this.record, outcome(error));
      this.save();
      return;
    }
    for (const task of this.job.cell.protocol.tasks) {
      this.stage(task);
      try {
        this.record.tasks[task] = await this.measure(engine, task);
      } catch (error) {
        const ended = outcome(error);
        this.record.tasks[task] = taskRecord(ended);
        if (task === "inference") {
          Object.assign(this.record, ended); // nothing else means anything without it
          break;
        }
      }
    }
    this.record.threads_reported = engine.describe().threads;
    this.stage("done");
  }

  /** Build the engine, load the weights. */
  async start(Engine) {
    this.stage("load");
    const engine = new Engine(this.job);
    const { backend, device } = engine.describe();
    Object.assign(this.record, { backend, device });
    resetPeak();
    this.record.memory.baseline_bytes = residentBytes();
    const begin = monotonicNs();
    await engine.load();
    this.record.load_s = (monotonicNs() - begin) * 1e-9;
    return engine;
  }

  /** Compile and time one task, then fetch and store what it computed. */
  async measure(engine, task) {
    if (OWN_PEAK.includes(task)) resetPeak();
    const begin = monotonicNs();
    await engine.prepare(task);
    await engine.run(task);
    const compile_s = (monotonicNs() - begin) * 1e-9;
    if (task === "inference") this.record.first_output_monotonic_s = monotonicNs() * 1e-9;
    console.log(`${task}: first result after ${compile_s.toFixed(2)} s`);

    const observe = (output) => [engine.firstTokenNs?.(output) ?? null, engine.deviceNs?.() ?? null];
    const timing = await measure(() => engine.run(task), this.job.cell.protocol, monotonicNs, observe);
    this.noteMemory(task, engine);
    console.log(`${task}: ${timing.samples_ns.length} samples`);

    const [firstTokens, deviceTimes] = [0, 1].map((index) => timing.observed.map((each) => each[index]));
    const whole = (values) => (values.includes(null) ? null : values);
    const figures = { device_ns: whole(deviceTimes) };
    if (task === "decode") {
      figures.first_token_ns = whole(firstTokens);
      figures.prompt_tokens = this.job.inputs(task).input_ids?.data.length ?? 0;
      figures.new_tokens = this.job.cell.decode_tokens;
    }
    this.keep(task, await engine.fetch(task, timing.result));
    const { warmup_ns, samples_ns, steady } = timing;
    return taskRecord({ compile_s, warmup_ns, steady, samples_ns, ...figures });
  }

  /** Put on record what the host and the device have held so far. */
  noteMemory(task, engine) {
    const { memory } = this.record;
    const key = `${OWN_PEAK.includes(task) ? task : "inference"}_peak_bytes`;
    memory[key] = Math.max(peakBytes(), memory[key] ?? 0);
    memory[`device_${task}_peak_bytes`] = engine.devicePeakBytes?.() ?? null;
  }

  /** Write the outputs; put the loss on the record, from the engine's own outputs. */
  keep(task, fetched) {
    if (task === "training") {
      this.record.training_loss = finite(fetched.loss);
      if (this.job.files.gradients) saveOwn(this.job.files.gradients, fetched.gradients);
      return;
    }
    const name = task === "decode" ? "tokens" : "output";
    this.outputs[`${task}.${name}`] = fetched[name];
    if (task === "inference") this.record.loss = this.loss(fetched.output);
    saveOwn(this.job.files.outputs, this.outputs);
  }

  loss(output) {
    try {
      return finite(loss(this.job.cell.loss, output, this.job.target()));
    } catch (error) {
      console.log(`loss not computed: ${words(error)}`); // a wrong shape: the gate says so in full
      return null;
    }
  }

  /** Put on record what is being done, so that a crash can be told apart. */
  stage(name) {
    this.record.compile_s = this.record.tasks.inference?.compile_s ?? null;
    this.record.network_attempts = this.job.offline ? unroutablePackets() : null;
    this.record.stage = name;
    this.save();
  }

  save() {
    const text = Buffer.from(JSON.stringify(this.record));
    orEnd(this.job.files.result, () => replace(this.job.files.result, [text]));
  }
}

function saveOwn(path, tensors) {
  orEnd(path, () => save(path, tensors));
}

/** What the system does not write of the arena's own files is no failure of the engine's: the process ends with
 * `STORAGE`, and nothing is recorded.
 */
function orEnd(path, write) {
  try {
    write();
  } catch (error) {
    if (error.syscall === undefined) throw error;
    const why = error.code === "ENOSPC" ? "No space left on device" : words(error); // as other languages say it
    console.error(`${path}: ${why}`);
    process.exit(STORAGE);
  }
}

/** JSON has no NaN; the gate judges the outputs. */
function finite(value) {
  return Number.isFinite(value) ? value : null;
}
