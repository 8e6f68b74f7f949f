/** Influence maps: which pixels of a training slice pushed a test region, which pulled, and which of the test slice felt it. */
import { setImmediate } from 'node:timers/promises';
import { changeFile } from '../change-file';
import type { Affine } from '../dataset/affine';
import { caseOrSlice, type SliceSource } from '../dataset/slices';
import { sizeOf } from '../engine/layout';
import { openedEngine, type Engine, type Floats, type Program, type RegionBatch, type RegionLoss } from '../engine/engine';
import { TracinError, throwIfAborted } from '../errors';
import { selectParameters } from '../graph/parameters';
import { regionBatches, type Role, type Side } from '../influence/batches';
import { regionLoss } from '../influence/definition';
import { NORMALISATIONS, type Normalisation } from '../influence/normalisation';
import { rank } from '../influence/ranking';
import { MOVED, reopenNetworks, reopenSides, SIDES, type ReopenedSides } from '../influence/reopen';
import { openedStudy, type Study } from '../influence/study';
import { toJson } from '../json';
import { CALL, callback, check, list, oneOf, optional, shape, text, whole, type Kinds } from '../kinds';
import { readNpy, writeNpy } from '../npy';
import type { OnProgress } from '../progress';
import { mapKey, mapName, mapPaths, readMaps, type MapEntry } from './map-files';
import { addInfluence } from './map-pixels';

/** A test region and a training region. */
export type MapPair = Pick<MapEntry, 'test' | 'class' | 'train' | 'trainClass'>;

/** The study that maps are made of, and what computes them. */
export interface PairMapOptions {
  readonly study: Study;
  readonly engine: Engine;
  /** In place of what the study says it was computed from. */
  readonly sources?: Partial<Readonly<Record<Role, SliceSource>>> | undefined;
  /** Where data and checkpoints lie now, when not where study.json says. */
  readonly data?: string | undefined;
  readonly run?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Stage `maps`, in passes through the network. */
  readonly onProgress?: OnProgress | undefined;
  /** Told of each map once its file is written, e.g. to draw it. */
  readonly onMap?: ((view: MapView) => Promise<void>) | undefined;
}

/** The test region whose strongest training regions are mapped. */
export interface MapOptions extends PairMapOptions {
  /** Without a slice: the one in which the class has most pixels. */
  readonly test: { readonly case: string; readonly slice?: number | undefined };
  /** Of the test region. */
  readonly class: string;
  /** Of the training regions: a name, or `all`; the same class by default. */
  readonly trainClass?: string | undefined;
  /** Proponents, and as many opponents; default 3. */
  readonly top?: number | undefined;
  /** What they are chosen by; default none, T itself. Maps are of T whatever this is. */
  readonly normalize?: Normalisation | undefined;
}

const PAIR_OPTIONS: Kinds<PairMapOptions> = {
  ...CALL,
  ...MOVED,
  study: openedStudy,
  engine: openedEngine,
  sources: optional(shape<NonNullable<PairMapOptions['sources']>>(SIDES)),
  onMap: optional(callback),
};
const OPTIONS: Kinds<MapOptions> = {
  ...PAIR_OPTIONS,
  test: caseOrSlice,
  class: text,
  trainClass: optional(text),
  top: optional(whole(1)),
  normalize: optional(oneOf(NORMALISATIONS)),
};
const slice = shape<MapPair['test']>({ case: text, slice: whole(0) });
const PAIRS = list(shape<MapPair>({ test: slice, class: text, train: slice, trainClass: text }));

/** A map with the slice it is over. */
export interface MapView {
  readonly entry: MapEntry;
  /** [H, W] */
  readonly map: Float32Array;
  /** [M, H, W] */
  readonly images: Float32Array;
  readonly modalities: readonly string[];
  /** [H, W], 1 inside the region that the map sums over. */
  readonly mask: Uint8Array;
  /** [H, W] */
  readonly size: readonly number[];
  /** Class the region is of. */
  readonly class: string;
  /** Voxel to RAS millimetres; undefined where there are no volumes. */
  readonly affine: Affine | undefined;
  /** Absolute, without ending. */
  readonly path: string;
}

/** The share of a map's total weight by which its sum may miss T: bfloat16 studies miss by most of it, float32 by a millionth. */
const MISS = 0.02;

