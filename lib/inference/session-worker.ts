/** The thread that owns an onnxruntime session; `run()` blocks the thread that calls it, so it is never the caller's. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type * as Ort from 'onnxruntime-node';
import { TracinError } from '../errors';
import { serve, type Served } from '../worker-thread';
import { argmaxLabels } from './labels';
import { readPlacement } from './placement';
import type { Provider } from './providers';

export interface OpenArgument {
  /** For messages. */
  readonly source: string;
  readonly model: string | Uint8Array;
  readonly provider: Provider;
  readonly threads: number;
  /** Name of the logits, and of the feature maps when they are an output. */
  readonly outputs: readonly string[];
}
export interface OpenResult {
  /** Of onnxruntime-node. */
  readonly version: string;
  /** Some nodes run on the CPU: `placement` tells which once it has run. */
  readonly mixed: boolean;
}
export interface RunArgument {
  readonly images: Float32Array;
  /** [B, M, …spatial] */
  readonly shape: readonly number[];
  readonly output: string;
  /** Answer with the labels of the output (argmax over its channels) in place of its numbers. */
  readonly labels: boolean;
}

/** The CUDA provider is no part of the npm package: either it was not fetched, or libraries it needs are not here. */
function installCuda(): string {
  const package_ = dirname(require.resolve('onnxruntime-node/package.json'));
  const library = join(package_, 'bin', 'napi-v6', process.platform, process.arch, 'libonnxruntime_providers_cuda.so');
  return existsSync(library)
    ? `see what it lacks with \`ldd ${library}\` (docs/guide-gpu.md), or choose provider cpu`
    : `fetch it with \`ONNXRUNTIME_NODE_INSTALL=true node ${join(package_, 'script', 'install.js')}\` (docs/guide-gpu.md), or choose provider cpu`;
}

const INSTALL: Record<Provider, () => string> = {
  cpu: () => 'run `npm install onnxruntime-node` again',
  cuda: installCuda,
  webgpu: () => 'install a graphics driver with Vulkan (Debian: `apt-get install libvulkan1 mesa-vulkan-drivers`), or choose provider cpu',
};

function loadOnnxRuntime(): typeof Ort {
  try {
    // eslint-disable-next-line @typescript-eslint/no-require-imports -- an optional peer, loaded only when somebody predicts
    return require('onnxruntime-node') as typeof Ort;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND' && String(cause).includes(`'onnxruntime-node'`)) {
      throw new TracinError('ERR_TRACIN_ENGINE', 'onnxruntime-node is not installed: run `npm install onnxruntime-node`', { cause });
    }
    const message = `onnxruntime-node does not load here (${oneLine(cause)}): run \`npm install onnxruntime-node\` on this machine`;
    throw new TracinError('ERR_TRACIN_ENGINE', message, { cause });
  }
}

function oneLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\s+/g, ' ').slice(0, 300);
}

interface Created {
  readonly session: Ort.InferenceSession;
  /** Folder of the profile that a session of mixed providers writes. */
  readonly profile?: string;
}

/**
 * A session whose nodes all run on the provider asked for. Where some can only run on the CPU (shape arithmetic of foreign
 * exporters) its first run is profiled: onnxruntime by itself would move any of them, and all of them, without a word.
 */
async function createSession(ort: typeof Ort, options: OpenArgument): Promise<Created> {
  const { model, provider, source } = options;
  const create = (more: Ort.InferenceSession.SessionOptions): Promise<Ort.InferenceSession> => {
    const settings = { executionProviders: [provider], intraOpNumThreads: options.threads, logSeverityLevel: 4 as const, ...more };
    return typeof model === 'string' ? ort.InferenceSession.create(model, settings) : ort.InferenceSession.create(model, settings);
  };
  if (provider === 'cpu') {
    return { session: await create({}).catch((error: unknown) => refuseModel(error, source)) };
  }
  try {
    return { session: await create({ extra: { session: { disable_cpu_ep_fallback: '1' } } }) };
  } catch (error) {
    if (!oneLine(error).includes('fallback to CPU EP')) {
      const message = `provider ${provider} is not available here (${oneLine(error)}): ${INSTALL[provider]()}`;
      throw new TracinError('ERR_TRACIN_ENGINE', message, { cause: error });
    }
    const profile = mkdtempSync(join(tmpdir(), 'tracin-placement-'));
    const profiling = { enableProfiling: true, profileFilePrefix: join(profile, 'run') };
    const session = await create(profiling).catch((cause: unknown) => refuseModel(cause, source));
    return { session, profile };
  }
}

