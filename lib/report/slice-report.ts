/** One test slice: its pictures, and for each of its regions the training regions that pushed and pulled. */
import type { MapPair } from '../explanation/maps';
import type { RegionAxis } from '../influence/folder';
import type { Normalisation } from '../influence/normalisation';
import { rank, type RankedRegion, type Ranking } from '../influence/ranking';
import type { Role } from '../influence/batches';
import type { WholeStudyOptions } from '../influence/study';
import type { Stability } from '../faithfulness/stability-file';
import type { CaseDice } from '../inference/dice-table';
import type { Album, Shelf } from './album';
import type { ReportSubject } from './build';
import type { MapLayers } from './map-layers';
import type { PicturedRanking, PicturedRegion, RegionReport, SliceReport } from './model';
import { TracinError } from '../errors';

type Slice = RegionAxis['slices'][number];

/** The rankings a report shows: how much a region weighed, and how alike it is. */
export const SHOWN: readonly Normalisation[] = ['none', 'cosine'];
const BY = ['slice', 'patient'] as const;

/** Each class of BraTS is shown where it is seen best; other data in their first modality. */
const BEST_SEEN: Readonly<Record<string, string>> = { 'NCR/NET': 'T1ce', ED: 'FLAIR', ET: 'T1ce' };

/** The modality in which a class is shown. */
export function bestSeenIn(name: string, modalities: readonly string[]): string {
  const best = BEST_SEEN[name];
  return best !== undefined && modalities.includes(best) ? best : modalities[0]!;
}

/** What is worth showing of a slice, before anything is drawn; the regions that are there alone have rankings. */
export interface RankedSlice {
  readonly slice: Slice;
  readonly row: number;
  /** [K] */
  readonly rankings: readonly (readonly Ranking[])[];
}

/** What is told along with the rankings of a slice. */
export interface Beside {
  readonly dice: readonly CaseDice[] | undefined;
  readonly maps: MapLayers | undefined;
  readonly stability: Stability | undefined;
}

export class SliceReporter {
  readonly #subject: ReportSubject;
  readonly #top: number;
  /** Absent where the data are not at hand. */
  readonly shelves: Readonly<Record<Role, Shelf>> | undefined;
  /** Rows on the slice axes of the study. */
  readonly #rows: Readonly<Record<Role, ReadonlyMap<string, number>>>;

  constructor(subject: ReportSubject, album: Album, top: number) {
    const { study, test, train } = subject;
    this.#subject = subject;
    this.#top = top;
    this.shelves = test && train && { test: album.shelf(test), train: album.shelf(train) };
    this.#rows = { test: rowsOf(study.tests), train: rowsOf(study.trainings) };
  }

