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

export function engineRecord({ name, description, device, precision }: Engine): EngineRecord {
  return { name, description, device, precision };
}
