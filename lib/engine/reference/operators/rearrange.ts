import type { AttributesOf, Operator } from './operator';

/** Every Transpose, Slice, Pad, Gather, … as one index: an input number may go to several places, or to none. */
export const rearrange: Operator<AttributesOf<'Rearrange'>> = {
  forward([x], output, { index, fill }) {
    if (!index) return output.data.set(x!.data);
    for (let o = 0; o < index.length; o++) output.data[o] = index[o]! < 0 ? fill : x!.data[index[o]!]!;
  },
  backward(_inputs, _output, cotangent, [toX], { index }) {
    if (!toX) return;
    for (let o = 0; o < cotangent.data.length; o++) {
      const i = index ? index[o]! : o;
      if (i >= 0) toX.data[i]! += cotangent.data[o]!;
    }
  },
  tangent(_inputs, _output, [ofX], tangent, { index }) {
    rearrange.forward([ofX], tangent, { index, fill: 0 }, 'running');
  },
};
