/** Runs in a worker thread: draws one synthetic patient and writes its five files. */
import { join } from 'node:path';
import { serve, type ServedCall } from '../../worker-thread';
import { composeAffine, rotationOf } from '../affine';
import { BRATS_LABELS } from '../brats';
import { valuesOfLabels } from '../label-values';
import { headerOf, newVolume, writeVolume } from '../nifti-writer';
import { makeAnatomy } from './anatomy';
import { SCANNERS, acquire, drawSignals, type ScannerName } from './contrast';
import { corrupt, type Fault } from './faults';
import { gridOf, Random, type Grid } from './fields';
import { growTumour, planTumour, type TumourTraits } from './tumour';

export interface PatientRequest {
  readonly dir: string;
  readonly case: string;
  readonly size: number;
  readonly seed: number;
  readonly scanner: ScannerName;
  readonly traits: TumourTraits;
  readonly fault: { readonly fault: Fault; readonly amount: number } | undefined;
}

/** A head that lies a little askew in the scanner; x and y run to the left and back as in BraTS. */
function obliqueAffine({ shape, spacing }: Grid, random: Random): number[] {
  const [b, c, d] = [random.between(-0.09, 0.09), random.between(-0.06, 0.06), random.between(-0.06, 0.06)];
  const edges = [-spacing[0], -spacing[1], spacing[2]];
  const centred = composeAffine(rotationOf(b, c, d), edges, [0, 0, 0]);
  const middle = shape.map((n) => (n - 1) / 2);
  const origin = [0, 4, 8].map((row) => random.between(-5, 5) - middle.reduce((sum, at, axis) => sum + centred[row + axis]! * at, 0));
  return composeAffine(rotationOf(b, c, d), edges, origin);
}

async function writePatient(request: PatientRequest, call: ServedCall): Promise<void> {
  const random = new Random(request.seed);
  const grid = gridOf(request.size);
  const header = await headerOf(grid.shape, obliqueAffine(grid, random));
  const plan = planTumour(request.traits, random);
  const anatomy = makeAnatomy(grid, plan, random);
  const tumour = growTumour(grid, anatomy, plan, random);
  const signals = drawSignals(random);
  const fileOf = (suffix: string): string => join(request.dir, request.case, `${request.case}_${suffix}.nii.gz`);
  for (const [sequence, suffix] of ['t1', 't1ce', 't2', 'flair'].entries()) {
    call.throwIfAborted();
    const volume = await newVolume(header, 'int16', 'tracin-seg phantom');
    acquire(sequence, grid, anatomy, tumour, signals, SCANNERS[request.scanner], random, volume.voxels);
    await writeVolume(fileOf(suffix), volume);
  }
  const labels = request.fault ? corrupt(tumour.labels, grid.shape, request.fault.fault, request.fault.amount) : tumour.labels;
  const volume = await newVolume(header, 'uint8', 'tracin-seg phantom');
  volume.voxels.set(valuesOfLabels(labels, BRATS_LABELS));
  await writeVolume(fileOf('seg'), volume);
}

serve(() => ({
  async write(request: PatientRequest, call: ServedCall) {
    await writePatient(request, call);
    return { result: undefined };
  },
}));
