/** What a report says, free of how it looks: plain data, fit for JSON. K foreground classes. */
import type { CaseDice } from '../inference/dice-table';
import type { Normalisation } from '../influence/normalisation';
import type { RankedRegion, Ranking } from '../influence/ranking';
import type { Picture } from './picture';

export interface Report {
  readonly title: string;
  /** One line each, about where the images come from. */
  readonly cohort: readonly string[];
  /** Package that made it, e.g. `tracin-seg 0.1.0`. */
  readonly tool: string;
  /** Foreground classes in label order. */
  readonly classes: readonly string[];
  /** Every picture once; the rest of the report names them by their place here. */
  readonly pictures: readonly Picture[];
  readonly networks: readonly NetworkReport[];
}

/** One study: the checkpoints of one network. */
export interface NetworkReport {
  readonly name: string;
  readonly parameterCount: number;
  readonly engine: string;
  readonly checkpoints: readonly { readonly epoch: number | null; readonly learningRate: number }[];
  /** Hard Dice over whole volumes that the network has not seen; absent without labels. */
  readonly dice: { readonly cases: readonly CaseDice[]; readonly mean: readonly (number | null)[] } | undefined;
  /** One line each. */
  readonly definition: readonly string[];
  readonly testSlices: number;
  readonly trainingSlices: number;
  readonly influence: ClassInfluence;
  readonly dominance: readonly ClassDominance[];
  readonly slices: readonly SliceReport[];
}

/** Means over all pairs of present regions, [K test][K training]; null where there is no pair. */
export interface ClassInfluence {
  /** Of T. */
  readonly raw: readonly (readonly (number | null)[])[];
  /** Of the cosine averaged over checkpoints by their η, −1 to 1. */
  readonly cosine: readonly (readonly (number | null)[])[];
}

/** The patient found most often among the leading proponents of a class. */
export interface ClassDominance {
  readonly class: string;
  readonly normalize: Normalisation;
  readonly top: number;
  readonly patient: string;
  readonly share: number;
}

/** One test slice with its regions. */
export interface SliceReport {
  readonly case: string;
  readonly patient: string;
  readonly slice: number;
  /** Of the whole case, [K]. */
  readonly dice: readonly (number | null)[] | undefined;
  readonly pictures: readonly { readonly modality: string; readonly picture: number }[];
  /** SVG paths of each class, [K], empty where it is absent; undefined where there are no such labels. */
  readonly predicted: readonly string[] | undefined;
  readonly truth: readonly string[] | undefined;
  readonly regions: readonly RegionReport[];
}

export interface RegionReport {
  readonly class: string;
  /** 0: the class is absent here and there are no rankings. */
  readonly pixels: number;
  readonly rankings: readonly PicturedRanking[];
}

export interface PicturedRanking extends Omit<Ranking, 'proponents' | 'opponents' | 'dominance'> {
  /** What a score can be at most, where there is such a thing: Σ η_t for cosine. */
  readonly bound: number | undefined;
  readonly proponents: readonly PicturedRegion[];
  readonly opponents: readonly PicturedRegion[];
}

/** A training region on its slice. */
export interface PicturedRegion extends RankedRegion {
  readonly modality: string;
  readonly picture: number;
  /** SVG path. */
  readonly outline: string;
}
