/** Which engines are here, and the one a device name means. */
import { TracinError } from '../errors';
import type { Engine, EngineName } from './engine';
import { openNativeEngine } from './native';
import { openReferenceEngine } from './reference';

export type DeviceName = 'auto' | EngineName;

/** One line each: what runs it, or why it is missing. */
export type Device =
  | { readonly name: EngineName; readonly available: true; readonly description: string }
  | { readonly name: EngineName; readonly available: false; readonly reason: string };

export interface EngineOptions {
  /** CPU threads of the `cpu` engine; as many as there are cores when absent. */
  readonly threads?: number | undefined;
}

/** Fastest first: the order in which `auto` tries. */
const ENGINES: readonly EngineName[] = ['cuda', 'cpu', 'reference'];

/** @throws ERR_TRACIN_ENGINE saying why the engine is missing */
function open(name: EngineName, { threads }: EngineOptions): Engine {
  if (name === 'reference') return openReferenceEngine();
  if (name === 'cuda') throw new TracinError('ERR_TRACIN_ENGINE', 'cuda: this build has no CUDA engine; use cpu');
  return openNativeEngine(name, { threads });
}

/**
 * Opens the engine of a device; `auto` takes cuda, else cpu, else reference.
 * @returns the engine, and one line for people on each choice: what was picked, and why those before it were not
 * @throws ERR_TRACIN_ENGINE when the device asked for is missing, ERR_TRACIN_USAGE when there is none of that name
 */
export async function openEngine(device: DeviceName, options: EngineOptions = {}): Promise<{ engine: Engine; notes: string[] }> {
  const { threads } = options;
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1)) {
    throw new TracinError('ERR_TRACIN_USAGE', `threads: ${threads} must be a whole number, at least 1`);
  }
  if (device !== 'auto') {
    if (!ENGINES.includes(device)) {
      throw new TracinError('ERR_TRACIN_USAGE', `device: ${String(device)} is unknown; use auto, ${ENGINES.join(', ')}`);
    }
    const engine = open(device, options);
    return { engine, notes: [`engine ${engine.description}`] };
  }
  const missing: string[] = [];
  for (const name of ENGINES) {
    try {
      const engine = open(name, options);
      return { engine, notes: [`engine ${engine.description} (picked by auto)`, ...missing] };
    } catch (error) {
      if (!isMissing(error)) throw error;
      missing.push(`not ${error.message}`);
    }
  }
  throw new TracinError('ERR_TRACIN_INTERNAL', `no engine opened: ${missing.join('; ')}`);
}

/** Every engine this package knows, with why any is missing. */
export async function listDevices(options: EngineOptions = {}): Promise<Device[]> {
  return ENGINES.map((name) => {
    try {
      return { name, available: true, description: open(name, options).description };
    } catch (error) {
      if (!isMissing(error)) throw error;
      return { name, available: false, reason: error.message };
    }
  });
}

function isMissing(error: unknown): error is TracinError {
  return error instanceof TracinError && error.code === 'ERR_TRACIN_ENGINE';
}
