/** The CUDA engine's library: where it is, whether it works here (tried in a process of its own), and what to do where it does not. */
import { fork } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { TracinError } from '../errors';
import { Once } from '../once';
import { compiledModule } from '../worker-thread';
import { buildWords, loadAddon, locateAddon } from './addon';
import type { Engine, Precision } from './engine';
import { openNativeEngine } from './native';

export interface CudaDevice {
  /** Its name, capability, memory, and the versions that drive it. */
  readonly description: string;
  /** Why it cannot compute in a precision, or ''. */
  readonly missing: Readonly<Record<Precision, string>>;
}
export type CudaStatus = { readonly devices: readonly CudaDevice[] } | { readonly reason: string };

/** Milliseconds for a driver to start in; with eight GPUs and no persistence daemon it takes up to 20 s. */
const PATIENCE = 60_000;

const GUIDE = 'see docs/guide-gpu.md';

const failed = (reason: string): TracinError => new TracinError('ERR_TRACIN_ENGINE', `cuda: ${reason}`);

/**
 * Beside the addon, or where TRACIN_CUDA_LIBRARY says.
 * @throws ERR_TRACIN_ENGINE when it was not built, saying why
 */
export function cudaLibrary(): string {
  const named = process.env.TRACIN_CUDA_LIBRARY;
  if (named) return named;
  const folder = dirname(locateAddon('cuda').file);
  const library = join(folder, 'libtracin-cuda.so');
  if (existsSync(library)) return library;
  const told = join(folder, 'libtracin-cuda.txt');
  const why = existsSync(told) ? readFileSync(told, 'utf8').trim() : `there is no ${library}`;
  throw failed(`this build has no CUDA engine: ${why}; mend that and run ${buildWords(undefined, true)} (${GUIDE})`);
}

/** Opens the library in a child process, which may crash or hang, and asks it for its devices. */
export function probeCuda(addon: string, library: string, patience = PATIENCE): Promise<CudaStatus> {
  return new Promise((resolve) => {
    const child = fork(compiledModule('engine/cuda-probe'), [addon, library], { execArgv: [], stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    let words = '';
    let answer: CudaStatus | undefined;
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, patience);
    child.stderr!.on('data', (chunk: Buffer) => (words = (words + chunk.toString()).slice(0, 2000)));
    child.on('message', (status: CudaStatus) => (answer = status));
    child.on('error', (error) => (words += error.message));
    child.on('close', (status, signal) => {
      clearTimeout(timer);
      const end = late ? `did not answer in ${patience / 1000} s` : `ended its process (${signal ?? `status ${status}`})`;
      const said = words.trim().split('\n')[0];
      resolve(answer ?? { reason: `${library} ${end}${said ? `: ${said}` : ''}: check the driver with nvidia-smi (${GUIDE})` });
    });
  });
}

/** What the loader says about a library that one of ours needs, and what to do about it. */
const REMEDIES: readonly [RegExp, string][] = [
  [/^(libcudnn\w*\.so\S*):/, 'cuDNN 9 is where it was when this was built no longer: `pip install nvidia-cudnn-cu13` (or -cu12)'],
  [/^(libcublas\w*\.so\S*|libnvrtc\S*):/, 'cuBLAS is where it was when this was built no longer: `pip install nvidia-cublas`'],
];

function explained(reason: string): string {
  const remedy = REMEDIES.find(([pattern]) => pattern.test(reason));
  return remedy ? `${reason}: ${remedy[1]}, then ${buildWords(undefined, true)} (${GUIDE})` : reason;
}

const statuses = new Once<CudaStatus>();

/**
 * The GPUs here. Asked once for each process: a second call knows the answer.
 * @throws ERR_TRACIN_ENGINE saying what is missing: the library, one it needs, the driver, a device
 */
export async function cudaDevices(): Promise<readonly CudaDevice[]> {
  const library = cudaLibrary();
  const status = await statuses.get(library, () => probeCuda(locateAddon('cuda').file, library));
  if ('reason' in status) throw failed(explained(status.reason));
  if (status.devices.length === 0) throw failed('no GPU is visible: check nvidia-smi and CUDA_VISIBLE_DEVICES');
  return status.devices;
}

/** @throws ERR_TRACIN_ENGINE when there is no such GPU, or it cannot compute in that precision */
export async function openCudaEngine(index: number, precision: Precision): Promise<Engine> {
  const devices = await cudaDevices();
  const device = devices[index];
  if (!device) throw failed(`there is no cuda:${index}, the last one is cuda:${devices.length - 1}`);
  if (device.missing[precision]) throw new TracinError('ERR_TRACIN_ENGINE', `cuda:${index}: ${device.missing[precision]}`);
  loadAddon('cuda').openCuda(cudaLibrary());
  return openNativeEngine('cuda', { device: index, precision, description: device.description });
}
