/** External data: tensors whose bytes lie in a file beside the model (onnx.proto, `TensorProto.external_data`). */
import { open, realpath } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative, sep } from 'node:path';
import { fileError } from '../../files';
import { graphError } from './errors';
import type { ModelProto, TensorProto } from './schema';
import { byteLength } from './tensor';

function tensorsOf(model: ModelProto): TensorProto[] {
  const nodes = model.graph?.node ?? [];
  const inAttributes = nodes.flatMap((node) => node.attribute.flatMap((attribute) => (attribute.t ? [attribute.t] : [])));
  return [...(model.graph?.initializer ?? []), ...inAttributes];
}

/** The data file of a tensor; it must lie in the model's folder, links followed. */
async function locate(location: string, what: string, path: string): Promise<string> {
  const outside = (): Error => graphError(path, `${what} names the data file '${location}', which is outside the model's folder`);
  const folder = await realpath(dirname(path));
  const plain = relative(folder, join(folder, location));
  if (location === '' || isAbsolute(location) || plain === '..' || plain.startsWith(`..${sep}`)) throw outside();
  let file: string;
  try {
    file = await realpath(join(folder, location));
  } catch (error) {
    throw graphError(path, `${what} is stored in '${location}', which cannot be opened: put it beside the model`, error);
  }
  if (!file.startsWith(folder.endsWith(sep) ? folder : folder + sep)) throw outside();
  return file;
}

function wholeNumber(text: string | undefined, fallback: number, field: string, what: string, path: string): number {
  if (text === undefined) return fallback;
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (!Number.isSafeInteger(value)) throw graphError(path, `${what} has external ${field} '${text}': it must be a number of bytes`);
  return value;
}

async function readRange(file: string, location: string, offset: number, length: number, what: string, path: string): Promise<Uint8Array> {
  const handle = await open(file, 'r').catch((error: unknown) => {
    throw fileError(error, 'read', file);
  });
  try {
    const { size } = await handle.stat();
    if (offset + length > size) {
      throw graphError(path, `${what} needs bytes ${offset} to ${offset + length} of '${location}', which has ${size}: copy it again`);
    }
    const bytes = new Uint8Array(length);
    let filled = 0;
    while (filled < length) {
      const { bytesRead } = await handle.read(bytes, filled, length - filled, offset + filled);
      if (bytesRead === 0) throw graphError(path, `'${location}' became shorter while it was read`);
      filled += bytesRead;
    }
    return bytes;
  } finally {
    await handle.close();
  }
}

/** Reads every external tensor of the model at `path` into its `rawData`. */
export async function loadExternalData(model: ModelProto, path: string): Promise<void> {
  for (const tensor of tensorsOf(model)) {
    if (tensor.dataLocation !== 1) continue;
    const what = `tensor '${tensor.name ?? ''}'`;
    const entries = new Map(tensor.externalData.map(({ key, value }) => [key ?? '', value ?? '']));
    const location = entries.get('location') ?? '';
    const expected = byteLength(tensor, what, path);
    const offset = wholeNumber(entries.get('offset'), 0, 'offset', what, path);
    const length = wholeNumber(entries.get('length'), expected, 'length', what, path);
    if (length !== expected)
      throw graphError(path, `${what} needs ${expected} bytes but its external length is ${length}: export it again`);
    const file = await locate(location, what, path);
    tensor.rawData = await readRange(file, location, offset, length, what, path);
  }
}
