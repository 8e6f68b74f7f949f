/**
 * Support boxes: a region's cotangent is zero outside a box, and each operator's rule says how far it spreads on the way down.
 * An engine that works inside the boxes computes the same gradient with a fraction of the operations.
 */
import { inputBox, type Box } from '../graph/boxes';
import type { Lowered } from '../graph/lowered';
import type { Turns } from '../turns';
import { room } from './room';

type Range = readonly [number, number];

const EMPTY: Range = [0, 0];
const join = (a: Range, b: Range): Range => (a[1] <= a[0] ? b : b[1] <= b[0] ? a : [Math.min(a[0], b[0]), Math.max(a[1], b[1])]);

/** Inputs of all operations, in their order: the slots a box plan has for each region. */
export function slotCount(lowered: Lowered): number {
  return lowered.operations.reduce((sum, { inputs }) => sum + inputs.length, 0);
}

/** The smallest quantised box around a mask's pixels; undefined for an absent region. */
function maskBox(mask: Uint8Array, size: readonly number[], quantum: number): Box | undefined {
  const low = size.map((n) => n);
  const high = size.map(() => 0);
  // line by line, of each the first pixel and the last
  const inner = size.length - 1;
  const width = size[inner]!;
  for (let first = mask.indexOf(1); first >= 0;) {
    const start = first - (first % width);
    low[inner] = Math.min(low[inner]!, first - start);
    high[inner] = Math.max(high[inner]!, mask.lastIndexOf(1, start + width - 1) - start + 1);
    for (let axis = inner - 1, rest = start / width; axis >= 0; axis--) {
      const at = rest % size[axis]!;
      rest = (rest - at) / size[axis]!;
      if (at < low[axis]!) low[axis] = at;
      if (at >= high[axis]!) high[axis] = at + 1;
    }
    first = mask.indexOf(1, start + width);
  }
  if (high[0] === 0) return undefined;
  return size.map((n, axis) => [Math.floor(low[axis]! / quantum) * quantum, Math.min(n, Math.ceil(high[axis]! / quantum) * quantum)]);
}

/** A box with as many axes as the logits have: values of another rank are no maps, and engines take them whole. */
function fitted(box: Box, rank: number): Box {
  return box.length === rank ? box : Array.from({ length: rank }, (_, axis): Range => box[axis] ?? [0, 1]);
}

/** Where the cotangent of one region can be non-zero: a box for each slot, then the one at the logits. */
function regionBoxes(lowered: Lowered, atLogits: Box, slots: number): Box[] {
  const boxes = new Array<Box>(slots + 1);
  boxes[slots] = atLogits;
  const values = new Map<number, Box>([[lowered.logits, atLogits]]);
  let slot = slots;
  for (const operation of lowered.operations.toReversed()) {
    const output = values.get(operation.output)!;
    for (let i = operation.inputs.length - 1; i >= 0; i--) {
      slot--;
      const input = operation.inputs[i]!;
      const value = lowered.values[input];
      if (value?.kind !== 'activation') {
        boxes[slot] = atLogits.map(() => EMPTY);
        continue;
      }
      const size = value.dims.slice(1);
      // a position none reads (a stride wider than its kernel) still needs a place to say zero
      const box = inputBox(operation, output, size).map(([from, to], axis): Range => {
        const start = Math.min(from, size[axis]! - 1);
        return [start, Math.max(to, start + 1)];
      });
      boxes[slot] = fitted(box, atLogits.length);
      const known = values.get(input);
      values.set(input, known ? known.map((range, axis) => join(range, box[axis]!)) : box);
    }
  }
  return boxes;
}

/** A few megabytes in a network of a hundred operations. */
const MOST_KNOWN = 2048;

/** Of every network, by the box at the logits: a region comes again at every checkpoint, and where edges fall on a coarse grid many share one. */
const known = new WeakMap<Lowered, Map<string, Int32Array>>();

function flatBoxes(lowered: Lowered, atLogits: Box, slots: number): Int32Array {
  const boxes = known.get(lowered) ?? new Map<string, Int32Array>();
  known.set(lowered, boxes);
  const key = atLogits.join();
  let flat = boxes.get(key);
  if (!flat) {
    if (boxes.size >= MOST_KNOWN) boxes.clear();
    boxes.set(key, (flat = Int32Array.from(regionBoxes(lowered, atLogits, slots).flat(2))));
  }
  return flat;
}

/**
 * Boxes [B, K, slots + 1, rank, 2] (from, to) for a batch: slots count the inputs of all operations in order, the last is the logits'.
 * @param masks [B, K, …size]
 * @param quantum what box edges at the logits are multiples of
 */
export function* supportBoxes(lowered: Lowered, masks: Uint8Array, quantum: number): Turns<Int32Array> {
  const size = lowered.values[lowered.logits]!.dims.slice(1);
  const pixels = size.reduce((product, n) => product * n, 1);
  const regions = masks.length / pixels;
  const slots = slotCount(lowered);
  const boxes = room(Int32Array, regions * (slots + 1) * size.length * 2, 'support boxes');
  for (let region = 0; region < regions; region++, yield) {
    const atLogits = maskBox(masks.subarray(region * pixels, (region + 1) * pixels), size, quantum);
    if (!atLogits) continue;
    boxes.set(flatBoxes(lowered, atLogits, slots), region * (slots + 1) * size.length * 2);
  }
  return boxes;
}
