/** JSON files of ours: as people can read them, checked against a schema when read. */
import { readFile } from 'node:fs/promises';
import type { z } from 'zod';
import { TracinError } from './errors';
import { fileError } from './files';

/** JSON as people can read it and as two runs write it alike. */
export function toJson(value: unknown): string {
  return `${JSON.stringify(value, null, 1)}\n`;
}

/**
 * Reads and checks a JSON file.
 * @param formatVersion the one this version reads
 * @param remedy what to do about a damaged file
 * @returns undefined when there is no such file
 * @throws ERR_TRACIN_STUDY naming file and field
 */
export async function readJson<T>(path: string, schema: z.ZodType<T>, formatVersion: number, remedy: string): Promise<T | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw fileError(error, 'read', path);
  }
  const refuse = (what: string, cause?: unknown): TracinError => new TracinError('ERR_TRACIN_STUDY', `${path}: ${what}`, { cause });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw refuse(`is not valid JSON: ${remedy}`, cause);
  }
  const version = (json as { formatVersion?: unknown } | null)?.formatVersion;
  if (version !== undefined && version !== formatVersion) {
    throw refuse(`formatVersion ${JSON.stringify(version)} is unknown to this version, which reads ${formatVersion}: update tracin-seg`);
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw refuse(`${issue.path.map(String).join('.') || 'its content'}: ${issue.message}: ${remedy}`);
}
