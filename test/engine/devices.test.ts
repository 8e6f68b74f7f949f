import { listDevices, openEngine } from '../../lib/engine';
import { cpu } from '../support/engines';

describe('openEngine', () => {
  it('opens the engine asked for and says so', async () => {
    const { engine, notes } = await openEngine('reference');
    expect(engine.name).toBe('reference');
    expect(notes).toEqual([`engine ${engine.description}`]);
  });

  it('auto takes the fastest there is and says why not a faster one', async () => {
    const { engine, notes } = await openEngine('auto', { threads: 1 });
    expect(engine.name).toBe(cpu ? 'cpu' : 'reference');
    expect(notes[0]).toBe(`engine ${engine.description} (picked by auto)`);
    expect(notes[1]).toMatch(/^not cuda: this build has no CUDA engine/);
    expect(notes).toHaveLength(cpu ? 2 : 3);
  });

  it('does not take another engine for a missing one', async () => {
    await expect(openEngine('cuda')).rejects.toMatchObject({ code: 'ERR_TRACIN_ENGINE', message: expect.stringContaining('CUDA') });
  });

  it.each([0, 1.5, NaN])('refuses %s threads', async (threads) => {
    await expect(openEngine('auto', { threads })).rejects.toMatchObject({ code: 'ERR_TRACIN_USAGE' });
  });

  it('refuses an unknown name', async () => {
    await expect(openEngine('tpu' as 'cpu')).rejects.toMatchObject({ code: 'ERR_TRACIN_USAGE', message: expect.stringContaining('tpu') });
  });
});

it('listDevices names every engine, with why one is missing', async () => {
  const devices = await listDevices();
  expect(devices.map(({ name }) => name)).toEqual(['cuda', 'cpu', 'reference']);
  for (const device of devices) expect(device.available ? device.description : device.reason).toMatch(new RegExp(`^${device.name}: `));
  expect(devices.find(({ name }) => name === 'cpu')?.available).toBe(cpu !== undefined);
});
