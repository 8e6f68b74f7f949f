/**
 * Labels predicted by the very logits that gradients are of: by onnxruntime where an output of the graph is those logits, by an
 * engine where they are found inside the graph (it ends in a softmax, a sigmoid of one channel, an argmax, channels last).
 */
import { throwIfAborted } from '../errors';
import type { Program } from '../engine/engine';
import type { Graph } from '../graph/graph';
import { imageLayout } from '../graph/image';
import type { Lowered } from '../graph/lowered';
import { inTurns } from '../turns';
import type { Inference } from './inference';
import { labelling } from './labels';

export interface Predictor extends Pick<Inference, 'notes' | 'channels' | 'labels' | 'close'> {
  /** What predicts, for messages. */
  readonly file: string;
  /** It works in the memory of a program. */
  readonly ofProgram?: true;
}

/** Name of the graph output that holds the logits themselves, float32 [N, C, …size] for any N; undefined where none does. */
export function plainOutput(graph: Graph, lowered: Lowered): string | undefined {
  const { name, dims } = lowered.values[lowered.logits]!;
  if (name === '' || imageLayout(graph).channelsLast) return undefined;
  return graph.outputs.find(
    (output) =>
      output.type === 'float32' &&
      sourceOf(graph, output.name) === name &&
      output.dims.length === dims.length + 1 &&
      typeof output.dims[0] === 'string' &&
      output.dims[1] === dims[0] &&
      output.dims.slice(2).every((length, axis) => typeof length === 'string' || length === dims[axis + 1]),
  )?.name;
}

/** The value that a name stands for once nodes which pass it on are looked through. */
function sourceOf(graph: Graph, name: string): string {
  const node = graph.nodes.find(({ operator, domain, outputs }) => outputs[0] === name && domain === '' && PASSING.has(operator));
  return node ? sourceOf(graph, node.inputs[0]!) : name;
}

const PASSING = new Set(['Identity', 'Dropout']);

/** Predicts with the numbers a program has loaded; closing it leaves the program open. `fast`: by choice, which needs no words. */
export function programPredictor(program: Program, file: string, why?: 'fast'): Predictor {
  const [channels = 0, ...size] = program.lowered.values[program.lowered.logits]!.dims;
  const pixels = size.reduce((product, length) => product * length, 1);
  const found = `${file}: no output is plain logits [N, ${channels}, …] for any N: labels are predicted by the engine, not by onnxruntime`;
  return {
    file,
    ofProgram: true,
    channels,
    notes: why === 'fast' ? [] : [found],
    async labels(images, _shape, { signal } = {}) {
      throwIfAborted(signal);
      const { logits } = await program.forward(images, { signal });
      return inTurns(labelling(logits, channels, pixels));
    },
    close: async () => undefined,
  };
}
