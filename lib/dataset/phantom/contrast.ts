/** What two scanners make of a patient: the contrast of four sequences, a receive bias, Rician noise, integers. */
import type { Anatomy } from './anatomy';
import { smoothField, type Grid, type Random } from './fields';
import type { Tumour } from './tumour';

/** Signal relative to white matter on T1, in the order T1, T1ce, T2, FLAIR. */
const SIGNAL = {
  white: [1.0, 1.0, 0.62, 0.78],
  grey: [0.72, 0.78, 0.86, 1.0],
  fluid: [0.36, 0.38, 1.6, 0.34],
  edema: [0.74, 0.76, 1.24, 1.46],
  enhancing: [0.72, 1.62, 1.04, 1.22],
  necrotic: [0.5, 0.55, 1.42, 0.82],
  vessel: [0.6, 1.55, 0.5, 0.5],
  cap: [0.92, 0.92, 0.8, 1.12],
} as const;

export interface Scanner {
  /** Intensity of signal 1 in each sequence. */
  readonly gain: readonly number[];
  /** Exponent that flattens or steepens the contrast between tissues. */
  readonly gamma: number;
  /** Standard deviations: of the noise, and of the logarithm of the bias field. */
  readonly noise: number;
  readonly bias: number;
}

export const SCANNERS: Readonly<Record<'A' | 'B', Scanner>> = {
  A: { gain: [520, 560, 430, 380], gamma: 1.1, noise: 0.035, bias: 0.05 },
  B: { gain: [310, 360, 640, 290], gamma: 0.85, noise: 0.06, bias: 0.11 },
};
/** A scanner whose contrast a synthetic patient has. */
export type ScannerName = keyof typeof SCANNERS;

/** One patient's signal of each tissue in each sequence: tumours vary more than brains. */
export type Signals = Record<keyof typeof SIGNAL, number[]>;

export function drawSignals(random: Random): Signals {
  const vary = (name: keyof typeof SIGNAL, spread: number): number[] =>
    SIGNAL[name].map((value) => value * (1 + random.between(-spread, spread)));
  const tissues = Object.keys(SIGNAL) as (keyof typeof SIGNAL)[];
  return Object.fromEntries(
    tissues.map((name) => [name, vary(name, ['edema', 'enhancing', 'necrotic'].includes(name) ? 0.09 : 0.04)]),
  ) as Signals;
}

/** One sequence of one patient as stored integers, 0 outside the brain and at least 1 inside. */
export function acquire(
  sequence: number,
  grid: Grid,
  anatomy: Anatomy,
  tumour: Tumour,
  signals: Signals,
  scanner: Scanner,
  random: Random,
  stored: Int16Array,
): void {
  const bias = smoothField(grid, 110, random);
  const texture = smoothField(grid, 8, random);
  const of = (name: keyof Signals): number => signals[name][sequence]!;
  const [white, grey, fluid, edema] = [of('white'), of('grey'), of('fluid'), of('edema')];
  const [enhancing, necrotic, vessel, cap] = [of('enhancing'), of('necrotic'), of('vessel'), of('cap')];
  const gain = scanner.gain[sequence]!;
  const pair = new Float64Array(2);
  for (let i = 0; i < stored.length; i++) {
    if (!anatomy.inside[i]) continue;
    let signal = white + (cap - white) * anatomy.cap[i]!;
    signal += (grey - signal) * anatomy.grey[i]!;
    signal += (fluid - signal) * anatomy.fluid[i]!;
    signal += (vessel - signal) * anatomy.vessel[i]!;
    const [wE, wR, wN] = [tumour.edema[i]!, tumour.enhancing[i]!, tumour.necrotic[i]!];
    const sick = wE + wR + wN;
    signal = signal * (1 - sick) + edema * wE + enhancing * wR + necrotic * wN;
    signal *= 1 + (0.025 + 0.06 * sick) * texture[i]!;
    signal = Math.pow(signal, scanner.gamma) * Math.exp(scanner.bias * bias[i]!);
    // Magnitude of a complex signal with noise in both channels (Gudbjartsson and Patz 1995).
    random.normalPair(pair);
    const magnitude = Math.hypot(signal + scanner.noise * pair[0]!, scanner.noise * pair[1]!);
    stored[i] = Math.min(32767, Math.max(1, Math.round(gain * magnitude)));
  }
}