/**
 * Writes into STUDY/maps (see {@link mapPaths}), for the strongest training regions of each sign, the map on the training slice and on the
 * test slice; each sums to T. Maps that are there already are kept, others of the folder too.
 * @returns the maps of this question, from the strongest proponent to the strongest opponent, the training slice's before the test slice's
 * @throws ERR_TRACIN_USAGE a region that is not there; ERR_TRACIN_DATA where a sum is not T, as the data are not the study's;
 *   otherwise, where data or checkpoints are gone or have changed, ERR_TRACIN_DATA or ERR_TRACIN_CHECKPOINT
 */
export async function computeMaps(options: MapOptions): Promise<MapEntry[]> {
  check('computeMaps', options, OPTIONS);
  options = { ...options }; // their owner may change them meanwhile
  const { study, test, class: name, trainClass, normalize, top = 3, signal } = options;
  const { test: region, ...lists } = await rank(study, { test, class: name, trainClass, top, normalize });
  const chosen = [...lists.proponents.filter(({ score }) => score > 0), ...lists.opponents.filter(({ score }) => score < 0).reverse()];
  const pairs = chosen.map((neighbour): MapPair => ({
    test: { case: region.case, slice: region.slice },
    class: name,
    train: { case: neighbour.case, slice: neighbour.slice },
    trainClass: neighbour.class,
  }));
  const { wanted, known, missing } = await wantedMaps(study, pairs);
  const made: MapEntry[] = [];
  if (missing.length > 0) {
    throwIfAborted(signal);
    const sides = await reopenSides(study, { ...options.sources, data: options.data, signal });
    try {
      const slices = sliceReader(sides, study, signal);
      const computed = await compute(missing, slices, options);
      for (const one of computed) {
        made.push(await write(one, sides, slices, options));
      }
    } finally {
      await sides.close();
    }
    // Maps of other questions may have come meanwhile.
    await changeFile(mapPaths(study.dir).index, async () => {
      const all = new Map([...(await readMaps(study)), ...made].map((entry) => [mapKey(entry), entry]));
      return toJson([...all.values()]);
    });
  }
  for (const entry of made) known.set(mapKey(entry), entry);
  return wanted.map(({ entry }) => known.get(mapKey(entry))!);
}

/** One of the two maps of a pair. */
export interface PairMap extends MapPair {
  readonly side: Role;
  /** T */
  readonly score: number;
  /** [H, W], over the slice of `side` */
  readonly map: Float32Array;
}

/**
 * The maps of any pairs of regions, in memory: those in STUDY/maps are read, the others computed; nothing is written. A direction or a slice
 * that pairs share is computed once.
 * @param options without an engine nothing is computed, and maps that are not there are left out
 * @returns two for each pair, in their order, the training slice's first
 * @throws as {@link computeMaps}
 */
export async function pairMaps(
  pairs: readonly MapPair[],
  options: Omit<PairMapOptions, 'engine'> & { readonly engine?: Engine | undefined },
): Promise<PairMap[]> {
  check('pairMaps', { pairs, options }, { pairs: PAIRS, options: shape({ ...PAIR_OPTIONS, engine: optional(openedEngine) }) });
  options = { ...options }; // their owner may change them meanwhile
  const { study, engine, signal } = options;
  const { wanted, known, missing } = await wantedMaps(study, pairs);
  const computed = new Map<string, Float32Array>();
  if (engine && missing.length > 0) {
    const sides = await reopenSides(study, { ...options.sources, data: options.data, signal });
    try {
      for (const one of await compute(missing, sliceReader(sides, study, signal), { ...options, engine })) {
        const map = Float32Array.from(one.map);
        checkedSum(map, one.wanted, study);
        computed.set(mapKey(one.wanted.entry), map);
      }
    } finally {
      await sides.close();
    }
  }
  const found: PairMap[] = [];
  for (const one of wanted) {
    const key = mapKey(one.entry);
    const stored = missing.includes(one) ? undefined : mapPaths(study.dir).file(known.get(key)!.file);
    const map = stored === undefined ? computed.get(key) : ((await readNpy(stored)).data as Float32Array);
    if (map) found.push({ ...one.entry, map });
  }
  return found;
}

