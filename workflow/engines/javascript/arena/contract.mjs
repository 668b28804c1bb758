/** The records that an engine shares with the arena: the job it reads, the measurement it writes.
 *
 * Key by key those of `workflow/scripts/arena/contract/cell.py` and `measured.py`, where each is described; tests hold
 * both to the schemas in `workflow/schemas/`.
 */

import fs from "node:fs";

import { load } from "./tensors.mjs";
import { MissingTensor } from "./failures.mjs";

const WARMUP = ["min_iterations", "min_seconds", "max_seconds", "window", "tolerance"];
const SAMPLING = ["min_iterations", "min_seconds", "max_seconds"];
const PROTOCOL = ["tasks", "warmup", "sampling", "exclusive", "offline", "seed", "energy_seconds", "node"];
const CELL = [
  ...["platform", "model", "row", "framework", "lane", "accelerator", "interface", "definition", "loss", "options"],
  ...["environment", "distribution", "libraries", "threads", "decode_tokens", "protocol", "unsupported"],
  ...["unsupported_tasks", "predicts"],
];
const FILES = [
  ...["weights", "config", "inputs", "cache", "result", "outputs", "gradients", "export", "decode_export", "adapter"],
  ...["program", "build", "first"],
];

/** One round of a cell: `cell` is what is measured, `files` with which files. */
export class Job {
  constructor(fields) {
    Object.assign(this, fields);
  }

  /** Read the job file. Throws an Error that names it and the key where it is none. */
  static read(path) {
    const refuse = (why) => {
      throw new Error(`${path}: ${why}`);
    };
    let fields;
    try {
      fields = JSON.parse(fs.readFileSync(path, "utf8"));
    } catch (error) {
      refuse(error.message);
    }
    const check = (record, keys, place) => {
      if (record === null || typeof record !== "object") refuse(`${place || "the job"}: expected an object`);
      const missing = keys.find((key) => !(key in record));
      const unknown = Object.keys(record).find((key) => !keys.includes(key));
      if (missing) refuse(`${place}${missing}: missing`);
      if (unknown) refuse(`${place}${unknown}: unknown`);
    };
    if ("cell" in Object(fields)) check(fields.cell, CELL, "cell.");
    check(fields, ["cell", "round", "files", "offline"], "");
    check(fields.files, FILES, "files.");
    check(fields.cell.protocol, PROTOCOL, "cell.protocol.");
    check(fields.cell.protocol.warmup, WARMUP, "cell.protocol.warmup.");
    check(fields.cell.protocol.sampling, SAMPLING, "cell.protocol.sampling.");
    return new Job(fields);
  }

  /** Arguments of the forward pass by name; training runs on the inference inputs. For `decode`: `input_ids`. */
  inputs(task) {
    const prefix = task === "training" ? "inference." : `${task}.`;
    const all = Object.entries(load(this.files.inputs)).filter(([name]) => name.startsWith(prefix));
    return Object.fromEntries(all.map(([name, tensor]) => [name.slice(prefix.length), tensor]));
  }

  /** Labels (integers) or regression target (float32) of the loss. */
  target() {
    const { target } = load(this.files.inputs);
    if (!target) throw new MissingTensor(`${this.files.inputs}: no target`);
    return target;
  }
}

const MEMORY = [
  ...["baseline_bytes", "inference_peak_bytes", "decode_peak_bytes", "training_peak_bytes"],
  ...["inference", "latency", "decode", "training"].map((task) => `device_${task}_peak_bytes`),
];
const MEASURED = [
  ...["reason", "version", "backend", "device", "threads_reported", "import_s", "load_s", "compile_s"],
  ...["first_output_monotonic_s", "network_attempts", "loss", "training_loss"],
];
const TASK = [
  ...["reason", "compile_s", "warmup_ns", "steady", "samples_ns", "device_ns", "energy", "first_token_ns"],
  ...["prompt_tokens", "new_tokens"],
];

const nulls = (names) => Object.fromEntries(names.map((name) => [name, null]));

/** A record of nothing yet. */
export function begun() {
  return { status: "ok", stage: "import", ...nulls(MEASURED), memory: nulls(MEMORY), tasks: {} };
}

/** The record of one task in one process. */
export function taskRecord(known) {
  return { status: "ok", ...nulls(TASK), ...known };
}
