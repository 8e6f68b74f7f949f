/** What the demo asks about a finished study, so that its page has something to say on every part: seconds, not the hours of a full test. */
import type { SliceSource } from '../dataset/slices';
import type { Engine } from '../engine/engine';
import { audit } from '../faithfulness/audit';
import { auditPaths, auditRecord, readAudit } from '../faithfulness/audit-files';
import { readFindings } from '../faithfulness/findings';
import { testFaithfulness } from '../faithfulness/run';
import { replaceFile } from '../files';
import type { Study } from '../influence/study';
import { toJson } from '../json';
import type { OnProgress } from '../progress';

export interface LookIntoOptions {
  readonly study: Study;
  readonly engine: Engine;
  readonly test: SliceSource;
  readonly train: SliceSource;
  /** Of patients that had no part in the study. */
  readonly heldOut: SliceSource;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: OnProgress | undefined;
}

/** Features, whether they and influence go together and are needed, and labels to look at; what a folder has already is not done again. */
export async function lookInto(options: LookIntoOptions): Promise<void> {
  const { dir } = options.study;
  if (!(await readFindings(dir))) await testFaithfulness({ ...options, parts: ['correlation', 'ablation'] });
  if (!(await readAudit(dir))) await replaceFile(auditPaths(dir).record, toJson(auditRecord(await audit(options))));
}
