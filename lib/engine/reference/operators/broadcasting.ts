/** numpy's broadcasting: dims aligned at the right, axes of length 1 repeated. */
import type { Tensor } from '../tensor';

/** Steps through an operand's numbers when the axes of `rank` advance; 0 on an axis it is repeated over. */
function strides(operand: readonly number[], rank: number): number[] {
  const steps = new Array<number>(rank).fill(0);
  let step = 1;
  for (let axis = operand.length - 1; axis >= 0; axis--) {
    const size = operand[axis]!;
    if (size > 1) steps[rank - operand.length + axis] = step;
    step *= size;
  }
  return steps;
}

/**
 * Visits the positions of a box of `dims` in row-major order, each with the places in the operands that lie there.
 * @param operands dims of each, broadcast to `dims`
 * @param visit `at` holds one place for each operand and is overwritten by the next visit
 */
export function eachPosition(
  dims: readonly number[],
  operands: readonly (readonly number[])[],
  visit: (position: number, at: readonly number[]) => void,
): void {
  const count = dims.reduce((product, n) => product * n, 1);
  const steps = operands.map((operand) => strides(operand, dims.length));
  const at = operands.map(() => 0);
  const index = dims.map(() => 0);
  for (let position = 0; position < count; position++) {
    visit(position, at);
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      const ends = ++index[axis]! === dims[axis];
      for (let k = 0; k < at.length; k++) at[k]! += steps[k]![axis]! * (ends ? 1 - dims[axis]! : 1);
      if (!ends) break;
      index[axis] = 0;
    }
  }
}

/** As `eachPosition`, over the numbers of the operator's output. */
export function eachOutput(
  inputs: readonly (Tensor | undefined)[],
  output: Tensor,
  visit: (o: number, at: readonly number[]) => void,
): void {
  const operands = inputs.map((input) => input!.dims);
  eachPosition(output.dims, operands, visit);
}
