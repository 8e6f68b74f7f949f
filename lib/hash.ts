/** Long arrays hashed on the JavaScript thread, with turns of the event loop for whatever else waits there. */
import type { Hash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';

/** Bytes hashed between two turns: a few milliseconds. */
const TURN = 2 << 20;

export async function updateInTurns(hash: Hash, { buffer, byteOffset, byteLength }: ArrayBufferView): Promise<void> {
  for (let start = 0; start < byteLength; start += TURN) {
    hash.update(new Uint8Array(buffer, byteOffset + start, Math.min(TURN, byteLength - start)));
    await setImmediate();
  }
}
