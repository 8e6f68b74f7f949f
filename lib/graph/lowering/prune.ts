/** A network without what its logits do not need. */
import type { Lowered, Operation, Value } from '../lowered';

type Part = Pick<Lowered, 'values' | 'operations' | 'input' | 'logits'>;

export function prune(
  { values, operations }: { readonly values: readonly Value[]; readonly operations: readonly Operation[] },
  input: number,
  logits: number,
): Part {
  const needed = new Set([input, logits]);
  const kept = operations.toReversed().filter(({ inputs, output }) => {
    if (!needed.has(output)) return false;
    for (const each of inputs) needed.add(each);
    return true;
  });
  const left = [...values.keys()].filter((value) => needed.has(value));
  const places = new Map(left.map((value, place) => [value, place]));
  const place = (value: number): number => places.get(value)!;
  // Values on the way within a node are called after it.
  const makers = new Map(operations.map(({ type, name, output }) => [output, `${name}/${type}`]));
  return {
    values: left.map((value) => (values[value]!.name === '' ? { ...values[value]!, name: makers.get(value)! } : values[value]!)),
    operations: kept.reverse().map((operation) => ({ ...operation, inputs: operation.inputs.map(place), output: place(operation.output) })),
    input: place(input),
    logits: place(logits),
  };
}
