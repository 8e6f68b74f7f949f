/** The wiring of a graph: every name produced once, every read name produced, nodes in an order in which they can run. */
import type { Node } from '../graph';
import { graphError, nodeLabel } from './errors';

/** Which node makes each value; a name made twice is an error. */
function producers(nodes: readonly Node[], given: ReadonlySet<string>, source: string): Map<string, number> {
  const made = new Map<string, number>();
  nodes.forEach((node, index) => {
    for (const output of node.outputs) {
      if (output === '') continue;
      if (given.has(output) || made.has(output)) throw graphError(source, `value '${output}' of ${nodeLabel(node)} is defined twice`);
      made.set(output, index);
    }
  });
  return made;
}

/**
 * The nodes so that each comes after those it reads from; nodes already in order keep their places.
 * @param given names of graph inputs and initializers
 */
export function inOrder(nodes: readonly Node[], given: ReadonlySet<string>, source: string): Node[] {
  const made = producers(nodes, given, source);
  const needed = nodes.map((node) =>
    node.inputs.flatMap((input) => {
      if (input === '' || given.has(input)) return [];
      const index = made.get(input);
      if (index === undefined) throw graphError(source, `${nodeLabel(node)} reads '${input}', which nothing produces`);
      return [index];
    }),
  );
  const ordered: Node[] = [];
  const state = new Uint8Array(nodes.length); // 0 unseen, 1 waiting for its inputs, 2 placed
  for (let start = 0; start < nodes.length; start++) {
    const stack = [start];
    while (stack.length > 0) {
      const index = stack[stack.length - 1]!;
      const waiting = state[index] === 2 ? [] : needed[index]!.filter((input) => state[input] !== 2);
      if (waiting.length > 0) {
        state[index] = 1;
        const cyclic = waiting.find((input) => state[input] === 1);
        if (cyclic !== undefined) throw graphError(source, `${nodeLabel(nodes[cyclic]!)} reads its own result: the graph has a cycle`);
        stack.push(waiting[0]!);
      } else {
        stack.pop();
        if (state[index] !== 2) ordered.push(nodes[index]!);
        state[index] = 2;
      }
    }
  }
  return ordered;
}
