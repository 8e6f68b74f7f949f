/** Long arrays hashed on the JavaScript thread, with turns of the event loop for whatever else waits there. */
import { setImmediate } from 'node:timers/promises';

/** Bytes hashed between two turns: a few milliseconds. */
const TURN = 2 << 20;

/** A hash as far as it takes bytes. */
export interface Hashing {
  update(bytes: Uint8Array): unknown;
}

export async function updateInTurns(hash: Hashing, { buffer, byteOffset, byteLength }: ArrayBufferView): Promise<void> {
  for (let start = 0; start < byteLength; start += TURN) {
    hash.update(new Uint8Array(buffer, byteOffset + start, Math.min(TURN, byteLength - start)));
    await setImmediate();
  }
}
