/** Which operations a backward pass needs: nothing is computed that the selected parameters do not ask for. */
import type { Lowered, Operation } from '../../graph/lowered';

export interface Plan {
  /** What a cotangent of the logits must pass to reach every selected parameter, last first. */
  readonly backward: readonly Operation[];
  /** By value: whether a gradient is computed for it (a selected parameter, or a value made from one). */
  readonly wanted: readonly boolean[];
}

/** Whether an operation's result has a derivative with respect to its input i; what it decides by has none. */
function derives({ type }: Operation, i: number): boolean {
  return type !== 'Compare' && !(type === 'Where' && i === 0);
}

export function planBackward(lowered: Lowered, selected: ReadonlySet<string>): Plan {
  const wanted = lowered.values.map((value) => value.kind === 'parameter' && selected.has(value.name));
  for (const operation of lowered.operations) {
    wanted[operation.output] = operation.inputs.some((input, i) => wanted[input] && derives(operation, i));
  }
  return { backward: lowered.operations.filter(({ output }) => wanted[output]).reverse(), wanted };
}
