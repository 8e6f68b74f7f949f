/** ONNX files, opset 9 to 22: read into a Graph and written from one. */
import { readFile } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { fileError, replaceFile } from '../files';
import { updateInTurns, type Hashing } from '../hash';
import { anyPath, check } from '../kinds';
import type { Graph, Tensor } from './graph';
import { loadExternalData } from './onnx/external';
import { assemble, decodeModel, encodeModel, graphOf } from './onnx/model';
import { decodeTensor } from './onnx/tensor';

/** Bytes of tensors decoded between two turns of the event loop. */
const TURN = 4 * 2 ** 20;

/**
 * Reads a model; external data must lie beside it.
 * @throws TracinError ERR_TRACIN_IO, or ERR_TRACIN_GRAPH for a file that is damaged or holds what is not supported
 */
export async function readOnnx(path: string): Promise<Graph> {
  check('readOnnx', { path }, { path: anyPath });
  return readHashed(path, undefined);
}

/** As {@link readOnnx}. @param hash is given the bytes of the file */
export async function readHashed(path: string, hash: Hashing | undefined): Promise<Graph> {
  const bytes = await readFile(path).catch((error: unknown) => {
    throw fileError(error, 'read', path);
  });
  if (hash) await updateInTurns(hash, bytes);
  const model = decodeModel(bytes, path);
  await loadExternalData(model, path);
  const tensors: Tensor[] = [];
  let decoded = 0;
  for (const proto of graphOf(model, path).initializer) {
    const tensor = decodeTensor(proto, `initializer '${proto.name ?? ''}'`, path);
    tensors.push(tensor);
    decoded += tensor.data.byteLength;
    if (decoded >= TURN) {
      decoded = 0;
      await nextTurn();
    }
  }
  return assemble(model, tensors, path);
}

/** A model from its bytes; one with external data needs `readOnnx`. @param source for messages */
export function parseOnnx(bytes: Uint8Array, source: string): Graph {
  const model = decodeModel(new Uint8Array(bytes), source);
  const tensors = graphOf(model, source).initializer.map((proto) => decodeTensor(proto, `initializer '${proto.name ?? ''}'`, source));
  return assemble(model, tensors, source);
}

/** The bytes of the graph as one ONNX file, all data inside. */
export function serialiseOnnx(graph: Graph): Uint8Array {
  return Buffer.concat(encodeModel(graph));
}

/** Writes the graph as one ONNX file, aside and renamed. The graph's tensors must not change until it is done. */
export async function writeOnnx(path: string, graph: Graph): Promise<void> {
  await replaceFile(path, encodeModel(graph));
}
