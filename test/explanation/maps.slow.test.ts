/** Maps of all pairs sum to T on every engine: each network of the zoo under every definition, and each network from elsewhere. */
import { NETWORKS } from '../../models/registry';
import { NETWORK_NAMES } from '../networks/stored';
import { ENGINES } from '../support/engines';
import { ALL, DEFINITIONS, LIMIT, storedStudy, worstMiss, zooStudy } from './support/sums';

const MINUTES = 300_000;

describe.each(ENGINES)('$name', (engine) => {
  it.each(NETWORKS.flatMap((network) => DEFINITIONS.map((definition) => ({ network, definition }))))(
    'maps of $network sum to T: $definition.loss, $definition.region',
    async ({ network, definition }) => {
      expect(await worstMiss(engine, await zooStudy(engine, network, definition), ALL)).toBeLessThan(LIMIT[engine.name]);
    },
    MINUTES,
  );

  it.each(NETWORK_NAMES)(
    'maps of %s sum to T',
    async (name) => {
      expect(await worstMiss(engine, await storedStudy(engine, name), ALL)).toBeLessThan(LIMIT[engine.name]);
    },
    MINUTES,
  );
});
