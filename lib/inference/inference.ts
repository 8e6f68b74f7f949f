/** Networks run by onnxruntime, in a thread of its own. */
import { resolve } from 'node:path';
import { coresHere } from '../cores';
import { TracinError, throwIfAborted } from '../errors';
import type { Graph, Node, ValueInfo } from '../graph/graph';
import { readOnnx, serialiseOnnx } from '../graph/onnx';
import { PROVIDER_CHOICES, type Provider, type ProviderChoice } from './providers';
import { openSession, type Session } from './session';
import type { RunArgument } from './session-worker';

export interface InferenceOptions {
  /** cpu when absent. It is this one or an error, never silently another; `cuda,cpu` takes the CPU where there is no CUDA, and notes why. */
  readonly provider?: ProviderChoice | undefined;
  /** Threads of the cpu provider; all cores when absent. */
  readonly threads?: number | undefined;
  /** Name of the output that is taken as logits; the first float32 one with as many axes as the images when absent. */
  readonly output?: string | undefined;
  /** Make feature maps available. */
  readonly features?: boolean | undefined;
}

export interface InferenceCallOptions {
  readonly signal?: AbortSignal | undefined;
}

/** An open session. Calls run one after another; every shape is [B, M, …spatial], float32 in and out. */
export interface Inference {
  /** Where the network was read from. */
  readonly file: string;
  /** Where it really runs. */
  readonly provider: Provider;
  /** What a person should know: why not another provider; after the first run, how many nodes ran elsewhere. */
  readonly notes: readonly string[];
  /** C, logits channels: background and K foreground classes. */
  readonly channels: number;
  /** images [B, M, …spatial] → logits [B, C, …spatial] */
  logits(images: Float32Array, shape: readonly number[], options?: InferenceCallOptions): Promise<Float32Array>;
  /** images [B, M, …spatial] → most likely classes [B, …spatial], 0..C − 1; of equal logits the lowest class wins. */
  labels(images: Float32Array, shape: readonly number[], options?: InferenceCallOptions): Promise<Uint8Array>;
  /** images [B, M, …spatial] → input of the last convolution [B, F, …spatial]; only when opened with `features`. */
  features(images: Float32Array, shape: readonly number[], options?: InferenceCallOptions): Promise<Float32Array>;
  close(): Promise<void>;
}

/**
 * Opens a network with one float32 image input [N, M, …spatial] and an output of logits.
 * @param network an ONNX file, or a graph
 * @throws ERR_TRACIN_ENGINE onnxruntime-node or the provider is missing (the message names the command that installs it);
 *   ERR_TRACIN_GRAPH the file cannot be read or run; ERR_TRACIN_USAGE an unknown provider or thread count
 */
export async function openInference(network: string | Graph, options: InferenceOptions = {}): Promise<Inference> {
  const { provider = 'cpu', threads = coresHere() } = options;
  if (!PROVIDER_CHOICES.includes(provider)) {
    throw new TracinError('ERR_TRACIN_USAGE', `provider ${String(provider)} is unknown: choose one of ${PROVIDER_CHOICES.join(' | ')}`);
  }
  if (!Number.isInteger(threads) || threads < 1) {
    throw new TracinError('ERR_TRACIN_USAGE', `threads ${threads}: give a whole number of at least 1`);
  }
  const file = typeof network === 'string' ? resolve(network) : undefined;
  const graph = typeof network === 'string' ? await readOnnx(resolve(network)) : network;
  const path = file ?? graph.source;
  const { input, logits } = endsOf(graph, options.output);
  const channels = logits.dims[1];
  if (typeof channels !== 'number') {
    throw new TracinError(
      'ERR_TRACIN_GRAPH',
      `${path}: output ${logits.name} does not say how many classes it has: export it with a fixed channel count`,
    );
  }
  const features = options.features ? headInput(graph) : undefined;
  const { session, used, why } = await firstOf(provider.split(',') as Provider[], (one) =>
    openSession({
      source: path,
      model: features === undefined ? (file ?? serialiseOnnx(graph)) : serialiseOnnx(withOutput(graph, features, logits)),
      provider: one,
      threads,
      outputs: features === undefined ? [logits.name] : [logits.name, features],
    }),
  );
  const run = async <T extends Float32Array | Uint8Array>(argument: RunArgument, signal: AbortSignal | undefined): Promise<T> => {
    throwIfAborted(signal);
    checkShape(argument, input.dims);
    return session.run<T>(argument, signal);
  };
  return {
    file: path,
    provider: used,
    get notes() {
      return [...why, ...session.notes];
    },
    channels,
    logits: async (images, shape, { signal } = {}) => run({ images, shape, output: logits.name, labels: false }, signal),
    labels: async (images, shape, { signal } = {}) => run({ images, shape, output: logits.name, labels: true }, signal),
    features: async (images, shape, { signal } = {}) => {
      if (features === undefined)
        throw new TracinError('ERR_TRACIN_USAGE', `${path}: open the inference with features: true to read feature maps`);
      return run({ images, shape, output: features, labels: false }, signal);
    },
    close: async () => session.close(),
  };
}