  /** @throws ERR_TRACIN_DATA when the study does not have the slice */
  async rank(slice: Slice, options: WholeStudyOptions): Promise<RankedSlice> {
    const { study } = this.#subject;
    const row = this.#row('test', slice.case, slice.index);
    const rankings: Ranking[][] = [];
    for (const [k, name] of study.classes.entries()) {
      const ofRegion: Ranking[] = [];
      if (study.tests.pixels[row]![k]! > 0) {
        for (const by of BY) for (const normalize of SHOWN) ofRegion.push(await this.#rank(slice, { class: name, by, normalize }, options));
      }
      rankings.push(ofRegion);
    }
    return { slice, row, rankings };
  }

  /** @throws ERR_TRACIN_DATA when the sources do not have the slice */
  async report({ slice, row, rankings }: RankedSlice, beside: Beside): Promise<SliceReport> {
    const { study } = this.#subject;
    const shelf = this.shelves?.test;
    const pictures = [];
    for (const modality of shelf?.modalities ?? []) pictures.push({ modality, picture: await shelf!.draw(slice, modality) });
    const labels = (await shelf?.read(slice))?.labels;
    const predicted = await study.predicted('test', row);
    const outlines = (map: Uint8Array | undefined): string[] | undefined => map && shelf?.outlines(slice.case, map, study.classes.length);
    const painted = await study.painted(row);
    const [ofPrediction, ofTruth, ofPaint] = [outlines(predicted), outlines(labels), outlines(painted)];
    const regions: RegionReport[] = [];
    for (const [k, name] of study.classes.entries()) {
      const pictured: PicturedRanking[] = [];
      for (const ranking of rankings[k]!) pictured.push(await this.#picture(ranking, beside));
      const modality = shelf && bestSeenIn(name, shelf.modalities);
      regions.push({
        class: name,
        pixels: study.tests.pixels[row]![k]!,
        picture: pictures.find((one) => one.modality === modality)?.picture,
        outline: ofPaint ? ofPaint[0] : (study.definition.region === 'predicted' ? ofPrediction : ofTruth)?.[k],
        rankings: pictured,
      });
    }
    return {
      ...{ case: slice.case, patient: slice.patient, slice: slice.index },
      ...{ pictures, regions, predicted: ofPrediction, truth: ofTruth },
      dice: beside.dice?.find((one) => one.case === slice.case)?.dice,
    };
  }

  async #rank(slice: Slice, query: Pick<Ranking, 'by' | 'normalize'> & { class: string }, options: WholeStudyOptions): Promise<Ranking> {
    const { study } = this.#subject;
    const test = { case: slice.case, slice: slice.index };
    const ranking = await rank(study, { ...query, test, top: this.#top }, undefined, options);
    const { proponents, opponents } = ranking;
    return {
      ...ranking,
      proponents: proponents.filter(({ score }) => score > 0),
      opponents: opponents.filter(({ score }) => score < 0),
    };
  }

  async #picture({ dominance: _, ...ranking }: Ranking, { maps, stability }: Beside): Promise<PicturedRanking> {
    const pictures = async (regions: readonly RankedRegion[]): Promise<PicturedRegion[]> => {
      const pictured: PicturedRegion[] = [];
      for (const region of regions) {
        const shown = await this.#shown(region);
        pictured.push({ ...region, shown, maps: maps?.(pairOf(ranking, region)), stable: isStable(stability, ranking, region) });
      }
      return pictured;
    };
    return {
      ...ranking,
      proponents: await pictures(ranking.proponents),
      opponents: await pictures(ranking.opponents),
    };
  }

  async #shown(region: RankedRegion): Promise<PicturedRegion['shown']> {
    const { study } = this.#subject;
    const shelf = this.shelves?.train;
    if (!shelf) return undefined;
    const row = this.#row('train', region.case, region.slice);
    const slice = study.trainings.slices[row]!;
    const modality = bestSeenIn(region.class, shelf.modalities);
    const isPredicted = study.definition.region === 'predicted';
    const labels = (isPredicted ? await study.predicted('train', row) : undefined) ?? (await shelf.read(slice)).labels!;
    const outlines = shelf.outlines(region.case, labels, study.classes.length);
    return { modality, picture: await shelf.draw(slice, modality), outline: outlines[study.classes.indexOf(region.class)]! };
  }

  #row(role: Role, name: string, index: number): number {
    const row = this.#rows[role].get(`${index} ${name}`);
    if (row !== undefined) return row;
    throw new TracinError(
      'ERR_TRACIN_DATA',
      `${this.#subject.study.dir}: has no ${role} slice ${index} of case ${name}: report studies of the same test slices together`,
    );
  }
}

/** Which rankings get influence maps: the raw one by slice, or all of them; a pair that is in several has them in each. */
export const MAPPED = ['raw', 'all'] as const;
/** Which rankings get influence maps. */
export type Mapped = (typeof MAPPED)[number];

/** The pairs of regions that some slices show, as far as they are to have maps. */
export function pairsOf(slices: readonly RankedSlice[], mapped: Mapped): MapPair[] {
  const all = slices.flatMap((one) => one.rankings.flat());
  const rankings = all.filter(({ by, normalize }) => mapped === 'all' || (by === 'slice' && normalize === 'none'));
  return rankings.flatMap((ranking) => [...ranking.proponents, ...ranking.opponents].map((region) => pairOf(ranking, region)));
}

function pairOf({ test }: Pick<Ranking, 'test'>, region: RankedRegion): MapPair {
  return {
    test: { case: test.case, slice: test.slice },
    class: test.class,
    train: { case: region.case, slice: region.slice },
    trainClass: region.class,
  };
}

/** Of a proponent: whether every study that was compared has it on its list. */
function isStable(
  stability: Stability | undefined,
  { test, by, normalize }: Omit<Ranking, 'dominance'>,
  region: RankedRegion,
): boolean | undefined {
  if (stability?.by !== by || stability.normalize !== normalize || region.score <= 0 || region.class !== test.class) return undefined;
  const of = stability.regions.find((one) => one.case === test.case && one.slice === test.slice && one.class === test.class);
  return of?.stable.some((one) =>
    by === 'patient' ? one.patient === region.patient : one.case === region.case && one.slice === region.slice,
  );
}

function rowsOf({ slices }: RegionAxis): Map<string, number> {
  return new Map(slices.map((slice, row) => [`${slice.index} ${slice.case}`, row]));
}
