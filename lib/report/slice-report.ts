/** One test slice: its pictures, and for each of its regions the training regions that pushed and pulled. */
import type { RegionAxis } from '../influence/folder';
import type { Normalisation } from '../influence/normalisation';
import { rank, type RankedRegion } from '../influence/ranking';
import type { Role } from '../influence/batches';
import type { Album, Shelf } from './album';
import type { ReportSubject } from './build';
import type { PicturedRanking, PicturedRegion, RegionReport, SliceReport } from './model';
import { TracinError } from '../errors';

type Slice = RegionAxis['slices'][number];

/** The rankings a report shows: how much a region weighed, and how alike it is. */
export const SHOWN: readonly Normalisation[] = ['none', 'cosine'];

/** What test slices are shown in, and each class of BraTS where it is seen best; other data are shown in their first modality. */
const MODALITIES = ['FLAIR', 'T1ce'];
const BEST_SEEN: Readonly<Record<string, string>> = { 'NCR/NET': 'T1ce', ED: 'FLAIR', ET: 'T1ce' };

/** The modality in which a class is shown. */
export function bestSeenIn(name: string, modalities: readonly string[]): string {
  const best = BEST_SEEN[name];
  return best !== undefined && modalities.includes(best) ? best : modalities[0]!;
}

export class SliceReporter {
  readonly #subject: ReportSubject;
  readonly #top: number;
  readonly #shelves: Readonly<Record<Role, Shelf>>;
  /** Rows on the slice axes of the study. */
  readonly #rows: Readonly<Record<Role, ReadonlyMap<string, number>>>;

  constructor(subject: ReportSubject, album: Album, top: number) {
    const { study } = subject;
    this.#subject = subject;
    this.#top = top;
    this.#shelves = { test: album.shelf(subject.test), train: album.shelf(subject.train) };
    this.#rows = { test: rowsOf(study.tests), train: rowsOf(study.trainings) };
  }

  /** @throws ERR_TRACIN_DATA when the study or its source does not have the slice */
  async report(slice: Slice): Promise<SliceReport> {
    const { study, dice } = this.#subject;
    const shelf = this.#shelves.test;
    const row = this.#row('test', slice.case, slice.index);
    const shown = MODALITIES.filter((name) => shelf.modalities.includes(name));
    const pictures = [];
    for (const modality of shown.length > 0 ? shown : shelf.modalities.slice(0, 1))
      pictures.push({ modality, picture: await shelf.draw(slice, modality) });
    const { labels } = await shelf.read(slice);
    const predicted = await study.predicted('test', row);
    const regions: RegionReport[] = [];
    for (const [k, name] of study.classes.entries()) {
      const pixels = study.tests.pixels[row]![k]!;
      const rankings = [];
      for (const normalize of pixels > 0 ? SHOWN : []) rankings.push(await this.#rank(slice, name, normalize));
      regions.push({ class: name, pixels, rankings });
    }
    return {
      case: slice.case,
      patient: slice.patient,
      slice: slice.index,
      dice: dice?.find((one) => one.case === slice.case)?.dice,
      pictures,
      predicted: predicted && shelf.outlines(slice.case, predicted, study.classes.length),
      truth: labels && shelf.outlines(slice.case, labels, study.classes.length),
      regions,
    };
  }

  async #rank(slice: Slice, className: string, normalize: Normalisation): Promise<PicturedRanking> {
    const { study } = this.#subject;
    const query = { test: { case: slice.case, slice: slice.index }, class: className, normalize, top: this.#top };
    const { proponents, opponents, dominance: _, ...ranking } = await rank(study, query);
    return {
      ...ranking,
      bound: normalize === 'cosine' ? study.learningRates.reduce((sum, rate) => sum + rate, 0) : undefined,
      proponents: await this.#picture(proponents.filter(({ score }) => score > 0)),
      opponents: await this.#picture(opponents.filter(({ score }) => score < 0)),
    };
  }

  async #picture(ranked: readonly RankedRegion[]): Promise<PicturedRegion[]> {
    const { study } = this.#subject;
    const shelf = this.#shelves.train;
    const pictured: PicturedRegion[] = [];
    for (const region of ranked) {
      const row = this.#row('train', region.case, region.slice);
      const slice = study.trainings.slices[row]!;
      const modality = bestSeenIn(region.class, shelf.modalities);
      const labels =
        (study.definition.region === 'predicted' ? await study.predicted('train', row) : undefined) ?? (await shelf.read(slice)).labels!;
      const outlines = shelf.outlines(region.case, labels, study.classes.length);
      pictured.push({
        ...region,
        modality,
        picture: await shelf.draw(slice, modality),
        outline: outlines[study.classes.indexOf(region.class)]!,
      });
    }
    return pictured;
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

function rowsOf({ slices }: RegionAxis): Map<string, number> {
  return new Map(slices.map((slice, row) => [`${slice.index} ${slice.case}`, row]));
}