/** Both maps of each pair, those the folder has, and those it has not. */
async function wantedMaps(study: Study, pairs: readonly MapPair[]) {
  const wanted: Wanted[] = [];
  for (const pair of pairs) wanted.push(...(await bothSides(study, pair)));
  const known = new Map((await readMaps(study)).map((entry) => [mapKey(entry), entry]));
  // Under other η_t T is another, and so is its map.
  const missing = wanted.filter(({ entry }) => known.get(mapKey(entry))?.score !== entry.score);
  return { wanted, known, missing };
}

interface Place {
  readonly row: number;
  readonly k: number;
}

interface Wanted {
  readonly entry: Omit<MapEntry, 'sum' | 'file' | 'volume'>;
  readonly test: Place;
  readonly train: Place;
}

/** @throws ERR_TRACIN_USAGE for a region that the study does not have */
function placeOf(study: Study, side: Role, { case: name, slice }: MapPair[Role], region: string): Place {
  const { slices } = side === 'test' ? study.tests : study.trainings;
  const row = slices.findIndex((one) => one.case === name && one.index === slice);
  const k = study.classes.indexOf(region);
  if (row >= 0 && k >= 0) return { row, k };
  const what =
    k < 0 ? `no class ${region}: choose from ${study.classes.join(', ')}` : `no ${side} slice ${slice} of ${name}: name one it has`;
  throw new TracinError('ERR_TRACIN_USAGE', `${study.dir} has ${what}`);
}

/** The two maps of a pair of regions. */
async function bothSides(study: Study, pair: MapPair): Promise<Wanted[]> {
  const { classes, trainings } = study;
  const test = placeOf(study, 'test', pair.test, pair.class);
  const train = placeOf(study, 'train', pair.train, pair.trainClass);
  const scores = await study.scores(test.row);
  const entry = { ...pair, score: scores[(test.k * trainings.slices.length + train.row) * classes.length + train.k]! };
  return (['train', 'test'] as const).map((side) => ({ entry: { ...entry, side }, test, train }));
}

/** A slice as the engines take it. */
type Slice = RegionBatch;

interface Computed {
  readonly wanted: Wanted;
  readonly map: Float64Array;
}

/** Checkpoint by checkpoint: v = ∇L of one side's region, ḟ = J·v on the other side's slice, once for all of its classes. */
async function compute(missing: readonly Wanted[], slices: SliceReader, options: PairMapOptions): Promise<Computed[]> {
  const { study, engine, signal, onProgress } = options;
  const { definition, learningRates, record } = study;
  const loss = regionLoss(definition);
  const networks = await reopenNetworks(study, { run: options.run, signal });
  const all = missing.map((wanted): Computed => ({ wanted, map: new Float64Array(sizeOf(record.size)) }));
  // Each direction is one gradient; the slices it moves are one tangent pass each.
  const moves = movesOf(all);
  const passes = moves.reduce((sum, { slices }) => sum + 1 + slices.size, 0) * learningRates.filter((rate) => rate !== 0).length;
  let done = 0;
  const tell = (): void => onProgress?.({ stage: 'maps', done: done++, total: passes });
  tell();
  const parameters = selectParameters(networks.lowered, definition.parameters);
  const program = await engine.compile(networks.graph, { size: record.size, output: record.output, parameters });
  try {
    for (const [t, checkpoint] of networks.checkpoints.entries()) {
      const rate = learningRates[t]!;
      if (rate === 0) continue;
      await program.load(await networks.read(checkpoint));
      for (const move of moves) {
        const direction = await gradientOf(program, await slices(move.from, move.place.row), move.place.k, loss, signal);
        tell();
        for (const [row, maps] of move.slices) {
          const slice = await slices(move.from === 'test' ? 'train' : 'test', row);
          const moved = await program.tangent(direction, slice.images, { signal });
          for (const { wanted, map } of maps) {
            addTerm(map, slice, moved, wanted[wanted.entry.side].k, loss, rate);
            await setImmediate();
          }
          tell();
        }
      }
    }
  } finally {
    program.dispose();
  }
  return all;
}

/** A region whose gradient is a direction, and the maps it makes on slices of the other side. */
interface Move {
  readonly from: Role;
  readonly place: Place;
  /** By row of the other side. */
  readonly slices: Map<number, Computed[]>;
}