/** A session on the first provider that is available, and why those before it are not. */
async function firstOf(
  providers: readonly Provider[],
  open: (provider: Provider) => Promise<Session>,
): Promise<{ session: Session; used: Provider; why: string[] }> {
  const why: string[] = [];
  for (const used of providers.slice(0, -1)) {
    try {
      return { session: await open(used), used, why };
    } catch (error) {
      if (!(error instanceof TracinError && error.code === 'ERR_TRACIN_ENGINE')) throw error;
      why.push(error.message);
    }
  }
  const used = providers.at(-1)!;
  return { session: await open(used), used, why };
}

/** The image input, and the logits: the output of that name, else the first with as many axes. */
function endsOf(graph: Graph, output: string | undefined): { input: ValueInfo; logits: ValueInfo } {
  const inputs = graph.inputs.filter(({ name }) => !graph.initializers.has(name));
  const [input] = inputs;
  const logits = graph.outputs.find(
    ({ name, type, dims }) => type === 'float32' && dims.length === input?.dims.length && (output === undefined || name === output),
  );
  if (inputs.length !== 1 || input?.type !== 'float32' || !logits) {
    throw new TracinError(
      'ERR_TRACIN_GRAPH',
      `${graph.source}: needs one float32 image input [N, M, …] and an output ${output === undefined ? '' : `'${output}' `}of logits [N, C, …]: export the network so`,
    );
  }
  return { input, logits };
}

/** Name of the last convolution's input: the last hidden layer. */
function headInput(graph: Graph): string {
  const head = graph.nodes.findLast((node: Node) => node.operator === 'Conv');
  if (!head) throw new TracinError('ERR_TRACIN_GRAPH', `${graph.source}: has no Conv node, so no last hidden layer to read`);
  return head.inputs[0]!;
}

function withOutput(graph: Graph, name: string, logits: ValueInfo): Graph {
  const dims = logits.dims.map((dim, axis) => (axis === 1 ? 'features' : dim));
  return { ...graph, outputs: [...graph.outputs, { name, type: logits.type, dims }] };
}

function checkShape({ images, shape }: RunArgument, dims: readonly (number | string)[]): void {
  const given = `images [${shape.join(', ')}]`;
  if (shape.reduce((product, n) => product * n, 1) !== images.length) {
    throw new TracinError('ERR_TRACIN_USAGE', `${given}: there are ${images.length} numbers, not as many as the shape says`);
  }
  if (shape.length !== dims.length || dims.some((dim, axis) => typeof dim === 'number' && dim !== shape[axis])) {
    throw new TracinError('ERR_TRACIN_DATA', `${given} do not fit the network's input [${dims.join(', ')}]: check modalities and size`);
  }
}
