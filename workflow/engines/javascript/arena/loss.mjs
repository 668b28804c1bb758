/** The two losses of the workloads, in float64: what the engine's own outputs are scored with.
 *
 * The same formulas as `workflow/scripts/arena/judging/losses.py`.
 */

/** `cross_entropy`: mean over positions of log(sum(exp(logits))) - logits[label], the maximum subtracted before exp.
 * `mse`: mean over elements of (output - target)². Nothing is shifted. Throws an Error where the shapes do not fit.
 */
export function loss(kind, output, target) {
  if (kind === "cross_entropy") return crossEntropy(output, target);
  if (kind === "mse") return mse(output, target);
  throw new Error(`loss ${kind}: expected cross_entropy or mse`);
}

function crossEntropy(output, target) {
  const classes = output.shape.at(-1) ?? 0;
  if (classes === 0 || output.data.length !== classes * target.data.length) {
    throw new Error(`${target.data.length} labels for an output of shape [${output.shape}]`);
  }
  let total = 0;
  for (let position = 0; position < target.data.length; position += 1) {
    const logits = output.data.subarray(position * classes, (position + 1) * classes);
    const label = Number(target.data[position]);
    if (!(label >= 0 && label < classes)) throw new Error(`a label outside 0…${classes - 1}`);
    const shift = logits.reduce((most, logit) => Math.max(most, logit), -Infinity);
    const sum = logits.reduce((partial, logit) => partial + Math.exp(logit - shift), 0);
    total += shift + Math.log(sum) - logits[label];
  }
  return total / target.data.length;
}

function mse(output, target) {
  if (String(output.shape) !== String(target.shape) || output.data.length === 0) {
    throw new Error(`output of shape [${output.shape}]; expected the target's [${target.shape}]`);
  }
  const squares = output.data.reduce((sum, value, index) => sum + (value - target.data[index]) ** 2, 0);
  return squares / output.data.length;
}
