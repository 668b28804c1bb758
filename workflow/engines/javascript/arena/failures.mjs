/** Why something did not work; the codes are those of docs/design.md, "Reason codes". */

/** The engine cannot do this, and that is an answer: shown as — with its reason. `why` is one sentence. */
export class Unsupported extends Error {
  constructor(code, why) {
    super(why);
    this.code = code;
  }
}

/** A file lacks a tensor that is needed. */
export class MissingTensor extends Error {}

/** Status and reason of an error, by their keys in the record. */
export function outcome(error) {
  const [status, code] =
    error instanceof Unsupported
      ? ["unsupported", error.code]
      : ["failed", error instanceof MissingTensor ? "missing-tensor" : "error"];
  const detail = words(error).slice(0, 500);
  console.log(`${status}: ${code}: ${detail}`);
  if (code === "error" && error?.stack) console.log(error.stack);
  return { status, reason: { code, detail } };
}

/** What an error says, on one line. */
export function words(error) {
  const text = String(error?.message ?? error);
  return text.split(/\s+/).filter(Boolean).join(" ");
}
