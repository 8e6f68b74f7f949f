/** The native engines behind the Engine contract. */
import { coresHere } from '../cores';
import { TracinError } from '../errors';
import type { Graph } from '../graph/graph';
import { lower } from '../graph/lower';
import { loadAddon, type AddonChoice } from './addon';
import type { CompileOptions, Engine, Precision, Program } from './engine';
import { layoutOf } from './layout';
import { NativeProgram, rethrown } from './native-program';
import { checkCompile, checkFinite, checkpointValues } from './validate';

/** What a native engine is opened with; `description` where it is known already. */
export interface NativeOptions {
  readonly threads?: number | undefined;
  /** Index of the GPU. */
  readonly device?: number | undefined;
  readonly precision?: Precision | undefined;
  readonly description?: string | undefined;
  /** What edges of support boxes at the logits are multiples of, in place of the engine's own; larger than a slice: no boxes but whole maps. */
  readonly quantum?: number | undefined;
}

/**
 * @param options.threads of the engine's own loops and the library's; one for each core when absent
 * @throws ERR_TRACIN_ENGINE saying where the addon was looked for and how to build it, or why it cannot compute so here
 */
export function openNativeEngine(name: AddonChoice['engine'], options: NativeOptions = {}): Engine {
  const addon = loadAddon(name);
  const choice: AddonChoice = {
    engine: name,
    threads: options.threads ?? coresHere(),
    device: options.device ?? 0,
    precision: options.precision ?? 'f32',
  };
  const { threads, precision } = choice;
  const device = name === 'cuda' ? `cuda:${choice.device}` : name;
  const reason = addon.missing(choice);
  if (reason) throw new TracinError('ERR_TRACIN_ENGINE', `${device}: ${reason}`);
  const words = [options.description ?? addon.describe(choice)];
  if (name === 'cpu') words.push(`${threads} thread${threads === 1 ? '' : 's'}`);
  if (precision !== 'f32') words.push(precision);
  return {
    name,
    device,
    precision,
    description: `${device}: ${words.join(', ')}`,
    async compile(graph: Graph, compileOptions: CompileOptions): Promise<Program> {
      checkCompile(graph, compileOptions);
      const lowered = lower(graph, compileOptions.size, { output: compileOptions.output });
      const layout = layoutOf(lowered, compileOptions);
      const selected = layout.parameters.map(
        ({ name: wanted }) => lowered.parameters.find((parameter) => parameter.name === wanted)!.value,
      );
      try {
        const compiled = addon.compile({ ...lowered, selected }, choice);
        compiled.catch(() => undefined); // told below
        checkFinite(checkpointValues(lowered, graph, graph), graph.source);
        return new NativeProgram(addon, await compiled, graph, lowered, layout, options.quantum);
      } catch (error) {
        throw rethrown(error);
      }
    },
  };
}
