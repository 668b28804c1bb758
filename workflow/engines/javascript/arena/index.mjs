/** What the engines in JavaScript share: the counterpart of `workflow/engines/arena/`, which has the same in Rust.
 *
 * An engine is a class with these methods, of which any may be asynchronous, and calls `main`:
 *
 *   constructor(job)          configure threads, device and precision
 *   describe()                {backend, device, threads}: texts, and threads as the engine reports them, or null
 *   load()                    weights from disk to host memory: load_s
 *   prepare(task)             build and compile; inputs and weights are on the device afterwards
 *   run(task)                 one iteration of the task that was prepared last; ends when its result is there
 *   fetch(task, output)       to the host, untimed: {output: tensor}, {tokens: tensor} or {loss, gradients}
 *   firstTokenNs(output)      of decode: nanoseconds until the first new token was known
 *   deviceNs()                the iteration by the device's own clock, or null; left out, there is none
 *   devicePeakBytes()         device memory by its own count; the same
 *
 * What it cannot do it throws as `Unsupported(code, why)`, a weight that is not in a file as `MissingTensor`.
 */

export { Job } from "./contract.mjs";
export { MissingTensor, Unsupported } from "./failures.mjs";
export { main } from "./run.mjs";