/** One line on where the nodes of a session of mixed providers ran. */
function placementWords({ session, profile }: Created, { source, provider }: OpenArgument): string {
  session.endProfiling();
  const { there, elsewhere, operators } = readPlacement(readFileSync(join(profile!, readdirSync(profile!)[0]!), 'utf8'), provider);
  if (there === 0) {
    const message = `${source}: nothing of it ran on ${provider}, all ${elsewhere} nodes on cpu: choose provider cpu, or export the network again`;
    throw new TracinError('ERR_TRACIN_ENGINE', message);
  }
  return `${source}: ${there} nodes run on ${provider}, ${elsewhere} on cpu (${operators.join(', ')})`;
}

function refuseModel(error: unknown, source: string): never {
  throw new TracinError('ERR_TRACIN_GRAPH', `onnxruntime cannot open ${source} (${oneLine(error)}): export the network again`, {
    cause: error,
  });
}

serve(() => {
  let runtime: typeof Ort | undefined;
  let session: Ort.InferenceSession | undefined;
  let profile: string | undefined;
  let placement: (() => string) | undefined;

  return {
    async open(options: OpenArgument): Promise<Served> {
      runtime = loadOnnxRuntime();
      runtime.env.logLevel = 'fatal'; // failures arrive as errors, which say more than the log
      const provider = runtime.listSupportedBackends().find(({ name }) => name === options.provider);
      if (!provider) {
        const message = `provider ${options.provider} is not part of onnxruntime-node on ${process.platform}-${process.arch}: choose provider cpu`;
        throw new TracinError('ERR_TRACIN_ENGINE', message);
      }
      const created = await createSession(runtime, options);
      ({ session, profile } = created);
      if (profile !== undefined) placement = () => placementWords(created, options);
      const missing = options.outputs.find((name) => !created.session.outputNames.includes(name));
      if (missing !== undefined) throw new TracinError('ERR_TRACIN_INTERNAL', `${options.source}: no output ${missing}`);
      return { result: { version: runtime.env.versions.node ?? 'unknown', mixed: profile !== undefined } satisfies OpenResult };
    },

    /** After the first run of a session of mixed providers. */
    async placement(): Promise<Served> {
      return { result: placement!() };
    },

    async run({ images, shape, output, labels }: RunArgument): Promise<Served> {
      if (!runtime || !session) throw new TracinError('ERR_TRACIN_INTERNAL', 'inference session is not open');
      const feeds = { [session.inputNames[0]!]: new runtime.Tensor('float32', images, shape) };
      let answer: Ort.Tensor;
      try {
        answer = (await session.run(feeds, [output]))[output]!;
      } catch (cause) {
        const message = `onnxruntime failed on images [${shape.join(', ')}] (${oneLine(cause)}): try a size divisible by the network's stride, or a smaller batch`;
        throw new TracinError('ERR_TRACIN_ENGINE', message, { cause });
      }
      if (shape[0] !== answer.dims[0] || shape.slice(2).join() !== answer.dims.slice(2).join()) {
        const message = `images [${shape.join(', ')}] give ${output} [${answer.dims.join(', ')}]: take a size divisible by the network's stride`;
        throw new TracinError('ERR_TRACIN_DATA', message);
      }
      const data = (await answer.getData()) as Float32Array;
      if (labels) {
        const result = argmaxLabels(
          data,
          answer.dims[1]!,
          answer.dims.slice(2).reduce((product, n) => product * n, 1),
        );
        return { result, transfer: [result.buffer as ArrayBuffer] };
      }
      // a copy: the memory is onnxruntime's own and cannot be handed over
      const result = data.slice();
      return { result, transfer: [result.buffer] };
    },

    async close(): Promise<Served> {
      await session?.release();
      session = undefined;
      if (profile !== undefined) rmSync(profile, { recursive: true, force: true });
      return { result: undefined };
    },
  };
});
