import type { Reporter } from './progress';

/** What every command gets besides its flags. */
export interface Context {
  /** Fires on Ctrl-C. */
  readonly signal: AbortSignal;
  readonly reporter: Reporter;
}

/** Adds a usage example to the end of a command's help. */
export function example(...lines: readonly string[]): string {
  return `\nExample:\n${lines.map((line) => `  ${line}`).join('\n')}`;
}
