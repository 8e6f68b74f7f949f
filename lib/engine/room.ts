/** Arrays that may be larger than there is memory for. */
import { TracinError } from '../errors';

interface Numbers<T> {
  readonly BYTES_PER_ELEMENT: number;
  new (count: number): T;
}

/** An array of zeros. @throws ERR_TRACIN_MEMORY naming `what` it is for where there is no memory for it */
export function room<T>(kind: Numbers<T>, count: number, what: string): T {
  try {
    return new kind(count);
  } catch (cause) {
    const bytes = count * kind.BYTES_PER_ELEMENT;
    throw new TracinError('ERR_TRACIN_MEMORY', `${what}: ${bytes} bytes do not fit the memory: ask for less at once`, { cause });
  }
}
