import type { Command } from 'commander';
import { openEngine } from '../../engine';
import type { Program } from '../../engine/engine';
import { TracinError } from '../../errors';
import type { ValueInfo } from '../../graph/graph';
import { inspectGraph, type InspectedNetwork, type Inspection } from '../../graph/inspect';
import { readOnnx } from '../../graph/onnx';
import type { Graph } from '../../graph/graph';
import { formatBytes } from '../../rounded';
import { imageSize } from '../arguments';
import { example, type Context } from '../context';
import { table } from '../table';

interface Flags {
  readonly size?: number[];
  readonly output?: string;
  readonly json?: true;
}

/** Bytes on an engine. */
type Memory = { readonly engine: string } & Program['memory'];

export function addInspect(program: Command, _context: Context): void {
  program
    .command('inspect')
    .summary('what an ONNX network takes, gives and can be asked')
    .description(
      'Prints inputs, outputs, classes, operators and whether they are supported, parameters by kind, the last hidden layer and memory. Ends with status 2 for a network that cannot be run, naming everything that stands in the way.',
    )
    .argument('<file>', 'ONNX file')
    .option('--size <pixels>', 'image size to look at, 192 or 192x160 (default: the fixed one, or about 192)', imageSize)
    .option('--output <name>', 'output that is taken as logits (default: the first one of full size)')
    .option('--json', 'machine-readable')
    .addHelpText('after', example('tracin-seg inspect net.onnx', 'tracin-seg inspect net.onnx --output aux --size 256'))
    .action(async (file: string, { size, output, json }: Flags) => {
      const graph = await readOnnx(file);
      const inspection = inspectGraph(graph, { size, output });
      const memory = inspection.network && (await memoryOf(graph, inspection.network));
      process.stdout.write(json ? `${JSON.stringify({ ...inspection, memory }, null, 1)}\n` : inWords(inspection, memory));
      if (inspection.failure !== undefined) throw new TracinError('ERR_TRACIN_GRAPH', inspection.failure);
    });
}

async function memoryOf(graph: Graph, { size, output }: InspectedNetwork): Promise<Memory> {
  const { engine } = await openEngine('auto');
  const program = await engine.compile(graph, { size, output });
  const { memory } = program;
  program.dispose();
  return { engine: engine.name, ...memory };
}

const shapeOf = (dims: readonly (number | string)[]): string => `[${dims.map((dim) => (dim === '' ? '?' : dim)).join(', ')}]`;

function inWords({ file, producer, opset, inputs, outputs, operators, network }: Inspection, memory: Memory | undefined): string {
  const values = (list: readonly ValueInfo[], taken?: string): string =>
    table(list.map(({ name, type, dims }) => [name, type, shapeOf(dims), name === taken ? '← logits' : '']));
  const rows = operators.map(({ operator, domain, count, supported }) => [
    domain === '' ? operator : `${domain}.${operator}`,
    String(count),
    supported ? '' : 'not supported',
  ]);
  return [
    `${file}: ${producer === '' ? 'unknown producer' : producer}, opset ${opset}`,
    `inputs\n${values(inputs)}outputs\n${values(outputs, network?.output)}operators\n${table(rows, [1])}`.trimEnd(),
    ...(network && memory ? networkWords(network, memory) : []),
    '',
  ].join('\n');
}

function networkWords(network: InspectedNetwork, memory: Memory): string[] {
  const { modalities, logits, size, stride, oneSize, parameters, kinds, parameterCount, statistics, head, notes } = network;
  const sum = [['total', String(kinds.reduce((count, { tensors }) => count + tensors, 0)), String(parameterCount)]];
  const byKind = kinds.map(({ role, tensors, numbers }) => [role, String(tensors), String(numbers)]);
  const each = parameters.map(({ name, role, dims, size: numbers }) => [name, role, shapeOf(dims), String(numbers)]);
  const together = memory.together === undefined ? '' : ` (no more than ${memory.together} at once)`;
  return [
    `${modalities} modalities, ${logits} classes (background and ${logits - 1}), ${oneSize ? 'images of one size alone:' : 'sizes divisible by'} ${stride.join(' × ')}`,
    `parameters\n${table(each, [3])}by kind\n${table([['kind', 'tensors', 'numbers'], ...byKind, ...sum], [1, 2])}`.trimEnd(),
    `running statistics: ${statistics.length}`,
    `last hidden layer: ${shapeOf(head.features)}, read by ${head.node}${head.kernel === undefined ? '' : ` with ${head.kernel}`}`,
    `memory at ${size.join(' × ')} on ${memory.engine}: ${formatBytes(memory.fixed)}, ${formatBytes(memory.slice)} for each slice of a batch${together}, ${formatBytes(memory.row)} for each resident region`,
    ...notes.map((note) => `note: ${note}`),
  ];
}
