/** The engine as run.json and study.json keep it. */
import { z } from 'zod';
import { PRECISIONS, type Engine } from './engine';

export const engineSchema = z.strictObject({
  name: z.string(),
  description: z.string(),
  /** As `--device` names it; absent in files older than devices. */
  device: z.string().optional(),
  /** f32 in files older than precisions. */
  precision: z.enum(PRECISIONS).default('f32'),
});
export type EngineRecord = z.infer<typeof engineSchema>;

/** Of several engines, which are of one name and precision: each by its device. */
export function engineRecord(engine: Engine | readonly Engine[]): EngineRecord {
  const engines = [engine].flat();
  const { name, precision } = engines[0]!;
  const joined = (of: 'description' | 'device', between: string): string => engines.map((one) => one[of]).join(between);
  return { name, description: joined('description', '; '), device: joined('device', ','), precision };
}
