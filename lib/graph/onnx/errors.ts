import { TracinError } from '../../errors';

/** One line about a file: `FILE: what`. */
export function graphError(source: string, message: string, cause?: unknown): TracinError {
  return new TracinError('ERR_TRACIN_GRAPH', `${source}: ${message}`, cause === undefined ? undefined : { cause });
}

/** How messages speak of a node: its operator and its name, or its first output where it has none. */
export function nodeLabel(node: { readonly operator: string; readonly name: string; readonly outputs: readonly string[] }): string {
  return `${node.operator} '${node.name || (node.outputs[0] ?? '')}'`;
}
