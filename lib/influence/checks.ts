/** Whether data, network and definition of an influence fit each other; asked before anything is computed or written. */
import { sliceSource, type SliceSource } from '../dataset/slices';
import { withClasses } from '../dataset/views';
import { openedEngine } from '../engine/engine';
import { TracinError, type ErrorCode } from '../errors';
import type { Lowered } from '../graph/lowered';
import {
  CALL,
  anyPath,
  anything,
  callback,
  check,
  either,
  flag,
  has,
  json,
  list,
  number,
  object,
  optional,
  shape,
  text,
  whole,
  type Kinds,
} from '../kinds';
import type { Role } from './batches';
import type { Definition } from './definition';
import type { InfluenceOptions } from './job';
import type { FileSource } from './networks';
import type { PaintedRegions } from './region-mask';

type Sources = Readonly<Record<Role, SliceSource>>;

const OPTIONS: Kinds<InfluenceOptions> = {
  ...CALL,
  train: sliceSource,
  test: either((value) => value === 'none', anything, sliceSource),
  networks: either(
    has('run'),
    shape({ run: anyPath, checkpoints: optional(list(whole(1))) }),
    shape<FileSource>(
      { network: optional(anyPath), checkpoints: list(anyPath), learningRates: optional(list(number)), map: anything },
      '{ run: FOLDER }, or { checkpoints: FILES, learningRates }',
    ),
  ),
  output: optional(text),
  regionMask: optional(shape<PaintedRegions>({ pixels: callback, class: optional(text), file: optional(anyPath) })),
  definition: optional(object),
  out: anyPath,
  engine: either(Array.isArray, list(openedEngine), openedEngine),
  memory: optional(whole(1)),
  resident: optional(whole(1)),
  batch: optional(whole(1)),
  resume: optional(flag),
  classes: optional(list(text)),
  datasets: optional(shape({ test: optional(json), train: optional(json) })),
  onPlan: optional(callback),
  onNotice: optional(callback),
};

/** @throws ERR_TRACIN_USAGE naming the option that is not what it has to be */
export function checkCall(call: string, options: InfluenceOptions): void {
  check(call, options, OPTIONS);
  if ([options.engine].flat().length === 0) fail('ERR_TRACIN_USAGE', `${call}: engine is an empty list: give at least one engine`);
}

/**
 * @param self whether no test slices are meant to be there
 * @param painted whether the region of every class is painted on the test slices
 * @throws ERR_TRACIN_DATA for an empty side, missing labels, or sides of different size, modalities or classes
 */
export function checkSources({ test, train }: Sources, definition: Definition, { self = false, painted = false }): void {
  if (!self && test.slices.length === 0) fail('ERR_TRACIN_DATA', 'there are no test slices: choose other cases or slices');
  if (train.slices.length === 0) fail('ERR_TRACIN_DATA', 'there are no training slices: choose other cases or slices');
  if (!train.labelled) fail('ERR_TRACIN_DATA', 'the training slices have no labels, without which they have no loss: add them');
  if (!test.labelled && definition.target === 'truth') {
    fail('ERR_TRACIN_DATA', 'the test slices have no labels: add them, or hold them against their predicted labels (--target predicted)');
  }
  if (!test.labelled && definition.region === 'truth' && !painted) {
    fail('ERR_TRACIN_DATA', 'the test slices have no labels to take regions from: add them, or choose --region predicted');
  }
  for (const what of ['size', 'modalities'] as const) {
    if (test[what].join() !== train[what].join()) {
      fail(
        'ERR_TRACIN_DATA',
        `test slices have ${what} ${test[what].join(', ')}, training slices ${train[what].join(', ')}: prepare both alike`,
      );
    }
  }
}

/**
 * The sources with the study's class names, K of them: those given, else the sources' own; classes that are mere numbers
 * (of arrays, which know no more labels than occur) are counted up to K.
 * @throws ERR_TRACIN_DATA when the network takes other modalities or tells another number of classes apart, or the sides name
 *   them differently; ERR_TRACIN_USAGE for wrong class names
 */
export function matchNetwork({ test, train }: Sources, lowered: Lowered, network: string, given: readonly string[] | undefined): Sources {
  const modalities = lowered.values[lowered.input]!.dims[0]!;
  const count = lowered.values[lowered.logits]!.dims[0]! - 1;
  if (modalities !== train.modalities.length) {
    fail(
      'ERR_TRACIN_DATA',
      `${network} takes ${modalities} modalities, the data has ${train.modalities.length} (${train.modalities.join(', ')})`,
    );
  }
  const twice = given?.find((name, i) => name === '' || given.indexOf(name) !== i);
  if (given && (given.length !== count || twice !== undefined)) {
    fail('ERR_TRACIN_USAGE', `class names ${given.join(', ')}: give ${count} different ones, in label order, as the network has`);
  }
  const own = (source: SliceSource): readonly string[] => {
    const { classes } = source;
    const numbered = classes.every((name, i) => name === String(i + 1)) && classes.length <= count;
    if (!numbered && classes.length !== count) {
      const data = `the data has ${classes.length} (${classes.join(', ')})`;
      fail('ERR_TRACIN_DATA', `${network} tells ${count} foreground classes apart, ${data}: use the network trained for them`);
    }
    return numbered ? Array.from({ length: count }, (_, i) => String(i + 1)) : classes;
  };
  const [testNames, trainNames] = [own(test), own(train)];
  if (!given && testNames.join() !== trainNames.join()) {
    fail('ERR_TRACIN_DATA', `test slices have classes ${testNames.join(', ')}, training slices ${trainNames.join(', ')}: label both alike`);
  }
  return { test: withClasses(test, given ?? testNames), train: withClasses(train, given ?? trainNames) };
}

function fail(code: ErrorCode, message: string): never {
  throw new TracinError(code, message);
}
