/** STUDY/audit: the order in which labels should be looked at, kept for whoever shows it. */
import { join } from 'node:path';
import { z } from 'zod';
import { readJson } from '../json';
import type { Audit } from './audit';
import { FOUND_BY } from './planted';

const FORMAT_VERSION = 1;

const figure = z.number().nullable();
const auditSchema = z.object({
  order: z.enum(FOUND_BY),
  evidence: z.string(),
  classes: z.array(z.string()),
  patients: z.array(
    z.object({
      rank: z.int().positive(),
      patient: z.string(),
      slices: z.int(),
      scores: z.partialRecord(z.enum(FOUND_BY), figure),
      selfInfluenceByClass: z.array(figure),
      worst: z.object({ case: z.string(), slice: z.int() }),
    }),
  ),
});

export function auditPaths(dir: string) {
  const folder = join(dir, 'audit');
  return { folder, record: join(folder, 'audit.json') };
}

/** audit.json as it is written. */
export function auditRecord(audit: Audit): object {
  return { formatVersion: FORMAT_VERSION, ...audit };
}

/** Undefined where a study has not been audited. @throws ERR_TRACIN_STUDY for a file that is damaged */
export async function readAudit(dir: string): Promise<Audit | undefined> {
  return readJson<Audit>(auditPaths(dir).record, auditSchema, FORMAT_VERSION, 'audit the study again');
}
