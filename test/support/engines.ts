/** The engines the conformance suite runs on. */
import { loadAddon } from '../../lib/engine/addon';
import { cudaLibrary } from '../../lib/engine/cuda';
import type { Engine } from '../../lib/engine/engine';
import { openNativeEngine } from '../../lib/engine/native';
import { openReferenceEngine } from '../../lib/engine/reference';

export const reference: Engine = openReferenceEngine();

function openCpu(): Engine | undefined {
  try {
    return openNativeEngine('cpu', { threads: 2 });
  } catch (error) {
    // Where the addon must have been built, a missing one is a failure, not a shorter test run.
    if (process.env.CI || process.env.TRACIN_REQUIRE_CPU) throw error;
    console.warn(`engine cpu is not tested: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}

/** The C++ engine, undefined where its addon is not built. */
export const cpu = openCpu();

function openCuda(): Engine | undefined {
  try {
    loadAddon('cuda').openCuda(cudaLibrary());
    return openNativeEngine('cuda');
  } catch (error) {
    if (process.env.TRACIN_REQUIRE_CUDA) throw error;
    return undefined; // no GPU here, as nearly everywhere
  }
}

/** The CUDA engine on the first GPU, undefined where there is none. */
export const cuda = openCuda();

/** Engines of float32. */
const NATIVE: readonly Engine[] = [cpu, cuda].filter((engine) => engine !== undefined);

/** Whether the CUDA engine's device is the one that the host emulates. */
export const emulated = cuda?.description.includes('emulated by the host') ?? false;

export const ENGINES: readonly Engine[] = [reference, ...NATIVE];

/** How near an engine's numbers come to the reference's, as a share of the largest. */
export const TOLERANCE: Readonly<Record<Engine['name'], number>> = { reference: 0, cpu: 2e-5, cuda: 2e-5 };

/** `describe` for every engine of float32, its name first; skipped where there is none. */
export function describeNative(name: string, body: (engine: Engine) => void): void {
  for (const engine of NATIVE) describe(`${engine.name} ${name}`, () => body(engine));
  if (NATIVE.length === 0) describe.skip(`native ${name} (no engine is built)`, () => it('runs', () => undefined));
}
