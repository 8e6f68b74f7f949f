/** Errors that tests measure, kept for the bench's table of the GPU. */
import { appendFileSync } from 'node:fs';

/** Appends a line of JSON to the file that TRACIN_ERRORS names; nothing without it. */
export function record(engine: string, subject: string, quantity: string, error: number): void {
  const file = process.env.TRACIN_ERRORS;
  if (file) appendFileSync(file, `${JSON.stringify({ engine, subject, quantity, error })}\n`);
}
