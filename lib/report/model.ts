/** What a report says, free of how it looks: plain data, fit for JSON. K foreground classes. */
import type { Audit } from '../faithfulness/audit';
import type { Findings } from '../faithfulness/findings';
import type { Stability } from '../faithfulness/stability-file';
import type { CaseDice } from '../inference/dice-table';
import type { Normalisation } from '../influence/normalisation';
import type { RankedRegion, Ranking } from '../influence/ranking';
import type { Picture } from './picture';

/** All that a page shows, ready to be rendered. */
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
  readonly checkpoints: readonly CheckpointReport[];
  /** Hard Dice on cases that the network has not seen; absent where it is not known. */
  readonly dice: DiceReport | undefined;
  /** One line each. */
  readonly definition: readonly string[];
  readonly sides: Readonly<Record<'test' | 'train', SideReport>>;
  readonly influence: ClassInfluence;
  readonly dominance: readonly ClassDominance[];
  readonly slices: readonly SliceReport[];
  readonly features: FeatureReport | undefined;
  readonly faithfulness: Findings | undefined;
  /** Against studies of other training seeds. */
  readonly stability: Stability | undefined;
  readonly audit: AuditReport | undefined;
  /** What the page would show of this study had it been made, and which commands make it; one line each. */
  readonly missing: readonly Missing[];
}

/** A part that the page lacks. */
export interface Missing {
  readonly what: string;
  /** Words after `tracin-seg` of each, in this order. */
  readonly commands: readonly string[];
}

/** What one checkpoint adds to the influences of a study. */
export interface CheckpointReport {
  readonly epoch: number | null;
  readonly learningRate: number;
  /** Over pairs of regions of one class, [K], null where there are none: its part of Σ_t |η_t g'·g|, from 0 to 1. */
  readonly share: readonly (number | null)[];
  /** Mean of its η_t g'·g, [K]. */
  readonly mean: readonly (number | null)[];
}

/** How well the network does, case by case. */
export interface DiceReport {
  /** What each number is taken over: all slices of a case, or those that the study asks about. */
  readonly over: 'volumes' | 'slices';
  readonly cases: readonly CaseDice[];
  readonly mean: readonly (number | null)[];
}

/** The test or training slices of a study. */
export interface SideReport {
  readonly patients: number;
  readonly slices: number;
  /** Present regions of each class, [K]. */
  readonly regions: readonly number[];
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
  /** Every modality; empty where the data were not at hand. */
  readonly pictures: readonly { readonly modality: string; readonly picture: number }[];
  /** SVG paths of each class, [K], empty where it is absent; undefined where there are no such labels. */
  readonly predicted: readonly string[] | undefined;
  readonly truth: readonly string[] | undefined;
  readonly regions: readonly RegionReport[];
}

/** One region of a test slice, and what pushed and pulled it. */
export interface RegionReport {
  readonly class: string;
  /** 0: the class is absent here and there are no rankings. */
  readonly pixels: number;
  /** Of the slice, in the modality the class is best seen in. */
  readonly picture: number | undefined;
  /** SVG path of the region. */
  readonly outline: string | undefined;
  readonly rankings: readonly PicturedRanking[];
}

/** A ranking whose regions come with pictures. */
export interface PicturedRanking extends Omit<Ranking, 'proponents' | 'opponents' | 'dominance'> {
  readonly proponents: readonly PicturedRegion[];
  readonly opponents: readonly PicturedRegion[];
}

/** A training region on its slice. */
export interface PicturedRegion extends RankedRegion {
  /** Absent where the data were not at hand. */
  readonly shown: { readonly modality: string; readonly picture: number; readonly outline: string } | undefined;
  readonly maps: PicturedMaps | undefined;
  /** Whether it leads in every one of the studies that this one was compared with; undefined for lists that were not compared. */
  readonly stable: boolean | undefined;
}

/** Influence maps of the region on the test region, as layers over their slices. */
export interface PicturedMaps {
  /** T of the two regions, which either map sums to. */
  readonly score: number;
  readonly train: number;
  readonly test: number;
}

/** FI of every feature against rank. */
export interface FeatureReport {
  readonly similarity: string;
  readonly normalize: Normalisation;
  readonly shuffles: number;
  readonly seed: number;
  readonly features: number;
  readonly maps: readonly InterpretativeMap[];
}

/** One class. */
export interface InterpretativeMap {
  readonly class: string;
  /** Regions present. */
  readonly tests: number;
  readonly trainings: number;
  /** Ranks that the points of a curve stand for, from 1: the middle of each bin. */
  readonly ranks: readonly number[];
  readonly curves: readonly FeatureCurve[];
}

/** FI of one feature by rank, and whether it was selected. */
export interface FeatureCurve {
  readonly feature: number;
  readonly contrast: number | null;
  readonly threshold: number | null;
  readonly selected: boolean;
  /** FI, mean over each bin of ranks. */
  readonly points: readonly number[];
}

/** The patients whose labels are the most suspicious, with pictures. */
export interface AuditReport extends Omit<Audit, 'patients'> {
  readonly patients: readonly (Audit['patients'][number] & {
    readonly shown:
      | {
          readonly modality: string;
          readonly picture: number;
          readonly truth: readonly string[];
          readonly predicted: readonly string[] | undefined;
        }
      | undefined;
  })[];
  /** Of how many these are the first. */
  readonly of: number;
}
