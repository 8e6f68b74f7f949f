/** Correlations of pairs drawn again and again from the same ones: what takes sorting is put in order once, so that a draw only counts. */
import { pearson } from './statistics';

/** Pearson's r, Spearman's ρ and Kendall's τ_b, as of the pairs written out, to the last digit: sums of ranks and counts are exact in any order. */
export interface Correlated {
  readonly pearson: number;
  readonly spearman: number;
  readonly kendall: number;
}

export class PairsDrawn {
  readonly #x: Side;
  readonly #y: Side;
  /** Places by rising x, among equal ones by rising y. */
  readonly #order: Uint32Array;
  /** How often each place was drawn. */
  readonly #times: Uint32Array;
  /** How often y up to some place in its order was drawn: a Fenwick tree (Fenwick 1994), from 1. */
  readonly #below: Float64Array;

  constructor(x: Float64Array, y: Float64Array) {
    this.#x = new Side(x);
    this.#y = new Side(y);
    const [ofX, ofY] = [this.#x.groups, this.#y.groups];
    this.#order = Uint32Array.from({ length: x.length }, (_, i) => i).sort((a, b) => ofX[a]! - ofX[b]! || ofY[a]! - ofY[b]!);
    this.#times = new Uint32Array(x.length);
    this.#below = new Float64Array(this.#y.count + 1);
  }

  /** @param places of the pairs drawn, in the order in which they are summed; the same place may be there more than once */
  of(places: Int32Array): Correlated {
    this.#times.fill(0);
    for (const place of places) this.#times[place]!++;
    const [x, y] = [this.#x, this.#y].map((side) => side.drawn(this.#times)) as [Drawn, Drawn];
    return {
      pearson: pearson(pick(this.#x.values, places), pick(this.#y.values, places)),
      spearman: this.#spearman(x, y, places.length),
      kendall: this.#kendall(x, y, places.length),
    };
  }

  #spearman(x: Drawn, y: Drawn, drawn: number): number {
    const middle = (drawn + 1) / 2;
    let [xy, xx, yy] = [0, 0, 0];
    for (let place = 0; place < this.#times.length; place++) {
      const times = this.#times[place]!;
      if (times === 0) continue;
      const [dx, dy] = [x.ranks[this.#x.groups[place]!]! - middle, y.ranks[this.#y.groups[place]!]! - middle];
      xy += times * dx * dy;
      xx += times * dx * dx;
      yy += times * dy * dy;
    }
    return xx === 0 || yy === 0 ? NaN : Math.max(-1, Math.min(1, xy / Math.sqrt(xx * yy)));
  }

  /** τ_b (Knight 1966), discordant pairs counted as y comes by rising x. */
  #kendall(x: Drawn, y: Drawn, drawn: number): number {
    const [ofX, ofY, below] = [this.#x.groups, this.#y.groups, this.#below];
    below.fill(0);
    let [tiedBoth, discordant, before, same] = [0, 0, 0, 0];
    for (const [i, place] of this.#order.entries()) {
      const times = this.#times[place]!;
      const group = ofY[place]!;
      const last = this.#order[i - 1];
      if (last === undefined || ofX[last] !== ofX[place] || ofY[last] !== group) {
        tiedBoth += pairs(same);
        same = 0;
      }
      if (times === 0) continue;
      same += times;
      let notAbove = 0;
      for (let at = group + 1; at > 0; at -= at & -at) notAbove += below[at]!;
      discordant += times * (before - notAbove);
      for (let at = group + 1; at < below.length; at += at & -at) below[at]! += times;
      before += times;
    }
    tiedBoth += pairs(same);
    const all = pairs(drawn);
    if (all === x.tied || all === y.tied) return NaN;
    return (all - x.tied - y.tied + tiedBoth - 2 * discordant) / Math.sqrt((all - x.tied) * (all - y.tied));
  }
}

/** Ranks of the groups of equal values among what was drawn, equal ones sharing the mean of theirs; pairs of equal values. */
interface Drawn {
  readonly ranks: Float64Array;
  readonly tied: number;
}

/** One side of the pairs; equal values are a group, numbered by rising value. */
class Side {
  readonly values: Float64Array;
  readonly groups: Uint32Array;
  readonly count: number;

  constructor(values: Float64Array) {
    this.values = values;
    this.groups = new Uint32Array(values.length);
    const order = Uint32Array.from({ length: values.length }, (_, i) => i).sort((a, b) => values[a]! - values[b]!);
    let group = -1;
    order.forEach((place, i) => {
      if (i === 0 || values[order[i - 1]!] !== values[place]) group++;
      this.groups[place] = group;
    });
    this.count = group + 1;
  }

  drawn(times: Uint32Array): Drawn {
    const ranks = new Float64Array(this.count);
    for (let place = 0; place < times.length; place++) ranks[this.groups[place]!]! += times[place]!;
    let [before, tied] = [0, 0];
    for (let group = 0; group < ranks.length; group++) {
      const size = ranks[group]!;
      tied += pairs(size);
      ranks[group] = before + (size + 1) / 2;
      before += size;
    }
    return { ranks, tied };
  }
}

function pairs(count: number): number {
  return (count * (count - 1)) / 2;
}

function pick(values: Float64Array, places: Int32Array): Float64Array {
  const picked = new Float64Array(places.length);
  for (let i = 0; i < places.length; i++) picked[i] = values[places[i]!]!;
  return picked;
}
