/** Which operations a backward pass needs: nothing is computed that the selected parameters do not ask for. */
import type { Lowered, Operation } from '../../graph/lowered';

export interface Plan {
  /** What a cotangent of the logits must pass to reach every selected parameter, last first. */
  readonly backward: readonly Operation[];
  /** By value: whether a gradient is computed for it (a selected parameter, or an activation made from one). */
  readonly wanted: readonly boolean[];
}

export function planBackward(lowered: Lowered, selected: ReadonlySet<string>): Plan {
  const wanted = lowered.values.map((value) => value.kind === 'parameter' && selected.has(value.name));
  for (const { inputs, output } of lowered.operations) wanted[output] = inputs.some((input) => wanted[input]);
  return { backward: lowered.operations.filter(({ output }) => wanted[output]).reverse(), wanted };
}
