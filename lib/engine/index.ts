/** Which engines are here, and the one a device name means. */
import { TracinError } from '../errors';
import { check, kindOf, oneOf, optional, shape, whole, type Kind } from '../kinds';
import { cudaDevices, openCudaEngine } from './cuda';
import { DEVICE_WORDS, ENGINES, placesOf, type DeviceName, type Place } from './device';
import { PRECISIONS, type Engine, type EngineName, type Precision } from './engine';
import { openNativeEngine } from './native';
import { openReferenceEngine } from './reference';

export type { DeviceName } from './device';

/** One line each: what runs it, or why it is missing. Of several GPUs each is a device. */
export type Device =
  | { readonly name: EngineName | `cuda:${number}`; readonly available: true; readonly description: string }
  | { readonly name: EngineName | `cuda:${number}`; readonly available: false; readonly reason: string };

/** How an engine computes: its threads and its precision. */
export interface EngineOptions {
  /** CPU threads of the `cpu` engine; one for each core when absent. */
  readonly threads?: number | undefined;
  /** f32 when absent. tf32 is cuda's; bf16 is for cuda and for processors that multiply it. */
  readonly precision?: Precision | undefined;
}

/** Precisions an engine can have at all; whether the machine has them is the engine's to say. */
const HAS: Readonly<Record<EngineName, readonly Precision[]>> = { reference: ['f32'], cpu: ['f32', 'bf16'], cuda: PRECISIONS };

/** @throws ERR_TRACIN_ENGINE saying why the engine is missing; ERR_TRACIN_USAGE for a precision it never has */
async function open({ engine, index }: Place, { threads, precision = 'f32' }: EngineOptions): Promise<Engine> {
  if (!HAS[engine].includes(precision)) {
    const having = ENGINES.filter((name) => HAS[name].includes(precision)).join(' and ');
    throw new TracinError('ERR_TRACIN_USAGE', `${engine}: has no ${precision}, only ${having} can have it: use f32, or another device`);
  }
  if (engine === 'reference') return openReferenceEngine();
  return engine === 'cuda' ? openCudaEngine(index, precision) : openNativeEngine(engine, { threads, precision });
}

const DEVICE: Kind<DeviceName> = kindOf(`a device: ${DEVICE_WORDS}`, (value) => typeof value === 'string');
const OPTIONS = shape<EngineOptions>({ threads: optional(whole(1)), precision: optional(oneOf(PRECISIONS)) });

/**
 * Opens the engines of a device name: one for each GPU it lists, else one; `auto` takes the first of cuda, cpu, reference that is here
 * and has the precision.
 * @returns the engines, and one line for people on each choice: what was picked, and why those before it were not
 * @throws ERR_TRACIN_ENGINE when a device asked for is missing, ERR_TRACIN_USAGE for one that cannot be meant
 */
export async function openEngines(
  device: DeviceName,
  options: EngineOptions = {},
): Promise<{ engines: readonly [Engine, ...Engine[]]; notes: string[] }> {
  check('openEngine', { device, options }, { device: DEVICE, options: OPTIONS });
  const places = placesOf(device);
  if (device !== 'auto') {
    const [first, ...rest] = await Promise.all(places.map((place) => open(place, options)));
    return { engines: [first!, ...rest], notes: [first!, ...rest].map(({ description }) => `engine ${description}`) };
  }
  const missing: string[] = [];
  for (const place of places) {
    try {
      const engine = await open(place, options);
      return { engines: [engine], notes: [`engine ${engine.description} (picked by auto)`, ...missing] };
    } catch (error) {
      if (!isRefusal(error)) throw error;
      missing.push(`not ${error.message}`);
    }
  }
  throw new TracinError('ERR_TRACIN_ENGINE', `no engine here computes in ${options.precision}: ${missing.join('; ')}`);
}

/**
 * Opens the engine of one device; `auto` takes the first of cuda, cpu, reference that is here and has the precision.
 * @returns the engine, and lines for people: what was picked, and why those before it were not
 * @throws ERR_TRACIN_ENGINE when it is missing here, or nothing here has the precision; ERR_TRACIN_USAGE for a device, a precision or a number
 *   of threads that cannot be meant, and for several devices
 */
export async function openEngine(device: DeviceName, options: EngineOptions = {}): Promise<{ engine: Engine; notes: string[] }> {
  if (device !== 'auto' && placesOf(device).length > 1) {
    throw new TracinError('ERR_TRACIN_USAGE', `device: ${device} are several, and this is work for one: name one of them`);
  }
  const { engines, notes } = await openEngines(device, options);
  return { engine: engines[0], notes };
}

/**
 * Every engine this package knows and every GPU, with why any is missing.
 * @throws ERR_TRACIN_USAGE for a precision there is not, or a number of threads that is none
 */
export async function listDevices(options: EngineOptions = {}): Promise<Device[]> {
  check('listDevices', { options }, { options: OPTIONS });
  const one = async (name: Device['name'], place: Place): Promise<Device> => {
    try {
      return { name, available: true, description: (await open(place, options)).description };
    } catch (error) {
      if (!isRefusal(error)) throw error;
      return { name, available: false, reason: error.message };
    }
  };
  const gpus = await cudaDevices().catch(() => []);
  const names = ENGINES.flatMap((engine): [Device['name'], Place][] =>
    engine === 'cuda' && gpus.length > 0 ? gpus.map((_, index) => [`cuda:${index}`, { engine, index }]) : [[engine, { engine, index: 0 }]],
  );
  return Promise.all(names.map(([name, place]) => one(name, place)));
}

/** Why a device was not taken, in place of a fault. */
function isRefusal(error: unknown): error is TracinError {
  return error instanceof TracinError && (error.code === 'ERR_TRACIN_ENGINE' || error.code === 'ERR_TRACIN_USAGE');
}
