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
import { mannWhitney, mean, quantile, type Resampling } from '../statistics';
import { estimate, orNull, type Estimate } from './estimate';

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
  /** Hard Dice over all held-out slices, nothing silenced; null where no label is of the class. */
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

/** Pixels counted with features silenced; plain data. */
export interface AblationCounts {
  readonly whole: PatientCounts;
  /** Without each feature, [F]. */
  readonly single: readonly PatientCounts[];
  readonly classes: readonly {
    readonly class: string;
    readonly selected: readonly number[];
    readonly unselected: readonly number[];
    /** Random sets as large as the selection. */
    readonly sets: readonly (readonly number[])[];
    /** Without all that are selected, and without the first of the random sets; undefined where there are none or no others. */
    readonly together: { readonly selected: PatientCounts; readonly others: readonly PatientCounts[] } | undefined;
  }[];
  readonly resampling: Resampling;
}

/** The forward passes; {@link scoreAblation} makes figures of them. */
export async function ablate(options: AblationOptions): Promise<AblationCounts> {
  const { features, together, draws, resampling } = options;
  const without = (silenced: readonly number[]): Promise<PatientCounts> => countWithout(silenced, options);
  const whole = await without([]);
  const single: PatientCounts[] = [];
  for (let k = 0; k < features.features; k++) single.push(await without([k]));
  const classes: AblationCounts['classes'][number][] = [];
  for (const [c, { class: name, features: scores }] of features.classes.entries()) {
    const chosen = (wanted: boolean): number[] => scores.flatMap(({ feature, selected }) => (selected === wanted ? [feature] : []));
    const [selected, unselected] = [chosen(true), chosen(false)];
    const sets = randomSets(scores.length, selected.length, draws, [resampling.seed, DRAW, c]);
    let joint: AblationCounts['classes'][number]['together'];
    if (contested(features.classes, c)) {
      const others: PatientCounts[] = [];
      const all = await without(selected);
      for (const set of sets.slice(0, together)) others.push(await without(set));
      joint = { selected: all, others };
    }
    classes.push({ class: name, selected, unselected, sets, together: joint });
  }
  return { whole, single, classes, resampling };
}

export function scoreAblation({ whole, single, classes, resampling }: AblationCounts): ClassAblation[] {
  const everyone = Int32Array.from(whole.keys());
  return classes.map(({ class: name, selected, unselected, sets, together }, c): ClassAblation => {
    const dropOf = (counts: PatientCounts, sample: Int32Array): number => diceOf(whole, c, sample) - diceOf(counts, c, sample);
    const drops = single.map((counts) => dropOf(counts, everyone));
    const meanDrop = (chosen: readonly number[]): number => mean(chosen.map((k) => drops[k]!));
    const random = sets.map(meanDrop);
    const all = together ? dropOf(together.selected, everyone) : NaN;
    const others = together?.others.map((counts) => dropOf(counts, everyone)) ?? [];
    const difference = (sample: Int32Array): number => {
      const mine = (chosen: readonly number[]): number => mean(chosen.map((k) => dropOf(single[k]!, sample)));
      return mine(selected) - mine(unselected);
    };
    const { u, p, effect } = mannWhitney(selected.map((k) => drops[k]!), unselected.map((k) => drops[k]!)); // prettier-ignore
    return {
      class: name,
      dice: orNull(diceOf(whole, c, everyone)),
      drops: drops.map(orNull),
      selected,
      selectedDrop: orNull(meanDrop(selected)),
      unselectedDrop: orNull(meanDrop(unselected)),
      difference: estimate(whole.length, difference, resampling),
      test: { u: orNull(u), p: orNull(p), effect: orNull(effect) },
      random: {
        draws: selected.length > 0 ? sets.length : 0,
        quantiles: [0.025, 0.5, 0.975].map((share) => orNull(quantile(random, share))),
        beaten: orNull(share(random, meanDrop(selected))),
      },
      together: { drop: orNull(all), draws: others.length, beaten: orNull(share(others, all)) },
    };
  });
}

/** Share of the values below one, equal ones counting half; NaN of none, or below NaN. */
function share(values: readonly number[], one: number): number {
  return Number.isNaN(one) ? NaN : mean(values.map((value) => (value < one ? 1 : value === one ? 0.5 : 0)));
}

/** Sets of `size` of `count` features. */
function randomSets(count: number, size: number, draws: number, [seed, purpose, c]: readonly [number, number, number]): number[][] {
  return Array.from({ length: draws }, (_, draw) => shuffledOrder(count, generatorAt(seed, purpose, c, draw)).slice(0, size));
}

/** Dice of class c over the patients of a sample; NaN where none of them has the class, however much of it is predicted. */
function diceOf(patients: PatientCounts, c: number, sample: Int32Array): number {
  let [predicted, truth, both] = [0, 0, 0];
  for (const i of sample) {
    const counts = patients[i]!;
    predicted += counts.predicted[c]!;
    truth += counts.truth[c]!;
    both += counts.both[c]!;
  }
  return truth === 0 ? NaN : (2 * both) / (predicted + truth);
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
