/** What TRACIN_PROFILE has the cpu engine write (native/cpu/profile.h). */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';

/** By kind of layer and pass; `operations` of convolutions inside their boxes. */
const spentSchema = z.object({ type: z.string(), pass: z.string(), seconds: z.number(), operations: z.number() });
export type Spent = z.infer<typeof spentSchema>;

/** Where the time went, by kind of layer and pass, largest first. */
export async function readProfile(path: string): Promise<Spent[]> {
  const all = new Map<string, Spent>();
  for (const line of (await readFile(path, 'utf8')).trim().split('\n')) {
    const { type, pass, seconds, operations } = spentSchema.parse(JSON.parse(line));
    const so = all.get(`${type} ${pass}`) ?? { type, pass, seconds: 0, operations: 0 };
    all.set(`${type} ${pass}`, { ...so, seconds: so.seconds + seconds, operations: so.operations + operations });
  }
  return [...all.values()].sort((a, b) => b.seconds - a.seconds);
}
