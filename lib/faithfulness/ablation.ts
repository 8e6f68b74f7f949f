/** Whether the features that influence singles out are the ones the network needs: each is silenced, and the Dice lost is measured. */
import { setImmediate } from 'node:timers/promises';
import type { SliceSource } from '../dataset/slices';
import type { Program } from '../engine/engine';
import { sizeOf } from '../engine/layout';
import type { Features } from '../explanation/files';
import type { FeatureHead } from '../explanation/head';
import { withInitializers } from '../graph/checkpoint';
import type { Graph } from '../graph/graph';
import { DiceCounts } from '../inference/dice';
import { argmaxLabels } from '../inference/labels';
import { generatorAt, shuffledOrder } from '../random';
import { readAhead } from '../read-ahead';
import { mannWhitney, mean, quantile } from '../statistics';
import { estimate, orNull, type Estimate, type Resampling } from './estimate';

/** Counts of pixels patient by patient: Dice is a ratio of sums, and patients are what is resampled. */
export type PatientCounts = readonly DiceCounts[];

export interface AblationOptions {
  /** Compiled for the study's network. */
  readonly program: Program;
  readonly checkpoint: Graph;
  readonly head: FeatureHead;
  readonly features: Features;
  /** Labelled slices of patients that neither trained the network nor took part in the selection. */
  readonly heldOut: SliceSource;
  /** Random sets of features as large as the selection whose mean drop it is held against. */
  readonly draws: number;
  /** Of these, sets that are silenced together. */
  readonly together: number;
  readonly batch: number;
  readonly resampling: Resampling;
  readonly signal?: AbortSignal | undefined;
  readonly onForward: () => void;
}

/** A class under ablation. */
export interface ClassAblation {
  readonly class: string;
  /** Hard Dice over all held-out slices, nothing silenced; null where the class does not occur. */
  readonly dice: number | null;
  /** drop_{k,c} = Dice_c − Dice_c without feature k, [F]. */
  readonly drops: readonly (number | null)[];
  readonly selected: readonly number[];
  /** Means of the drops. */
  readonly selectedDrop: number | null;
  readonly unselectedDrop: number | null;
  /** Their difference, resampled by held-out patient. */
  readonly difference: Estimate;
  /** Mann-Whitney of selected against unselected drops; `effect` is the rank-biserial correlation. */
  readonly test: { readonly u: number | null; readonly p: number | null; readonly effect: number | null };
  /** Mean drops of random sets as large as the selection: quantiles 2.5, 50, 97.5 %, and the share of draws that the selection beats. */
  readonly random: { readonly draws: number; readonly quantiles: readonly (number | null)[]; readonly beaten: number | null };
  /** The drop when all selected features are silenced at once, and the share of random sets, silenced at once, that lose less. */
  readonly together: { readonly drop: number | null; readonly draws: number; readonly beaten: number | null };
}

const DRAW = 73;

/** How many forward passes over the held-out slices {@link ablate} makes. */
export function ablationPasses({ features, classes }: Features, together: number): number {
  return 1 + features + classes.filter((_, k) => contested(classes, k)).length * (1 + together);
}

/** Whether a class has features both selected and not. */
function contested(classes: Features['classes'], k: number): boolean {
  const { features } = classes[k]!;
  return features.some(({ selected }) => selected) && !features.every(({ selected }) => selected);
}

