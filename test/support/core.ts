/** The reference engine without its thread, and derivatives of its losses by finite differences. */
import type { RegionBatch, RegionLoss } from '../../lib/engine/engine';
import { layoutOf, type Layout } from '../../lib/engine/layout';
import { ReferenceProgram } from '../../lib/engine/reference/core';
import { probabilities, regionLoss } from '../../lib/engine/reference/losses';
import { zeros } from '../../lib/engine/reference/tensor';
import { checkpointValues } from '../../lib/engine/validate';
import type { Graph } from '../../lib/graph/graph';
import { lower } from '../../lib/graph/lower';
import type { Lowered } from '../../lib/graph/lowered';
import type { Numbers } from './numbers';

export interface Core {
  readonly program: ReferenceProgram;
  readonly layout: Layout;
  readonly values: Map<string, Numbers>;
}

export function referenceCore(graph: Graph, size: readonly number[], parameters?: readonly string[]): Core {
  const lowered = lower(graph, size);
  return loweredCore(lowered, checkpointValues(lowered, graph, graph), parameters);
}

/** @param values parameters and running statistics by name */
export function loweredCore(lowered: Lowered, values: Map<string, Numbers>, parameters?: readonly string[]): Core {
  const layout = layoutOf(lowered, { parameters });
  const program = new ReferenceProgram(lowered, layout);
  program.load(values, 'test network');
  return { program, layout, values };
}

/**
 * Losses of the regions, [B, K], from logits [B, C, …].
 * @param visit gets each region with its loss's derivative with respect to the logits of its slice, [C, …], overwritten by the next
 */
export function lossesFrom(
  logits: Numbers,
  layout: Pick<Layout, 'logits' | 'classes' | 'pixels' | 'size'>,
  batch: RegionBatch,
  loss: RegionLoss,
  visit?: (region: number, cotangent: Float64Array) => void,
): Float64Array {
  const { logits: channels, classes, pixels, size } = layout;
  const slices = batch.targets.length / pixels;
  const cotangent = zeros([1, channels, ...size]);
  return Float64Array.from({ length: slices * classes }, (_, region) => {
    const n = Math.floor(region / classes);
    const data = Float64Array.from(logits.subarray(n * channels * pixels, (n + 1) * channels * pixels));
    const targets = batch.targets.subarray(n * pixels, (n + 1) * pixels);
    const mask = batch.masks.subarray(region * pixels, (region + 1) * pixels);
    const value = regionLoss(loss, probabilities({ dims: cotangent.dims, data }), targets, mask, (region % classes) + 1, cotangent);
    visit?.(region, cotangent.data);
    return value;
  });
}

/** Losses of the regions, [B, K], by forward passes alone. */
function lossesOf({ program, layout }: Core, batch: RegionBatch, loss: RegionLoss): Float64Array {
  return lossesFrom(program.forward(batch.images, false).logits, layout, batch, loss);
}

/** Slopes of the losses [B, K] when the logits move along tangents [B, C, …]. */
export function slopesAlong(
  { logits, tangents }: { readonly logits: Numbers; readonly tangents: Numbers },
  layout: Pick<Layout, 'logits' | 'classes' | 'pixels' | 'size'>,
  batch: RegionBatch,
  loss: RegionLoss,
): Float64Array {
  const slopes = new Float64Array(batch.masks.length / layout.pixels);
  lossesFrom(logits, layout, batch, loss, (region, cotangent) => {
    const first = Math.floor(region / layout.classes) * cotangent.length;
    for (let i = 0; i < cotangent.length; i++) slopes[region]! += cotangent[i]! * tangents[first + i]!;
  });
  return slopes;
}

/** Central differences of the losses [B, K] when a parameter moves along a direction of its shape. */
export function directionalDifference(
  core: Core,
  batch: RegionBatch,
  loss: RegionLoss,
  parameter: string,
  direction: Numbers,
  h = 1e-5,
): Float64Array {
  const { program, values } = core;
  const at = (shift: number): Float64Array => {
    const moved = Float64Array.from(values.get(parameter)!, (theta, i) => theta + shift * direction[i]!);
    program.load(new Map(values).set(parameter, moved), 'moved');
    return lossesOf(core, batch, loss);
  };
  const above = at(h);
  const below = at(-h);
  program.load(values, 'restored');
  return above.map((loss, i) => (loss - below[i]!) / (2 * h));
}

/** Central differences of the logits [B, C, …] when all selected parameters move along a direction [P]. */
export function logitsDifference(core: Core, images: Float32Array, direction: Numbers, h: number): Float64Array {
  const { program, layout, values } = core;
  const at = (shift: number): Float64Array => {
    const moved = new Map(values);
    for (const { name, offset } of layout.parameters) {
      moved.set(
        name,
        Float64Array.from(values.get(name)!, (theta, i) => theta + shift * direction[offset + i]!),
      );
    }
    program.load(moved, 'moved');
    return program.forward(images, false).logits;
  };
  const above = at(h);
  const below = at(-h);
  program.load(values, 'restored');
  return above.map((y, i) => (y - below[i]!) / (2 * h));
}

/** Slope of the losses [B, K] along a direction, from gradients [B, K, P]. */
export function directionalDerivative(gradients: Numbers, parameterCount: number, offset: number, direction: Numbers): Float64Array {
  return Float64Array.from({ length: gradients.length / parameterCount }, (_, region) => {
    let sum = 0;
    for (let i = 0; i < direction.length; i++) sum += gradients[region * parameterCount + offset + i]! * direction[i]!;
    return sum;
  });
}
