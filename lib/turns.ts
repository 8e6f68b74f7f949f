/** Long work on the JavaScript thread, cut into pieces between which whatever else waits there has its turn. */
import { setImmediate } from 'node:timers/promises';

/** Milliseconds of work between two turns of the event loop. */
const TURN = 4;

/** Work that can pause after every piece, each of less than a millisecond or so: `inTurns` runs it with turns for others, `atOnce` in one go. */
export type Turns<T> = Generator<undefined, T, undefined>;

export function atOnce<T>(work: Turns<T>): T {
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
  }
}

export async function inTurns<T>(work: Turns<T>): Promise<T> {
  for (let began = performance.now(); ;) {
    const step = work.next();
    if (step.done) return step.value;
    if (performance.now() - began < TURN) continue;
    await setImmediate();
    began = performance.now();
  }
}
