/** The engines the conformance suite runs on. */
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

export const ENGINES: readonly Engine[] = cpu ? [reference, cpu] : [reference];

/** How near an engine's numbers come to the reference's, as a share of the largest. */
export const TOLERANCE: Readonly<Record<Engine['name'], number>> = { reference: 0, cpu: 2e-5, cuda: 2e-5 };

/** `describe` for engines of float32, skipped by name where there is none. */
export function describeNative(name: string, body: (engine: Engine) => void): void {
  if (cpu) describe(name, () => body(cpu));
  else describe.skip(`${name} (engine cpu is not built)`, () => it('runs', () => undefined));
}
