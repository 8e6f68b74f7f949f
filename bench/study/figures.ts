/** The paper's two figures of features, by its published code's definition. */
import { join } from 'node:path';
import { featurePaths, readFeatureArray, readFeatures } from '../../lib/explanation/files';
import { replaceFile } from '../../lib/files';
import { openStudy } from '../../lib/influence/study';
import { mean } from '../../lib/statistics';
import { drawAblationDensity } from '../../lib/report/ablation-density';
import { FILE_INK, loadDrawing } from '../../lib/report/charts';
import { interpretativeMap } from '../../lib/report/feature-report';
import { drawInterpretativeMap } from '../../lib/report/interpretative-map';
import { unitPaths, type UnitName } from './recipe';
import type { PaperUnit } from './unit';

/** The network whose interpretative maps are drawn. */
const SHOWN: UnitName = { network: 'attention-unet', seed: 1 };

/** Writes `interpretative-map-CLASS.svg` of one network and `ablation-CLASS.svg` of the features of all. */
export async function drawFigures(work: string, units: readonly PaperUnit[], folder: string): Promise<void> {
  const drawing = await loadDrawing();
  const study = await openStudy(unitPaths(work, SHOWN).paperStudy);
  const features = await readFeatures(study);
  const importance = await readFeatureArray(featurePaths(study.dir).importance);
  for (const [k, name] of study.classes.entries()) {
    const file = (what: string): string => join(folder, `${what}-${name.replaceAll(/\W+/g, '-')}.svg`);
    const map = drawInterpretativeMap(features, interpretativeMap(features, importance, k), k, drawing, FILE_INK);
    await replaceFile(file('interpretative-map'), `${map.text}\n`);
    await replaceFile(file('ablation'), `${drawAblationDensity(pooled(units, name), k, drawing, FILE_INK).text}\n`);
  }
}

/** The features of all networks as if they were one's. */
export function pooled(units: readonly PaperUnit[], name: string): Parameters<typeof drawAblationDensity>[0] {
  const all = units.flatMap(({ ablation }) => ablation.filter((one) => one.class === name));
  const drops = all.flatMap((one) => one.drops);
  const selected = all.flatMap((one, i) =>
    one.selected.map((k) => k + all.slice(0, i).reduce((sum, before) => sum + before.drops.length, 0)),
  );
  const meanOf = (is: boolean): number => mean(drops.filter((drop, k) => drop !== null && selected.includes(k) === is) as number[]);
  const [first] = all as [(typeof all)[number]];
  return { ...structuredClone(first), drops, selected, selectedDrop: meanOf(true), unselectedDrop: meanOf(false) } as never;
}
