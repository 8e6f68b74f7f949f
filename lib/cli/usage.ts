import { TracinError } from '../errors';

/** Flags that cannot be meant together, or lack one. */
export function usage(message: string): TracinError {
  return new TracinError('ERR_TRACIN_USAGE', message);
}
