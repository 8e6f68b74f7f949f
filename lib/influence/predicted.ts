/** The first pass of the last checkpoint over the training slices, where the forward pass that predicts their regions serves their gradients, too. */
import type { Program } from '../engine/engine';
import { programPredictor } from '../inference/predictor';
import { sizeOf } from '../engine/layout';
import { cut, withRegions, type ReadBatch } from './batches';
import type { Contracted, ContractionOptions, Lane, Part } from './contraction';
import { needsPrediction, regionLoss, type Definition } from './definition';
import { countRegions } from './prepare';
import { tileName } from './tiles';

/** Whether training slices are predicted so: where regions are predicted, by a program that leaves its maps. */
export function predictsWhereContracted(definition: Definition, { keptSlices }: Program): boolean {
  return needsPrediction(definition) && keptSlices > 0;
}

/** Writes the region tile of every range, and tells the products; of each range the tile comes first. */
export async function* predicted(
  { program, block }: Lane,
  batches: AsyncIterable<Part<ReadBatch>>,
  { sides: { train }, definition, tiles, signal }: ContractionOptions,
): AsyncGenerator<Contracted> {
  const predictor = programPredictor(program, '');
  const shape = [train.source.modalities.length, ...train.source.size];
  const pixels = sizeOf(train.source.size);
  const all = { counts: [] as Uint32Array[], labels: [] as Uint8Array[] };
  for await (const { range, slices } of batches) {
    for (const { start, end } of cut(slices, program.keptSlices)) {
      const [from, to] = [start - slices.start, end - slices.start];
      const some: ReadBatch = {
        start,
        end,
        images: slices.images.subarray(from * sizeOf(shape), to * sizeOf(shape)),
        labels: slices.labels?.subarray(from * pixels, to * pixels),
      };
      const labels = await predictor.labels(some.images, [end - start, ...shape], { signal });
      const batch = await withRegions(train, definition, some, labels);
      const found = program.contract(block, batch, regionLoss(definition), { signal, forwarded: true });
      found.catch(() => undefined); // met below
      all.counts.push(await countRegions(train, definition, some, labels));
      all.labels.push(labels);
      if (end === range.end) await tiles.write(tileName.regions('train', range), ...all.counts.splice(0), ...all.labels.splice(0));
      yield { range, start, end, found: await found };
    }
  }
}
