/** The flags of a painted region: "explain this spot". */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { readRegionMask } from '../dataset/region-mask';
import type { SliceSource } from '../dataset/slices';
import type { PaintedRegions } from '../influence/region-mask';
import { caseAndSlice } from './arguments';
import { usage } from './usage';

export interface RegionMaskFlags {
  readonly regionMask?: string;
  readonly regionOf?: ReturnType<typeof caseAndSlice>;
  readonly regionClass?: string;
}

export function addRegionMaskFlags(command: Command): Command {
  return command
    .option('--region-mask <file>', 'region painted on a test slice or volume (.nii.gz, .npy, .png), in place of that of --region')
    .option('--region-of <case[:slice]>', 'with --region-mask: where it is painted (default: the only test case)', caseAndSlice)
    .option('--region-class <name>', 'with --region-mask: the class whose region it is (default: every class)');
}

/** undefined without --region-mask. @throws ERR_TRACIN_USAGE when it is not clear which slice is painted */
export async function paintedRegions(
  flags: RegionMaskFlags,
  { test }: { readonly test: SliceSource | 'none' },
): Promise<PaintedRegions | undefined> {
  const { regionMask, regionOf, regionClass } = flags;
  if (regionMask === undefined) {
    if (regionOf ?? regionClass) throw usage('--region-of and --region-class belong to --region-mask: name the painted file with it');
    return undefined;
  }
  if (test === 'none') throw usage('--region-mask is painted on a test slice and --self has none: leave one of them out');
  const file = resolve(regionMask);
  const cases = [...new Set(test.slices.map((slice) => slice.case))];
  const name = regionOf?.case ?? cases[0]!;
  if (!regionOf && cases.length > 1)
    throw usage(`--region-mask is painted on one of ${cases.length} test cases: say which with --region-of`);
  if (!cases.includes(name)) throw usage(`--region-of ${name} is no test case: choose from ${cases.slice(0, 10).join(', ')}`);
  const indices = test.slices.flatMap((slice) => (slice.case === name ? [slice.index] : []));
  const mask = await readRegionMask(file, test, name);
  const slice = regionOf?.slice ?? (mask.slices || indices.length > 1 ? undefined : indices[0]);
  if (slice !== undefined && !indices.includes(slice))
    throw usage(`--region-of ${name}:${slice} is no test slice: choose from ${indices.join(', ')}`);
  if (!mask.slices && slice === undefined)
    throw usage(`${file} is one image, case ${name} has ${indices.length} test slices: say which with --region-of ${name}:SLICE`);
  return {
    file,
    class: regionClass,
    pixels({ case: other, index }) {
      if (other !== name || (slice !== undefined && index !== slice)) return undefined;
      return mask.slices && slice === undefined && !mask.slices.includes(index) ? undefined : mask.at(index);
    },
  };
}
