/** Named tensors in safetensors files: 8 bytes with the header's length (little-endian), the header (JSON), the data.
 *
 * A tensor is {shape, data}: float32 data is a Float32Array, token ids and labels are a BigInt64Array.
 */

import fs from "node:fs";

const KINDS = { F32: Float32Array, I64: BigInt64Array };

/** Every tensor of the file by name. Throws an Error that names the file where it is no such file. */
export function load(path) {
  const file = fs.readFileSync(path);
  const length = file.length < 8 ? NaN : Number(file.readBigUInt64LE(0));
  if (!(8 + length <= file.length)) throw new Error(`${path}: not a whole safetensors file`);
  const header = JSON.parse(file.subarray(8, 8 + length).toString("utf8"));
  const found = {};
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const kind = KINDS[entry.dtype];
    if (!kind) throw new Error(`${path}: ${name} is ${entry.dtype}; expected F32 or I64`);
    const [begin, end] = entry.data_offsets.map((offset) => 8 + length + offset);
    if (end > file.length) throw new Error(`${path}: not a whole safetensors file (${name} ends behind it)`);
    const bytes = new Uint8Array(file.subarray(begin, end)); // a copy, which lies on a boundary of its kind
    found[name] = { shape: entry.shape, data: new kind(bytes.buffer) };
  }
  return found;
}

/** Write `tensors` to `path` under a temporary name, then rename. */
export function save(path, tensors) {
  const header = {};
  const parts = [];
  let offset = 0;
  for (const name of Object.keys(tensors).sort()) {
    const { shape, data } = tensors[name];
    const dtype = Object.keys(KINDS).find((each) => data instanceof KINDS[each]);
    if (!dtype || shape.reduce((product, size) => product * size, 1) !== data.length) {
      throw new TypeError(`${name}: ${data.length} values for shape [${shape}]; expected float32 or int64`);
    }
    header[name] = { dtype, shape, data_offsets: [offset, offset + data.byteLength] };
    parts.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    offset += data.byteLength;
  }
  const text = Buffer.from(JSON.stringify(header));
  const padded = Buffer.concat([text, Buffer.alloc((8 - (text.length % 8)) % 8, " ")]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  replace(path, [length, padded, ...parts]);
}

/** Write `parts` one after the other to `path`, under a temporary name first. */
export function replace(path, parts) {
  const part = `${path}.part`;
  const file = fs.openSync(part, "w");
  try {
    for (const bytes of parts) {
      let written = 0;
      while (written < bytes.length) written += fs.writeSync(file, bytes, written);
    }
  } finally {
    fs.closeSync(file);
  }
  fs.renameSync(part, path);
}
