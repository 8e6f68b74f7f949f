/** Influence maps as layers over the slices of a report. */
import { pairMaps, type MapPair } from '../explanation/maps';
import type { Role } from '../influence/batches';
import type { OnProgress } from '../progress';
import type { Shelf } from './album';
import type { ReportSubject } from './build';
import type { PicturedMaps } from './model';

/** Both maps of a pair of regions; undefined where they could not be had. */
export type MapLayers = (pair: MapPair) => PicturedMaps | undefined;

const keyOf = ({ test, class: name, train, trainClass }: MapPair): string =>
  JSON.stringify([test.case, test.slice, name, train.case, train.slice, trainClass]);

/** Draws the maps of all pairs a report shows: with an engine those that the study lacks are computed. */
export async function drawMapLayers(
  { study, engine, run, test, train }: ReportSubject,
  pairs: readonly MapPair[],
  shelves: Readonly<Record<Role, Shelf>>,
  { signal, onProgress }: { readonly signal?: AbortSignal | undefined; readonly onProgress?: OnProgress | undefined },
): Promise<MapLayers> {
  const unique = [...new Map(pairs.map((pair) => [keyOf(pair), pair])).values()];
  const maps = await pairMaps(unique, {
    study,
    engine,
    run,
    sources: { ...(test && { test }), ...(train && { train }) },
    signal,
    onProgress,
  });
  const layers = new Map<string, PicturedMaps>();
  for (const { map, side, score, ...pair } of maps) {
    const key = keyOf(pair);
    const place = await shelves[side].drawMap(pair[side].case, map);
    layers.set(key, { ...(layers.get(key) ?? { train: place, test: place }), score, [side]: place });
  }
  return (pair) => layers.get(keyOf(pair));
}
