/** Numbers of a network that its checkpoints may not change: constants of the arithmetic, which engines take over when they compile. */
import { TracinError } from '../errors';
import type { Graph } from './graph';
import type { Lowered } from './lowered';

/** The floating-point initializers that the logits are computed from, besides parameters and running statistics. */
export function constantInitializers(graph: Graph, lowered: Lowered): string[] {
  const needed = new Set(lowered.values.flatMap(({ name }) => (name === '' ? [] : [name])));
  for (const { inputs, outputs } of graph.nodes.toReversed()) {
    if (outputs.some((name) => needed.has(name))) inputs.forEach((name) => needed.add(name));
  }
  const changing = new Set(lowered.values.flatMap(({ kind, name }) => (kind === 'parameter' || kind === 'statistic' ? [name] : [])));
  return [...graph.initializers].flatMap(([name, { data }]) =>
    needed.has(name) && !changing.has(name) && !(data instanceof BigInt64Array) ? [name] : [],
  );
}

/** @throws ERR_TRACIN_CHECKPOINT naming the first of these initializers whose numbers the checkpoint has changed */
export function assertSameConstants(reference: Graph, checkpoint: Graph, names: readonly string[]): void {
  for (const name of names) {
    const [ours, theirs] = [reference.initializers.get(name)!.data, checkpoint.initializers.get(name)?.data];
    if (theirs?.length === ours.length && ours.every((number: number | bigint, i: number) => Object.is(number, theirs[i]))) continue;
    const what = `'${name}' has other numbers than in ${reference.source}, but it is a constant of the network's arithmetic, not a parameter`;
    throw new TracinError('ERR_TRACIN_CHECKPOINT', `${checkpoint.source}: ${what}: export the network so that it is one`);
  }
}