export async function ablate(options: AblationOptions): Promise<ClassAblation[]> {
  const { features, together, draws, resampling } = options;
  const without = (silenced: readonly number[]): Promise<PatientCounts> => countWithout(silenced, options);
  const whole = await without([]);
  const single: PatientCounts[] = [];
  for (let k = 0; k < features.features; k++) single.push(await without([k]));
  const found: ClassAblation[] = [];
  for (const [c, { class: name, features: scores }] of features.classes.entries()) {
    const everyone = Int32Array.from(whole.keys());
    const selected = scores.flatMap(({ feature, selected: is }) => (is ? [feature] : []));
    const unselected = scores.flatMap(({ feature, selected: is }) => (is ? [] : [feature]));
    const dropsOf = (sample: Int32Array): number[] => {
      const dice = diceOf(whole, c, sample);
      return single.map((counts) => dice - diceOf(counts, c, sample));
    };
    const drops = dropsOf(everyone);
    const meanDrop = (chosen: readonly number[], of = drops): number => mean(chosen.map((k) => of[k]!));
    const sets = randomSets(scores.length, selected.length, draws, [resampling.seed, DRAW, c]);
    const random = sets.map((set) => meanDrop(set));
    const joint = { drop: NaN, others: [] as number[] };
    if (contested(features.classes, c)) {
      const dropWithout = async (set: readonly number[]): Promise<number> =>
        diceOf(whole, c, everyone) - diceOf(await without(set), c, everyone);
      joint.drop = await dropWithout(selected);
      for (const set of sets.slice(0, together)) joint.others.push(await dropWithout(set));
    }
    const { u, p, effect } = mannWhitney(selected.map((k) => drops[k]!), unselected.map((k) => drops[k]!)); // prettier-ignore
    found.push({
      class: name,
      dice: orNull(diceOf(whole, c, everyone)),
      drops: drops.map(orNull),
      selected,
      selectedDrop: orNull(meanDrop(selected)),
      unselectedDrop: orNull(meanDrop(unselected)),
      difference: estimate(
        whole.length,
        (sample) => {
          const of = dropsOf(sample);
          return meanDrop(selected, of) - meanDrop(unselected, of);
        },
        resampling,
      ),
      test: { u: orNull(u), p: orNull(p), effect: orNull(effect) },
      random: {
        draws: selected.length > 0 ? draws : 0,
        quantiles: [0.025, 0.5, 0.975].map((share) => orNull(quantile(random, share))),
        beaten: orNull(share(random, meanDrop(selected))),
      },
      together: { drop: orNull(joint.drop), draws: joint.others.length, beaten: orNull(share(joint.others, joint.drop)) },
    });
    await setImmediate();
  }
  return found;
}

/** Share of the values below one, equal ones counting half; NaN of none, or below NaN. */
function share(values: readonly number[], one: number): number {
  return Number.isNaN(one) ? NaN : mean(values.map((value) => (value < one ? 1 : value === one ? 0.5 : 0)));
}

/** Sets of `size` of `count` features. */
function randomSets(count: number, size: number, draws: number, [seed, purpose, c]: readonly [number, number, number]): number[][] {
  return Array.from({ length: draws }, (_, draw) => shuffledOrder(count, generatorAt(seed, purpose, c, draw)).slice(0, size));
}

/** Dice of class c over the patients of a sample; NaN where the class does not occur. */
function diceOf(patients: PatientCounts, c: number, sample: Int32Array): number {
  let [both, sum] = [0, 0];
  for (const i of sample) {
    const { predicted, truth, both: shared } = patients[i]!;
    both += shared[c]!;
    sum += predicted[c]! + truth[c]!;
  }
  return sum === 0 ? NaN : (2 * both) / sum;
}

/** Predicts the held-out slices with features silenced: the numbers of the head's kernel that read them are zero. */
async function countWithout(
  silenced: readonly number[],
  { program, checkpoint, head, heldOut, batch, signal, onForward }: AblationOptions,
): Promise<PatientCounts> {
  const kernel = Float32Array.from(checkpoint.initializers.get(head.kernel)!.data as Float32Array);
  const per = head.places.length / head.features;
  for (const k of silenced) for (const place of head.places.subarray(k * per, (k + 1) * per)) kernel[place] = 0;
  await program.load(withInitializers(checkpoint, new Map([[head.kernel, kernel]])));
  const pixels = sizeOf(heldOut.size);
  const channels = heldOut.classes.length + 1;
  const counts = new Map<string, DiceCounts>();
  const total = heldOut.slices.length;
  const batches = readAhead(Math.ceil(total / batch), async (item) => {
    const positions = Array.from({ length: Math.min(batch, total - item * batch) }, (_, i) => item * batch + i);
    return { positions, ...(await heldOut.read(positions, { signal })) };
  });
  for await (const { positions, images, labels } of batches) {
    const { logits } = await program.forward(images, { signal });
    for (const [i, position] of positions.entries()) {
      const { patient } = heldOut.slices[position]!;
      const predicted = argmaxLabels(logits.subarray(i * channels * pixels, (i + 1) * channels * pixels), channels, pixels);
      const known = counts.get(patient) ?? new DiceCounts(channels - 1);
      counts.set(patient, known.add(predicted, labels!.subarray(i * pixels, (i + 1) * pixels)));
      await setImmediate();
    }
  }
  onForward();
  return [...counts.values()];
}