function movesOf(all: readonly Computed[]): Move[] {
  const moves = new Map<string, Move>();
  for (const one of all) {
    const { side } = one.wanted.entry;
    const from = side === 'train' ? 'test' : 'train';
    const place = one.wanted[from];
    const key = `${from} ${place.row} ${place.k}`;
    const move = moves.get(key) ?? { from, place, slices: new Map<number, Computed[]>() };
    const { row } = one.wanted[side];
    move.slices.set(row, [...(move.slices.get(row) ?? []), one]);
    moves.set(key, move);
  }
  return [...moves.values()];
}

type SliceReader = (role: Role, row: number) => Promise<Slice>;

/** Slices with their regions, each read once. */
function sliceReader(sides: ReopenedSides, study: Study, signal?: AbortSignal): SliceReader {
  const read = new Map<string, Slice>();
  return async (role, row) => {
    const known = read.get(`${role} ${row}`) ?? (await readSlice(sides[role], study, row, signal));
    read.set(`${role} ${row}`, known);
    return known;
  };
}

async function readSlice(side: Side, { definition }: Study, row: number, signal?: AbortSignal): Promise<Slice> {
  for await (const slice of regionBatches(side, definition, { start: row, end: row + 1 }, 1, signal)) return slice;
  throw new TracinError('ERR_TRACIN_INTERNAL', `no slice at row ${row}`);
}

/** ∇L of class k of a slice, [P]. */
async function gradientOf(program: Program, slice: Slice, k: number, loss: RegionLoss, signal?: AbortSignal): Promise<Floats> {
  const pixels = slice.targets.length;
  const masks = new Uint8Array(slice.masks.length);
  masks.set(maskOf(slice, k), k * pixels);
  const { gradients } = await program.gradients({ ...slice, masks }, loss, { signal });
  return gradients.subarray(k * program.parameterCount, (k + 1) * program.parameterCount);
}

function maskOf({ masks, targets }: Slice, k: number): Uint8Array {
  return masks.subarray(k * targets.length, (k + 1) * targets.length);
}

function addTerm(
  map: Float64Array,
  slice: Slice,
  moved: { readonly logits: Floats; readonly tangents: Floats },
  k: number,
  loss: RegionLoss,
  rate: number,
): void {
  addInfluence(map, { ...moved, targets: slice.targets, mask: maskOf(slice, k), label: k + 1 }, loss, rate);
}

async function write(
  { wanted, map: exact }: Computed,
  sides: ReopenedSides,
  slices: SliceReader,
  { study, onMap, signal }: PairMapOptions,
): Promise<MapEntry> {
  throwIfAborted(signal);
  const paths = mapPaths(study.dir);
  const { side } = wanted.entry;
  const { row, k } = wanted[side];
  const { case: name, index } = sides[side].source.slices[row]!;
  const map = Float32Array.from(exact);
  const base = mapName(wanted.entry);
  const dataset = sides.datasets[side];
  const ending = dataset?.endings(name).map;
  const volume = ending === undefined || ending === '.npy' ? null : `${base}${ending}`;
  const entry: MapEntry = { ...wanted.entry, sum: checkedSum(map, wanted, study), file: `${base}.npy`, volume };
  await writeNpy(paths.file(entry.file), study.record.size, map);
  if (volume !== null) await dataset!.writeMap(name, paths.file(volume), new Map([[index, map]]));
  const slice = await slices(side, row);
  await onMap?.({
    entry,
    map,
    images: slice.images,
    modalities: sides[side].source.modalities,
    mask: maskOf(slice, k),
    size: study.record.size,
    class: study.classes[k]!,
    affine: dataset?.geometry(name).affine,
    path: paths.file(base),
  });
  return entry;
}

/** @throws ERR_TRACIN_DATA where the map is not one of T: the data or the engine are not those of the study */
function checkedSum(map: Float32Array, { entry: { score, test, train } }: Wanted, { dir }: Study): number {
  let [sum, weight] = [0, 0];
  for (const value of map) {
    sum += value;
    weight += Math.abs(value);
  }
  if (Math.abs(sum - score) <= MISS * weight) return sum;
  const pair = `case ${train.case}, slice ${train.slice} on case ${test.case}, slice ${test.slice}`;
  throw new TracinError(
    'ERR_TRACIN_DATA',
    `the map of ${pair} sums to ${sum.toExponential(4)}, but T in ${dir} is ${score.toExponential(4)}: open the data it was computed from`,
  );
}
