/**
 * Every failure a caller can meet has a stable code; the message is one line: what, where, what to do.
 * `ERR_TRACIN_INTERNAL` is ours to mend, every other code tells the caller about their input or machine.
 */
export type ErrorCode =
  | 'ERR_TRACIN_USAGE' // an option or argument that cannot be meant
  | 'ERR_TRACIN_DATA' // images, labels, headers, arrays, splits
  | 'ERR_TRACIN_GRAPH' // an ONNX file that cannot be read or run
  | 'ERR_TRACIN_CHECKPOINT' // a checkpoint of another network
  | 'ERR_TRACIN_STUDY' // a study or run folder that does not hold what it should
  | 'ERR_TRACIN_ENGINE' // an engine, provider or device that is missing or failed
  | 'ERR_TRACIN_MEMORY' // the work does not fit the memory it was given
  | 'ERR_TRACIN_IO' // reading or writing failed: disk full, permission, vanished file
  | 'ERR_TRACIN_ABORTED' // the caller's AbortSignal, or Ctrl-C
  | 'ERR_TRACIN_INTERNAL';

/** Codes that mean the caller gave something wrong; the command line ends with status 2 for these. */
const WRONG_INPUT: ReadonlySet<ErrorCode> = new Set([
  'ERR_TRACIN_USAGE',
  'ERR_TRACIN_DATA',
  'ERR_TRACIN_GRAPH',
  'ERR_TRACIN_CHECKPOINT',
  'ERR_TRACIN_STUDY',
]);

/** The only kind of error that calls of this package end with: a stable `code`, a message of one line, and the `cause` where there is one. */
export class TracinError extends Error {
  override readonly name = 'TracinError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    // Names out of damaged files must neither break the line nor reach a terminal as escape sequences.
    super(message.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' '), options);
    this.code = code;
  }

  /** Exit status of a command that ends with this error: 2 wrong input, 130 interrupted, 1 anything else. */
  get exitCode(): 1 | 2 | 130 {
    if (this.code === 'ERR_TRACIN_ABORTED') return 130;
    return WRONG_INPUT.has(this.code) ? 2 : 1;
  }
}

/** Throws `ERR_TRACIN_ABORTED` once the signal has fired; call it wherever work can stop cleanly. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new TracinError('ERR_TRACIN_ABORTED', 'interrupted', { cause: signal.reason });
}
