/** Features silenced one by one, against logits worked out by hand from the maps. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { SliceSource } from '../../lib/dataset/slices';
import { withClasses } from '../../lib/dataset/views';
import { openReferenceEngine } from '../../lib/engine/reference';
import type { Features } from '../../lib/explanation/files';
import { featureHead } from '../../lib/explanation/head';
import { ablate, ablationPasses, scoreAblation } from '../../lib/faithfulness/ablation';
import { testFaithfulness } from '../../lib/faithfulness/run';
import { DiceCounts, hardDice } from '../../lib/inference/dice';
import { computeInfluence } from '../../lib/influence/run';
import { CLASSES as CLASS_NAMES, openTiny, SIZE, tinyNetwork, type Tiny } from '../influence/support/tiny';

const PIXELS = SIZE[0]! * SIZE[1]!;
const [SLICES, FEATURES, CLASSES] = [5, 3, 3];

let tiny: Tiny;
beforeAll(async () => void (tiny = await openTiny(2, SLICES)));
afterAll(async () => {
  await tiny.close();
  await rm(tiny.dir, { recursive: true, force: true });
});

/** Features of which some are selected for each class. */
const selection = (...selected: readonly number[][]): Features =>
  ({
    features: FEATURES,
    classes: selected.map((chosen, k) => ({
      class: `class ${k}`,
      features: Array.from({ length: FEATURES }, (_, feature) => ({ feature, selected: chosen.includes(feature) })),
    })),
  }) as unknown as Features;

/** Dice of each class over all slices, from maps [n, F, pixels] with some features zero and the head of the graph. */
async function diceWithout(silenced: readonly number[]): Promise<(number | null)[]> {
  const graph = tinyNetwork(2);
  const program = await openReferenceEngine().compile(graph, { size: SIZE });
  const { images, labels } = tiny.slices.train;
  const { features } = await program.forward(images, { features: true });
  program.dispose();
  const weight = graph.initializers.get('head.weight')!.data as Float32Array;
  const bias = graph.initializers.get('head.bias')!.data as Float32Array;
  const predicted = Uint8Array.from(labels, (_, at) => {
    const [slice, pixel] = [Math.floor(at / PIXELS), at % PIXELS];
    const logits = Array.from(bias, (start, c) => {
      let sum = start;
      for (let k = 0; k < FEATURES; k++)
        if (!silenced.includes(k)) sum += weight[c * FEATURES + k]! * features![(slice * FEATURES + k) * PIXELS + pixel]!;
      return sum;
    });
    return logits.indexOf(Math.max(...logits));
  });
  return hardDice(predicted, labels, CLASSES);
}

async function ablated(features: Features) {
  const checkpoint = tinyNetwork(2);
  const program = await openReferenceEngine().compile(checkpoint, { size: SIZE });
  let passes = 0;
  const onForward = (): void => void passes++;
  const head = featureHead(program.lowered, 'tiny');
  const resampling = { resamples: 50, seed: 1 };
  const options = { program, checkpoint, head, features, heldOut: tiny.train, draws: 30, together: 4, batch: 2, resampling, onForward };
  const classes = scoreAblation(await ablate(options));
  program.dispose();
  return { classes, passes };
}

test('drops, their means and sets silenced at once', async () => {
  const features = selection([0], [1, 2], []);
  const { classes, passes } = await ablated(features);
  expect(passes).toBe(ablationPasses(features, 4));
  const whole = await diceWithout([]);
  const single = [await diceWithout([0]), await diceWithout([1]), await diceWithout([2])];
  for (const [c, found] of classes.entries()) {
    expect(found.dice).toBeCloseTo(whole[c]!, 12);
    single.forEach((dice, k) => expect(found.drops[k]).toBeCloseTo(whole[c]! - dice[c]!, 12));
  }
  const [one, two, none] = classes;
  expect(one!.selected).toEqual([0]);
  expect(one!.selectedDrop).toBe(one!.drops[0]);
  expect(one!.unselectedDrop).toBeCloseTo((one!.drops[1]! + one!.drops[2]!) / 2, 12);
  expect(one!.difference.value).toBeCloseTo(one!.selectedDrop! - one!.unselectedDrop!, 12);
  expect(two!.together.drop).toBeCloseTo(whole[1]! - (await diceWithout([1, 2]))[1]!, 12);
  expect(two!.together.draws).toBe(4);
  expect(classes.flatMap(({ drops }) => drops).some((drop) => Math.abs(drop!) > 0.001)).toBe(true);
  expect(none).toMatchObject({ selected: [], selectedDrop: null, difference: { value: null }, together: { drop: null, draws: 0 } });
  expect(none!.random).toEqual({ draws: 0, quantiles: [null, null, null], beaten: null });
});

test('patients are what is resampled', async () => {
  const { classes } = await ablated(selection([0], [], []));
  expect(classes[0]!.difference.n).toBe(SLICES);
  const { low, value, high } = classes[0]!.difference;
  expect(low! <= value! && value! <= high!).toBe(true);
});

test('a class that no held-out patient has says nothing, though it is predicted', () => {
  const counted = (predicted: number, truth: number): DiceCounts => {
    const counts = new DiceCounts(1);
    [counts.predicted[0], counts.truth[0]] = [predicted, truth];
    return counts;
  };
  // Without feature 0 it is not predicted any more, without feature 1 it is.
  const [class0] = scoreAblation({
    whole: [counted(4, 0)],
    single: [[counted(0, 0)], [counted(3, 0)], [counted(4, 0)]],
    classes: [{ class: 'ET', selected: [1], unselected: [0, 2], sets: [[0], [1], [2]], together: undefined }],
    resampling: { resamples: 10, seed: 1 },
  });
  expect(class0).toMatchObject({
    dice: null,
    drops: [null, null, null],
    test: { u: null, p: null, effect: null },
    random: { quantiles: [null, null, null], beaten: null },
  });
});

test('held-out slices are taken with the classes of the study, or refused', async () => {
  const engine = openReferenceEngine();
  const { test: asked, train, networks, dir } = tiny;
  const study = await computeInfluence({ train, test: asked, networks, engine, definition: { region: 'truth' }, out: join(dir, 'study') });
  const slices = train.slices.map(({ index }, i) => ({ case: `held ${i}`, patient: `held ${i}`, index }));
  const ablationOf = async (changed: Partial<SliceSource>) => {
    const heldOut = { ...withClasses(train, train.classes), slices, ...changed };
    const budget = { resamples: 20, draws: 5, together: 1 };
    return (await testFaithfulness({ study, engine, test: asked, train, heldOut, budget, parts: ['ablation'] })).ablation;
  };
  const whole = await ablationOf({});
  expect(whole).toMatchObject({ patients: SLICES, classes: CLASS_NAMES.map((name) => ({ class: name, dice: expect.any(Number) })) });
  // Classes that are numbers are as many as occur in the labels.
  expect(await ablationOf({ classes: ['1', '2'] })).toEqual(whole);
  const refused = (message: RegExp) => ({ code: 'ERR_TRACIN_DATA', message });
  await expect(ablationOf({ classes: ['lesion'] })).rejects.toMatchObject(refused(/tells 3 foreground classes apart/));
  await expect(ablationOf({ size: [5, 6] })).rejects.toMatchObject(refused(/size 5, 6, those of .* 6, 5: prepare both alike/));
});
