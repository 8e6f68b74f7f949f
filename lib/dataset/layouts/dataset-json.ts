/** dataset.json, which nnU-Net and the Medical Segmentation Decathlon both have, with different fields. */
import { join } from 'node:path';
import type { z } from 'zod';
import { TracinError } from '../../errors';
import { isFile, readJsonText } from './folder';

/** Its fields as they are; undefined when there is no such file. */
export async function readDatasetJson(dir: string): Promise<Readonly<Record<string, unknown>> | undefined>;
/** Its fields, checked. */
export async function readDatasetJson<T>(dir: string, schema: z.ZodType<T>, example: string): Promise<T>;
export async function readDatasetJson(dir: string, schema?: z.ZodType, example = ''): Promise<unknown> {
  const path = join(dir, 'dataset.json');
  if (!schema && !(await isFile(path))) return undefined;
  const content = await readJsonText(path);
  if (!schema) return typeof content === 'object' && content !== null ? content : {};
  const parsed = schema.safeParse(content);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw new TracinError('ERR_TRACIN_DATA', `${path}: ${issue.path.map(String).join('.') || 'the file'}: ${issue.message}: ${example}`);
}

/**
 * The values of `{ "0": …, "1": … }` in order.
 * @throws ERR_TRACIN_DATA when the keys are not 0, 1, 2, …
 */
export function numbered(values: Readonly<Record<string, string>>, where: string): string[] {
  const count = Object.keys(values).length;
  const missing = Array.from({ length: count }, (_, i) => i).find((i) => values[i] === undefined);
  if (count > 0 && missing === undefined) return Array.from({ length: count }, (_, i) => values[i]!);
  throw new TracinError('ERR_TRACIN_DATA', `${where}: has no "${missing ?? 0}": number the channels 0, 1, 2, …`);
}
