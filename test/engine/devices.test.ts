import { listDevices, openEngine, openEngines, type DeviceName } from '../../lib/engine';
import type { Precision } from '../../lib/engine/engine';
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
    expect(notes[1]).toMatch(/^not cuda: /);
    expect(notes).toHaveLength(cpu ? 2 : 3);
  });

  it('does not take another engine for a missing one', async () => {
    await expect(openEngine('cuda:99')).rejects.toMatchObject({ code: 'ERR_TRACIN_ENGINE', message: expect.stringMatching(/^cuda: /) });
  });

  it.each([
    ['reference', 'bf16', 'ERR_TRACIN_USAGE', 'reference: has no bf16, only cuda and cpu can have it: use f32, or another device'],
    ['cpu', 'tf32', 'ERR_TRACIN_USAGE', 'cpu: has no tf32, only cuda can have it: use f32, or another device'],
    ['cpu', 'f16', 'ERR_TRACIN_USAGE', "openEngine: options.precision is 'f16': give one of f32, tf32, bf16, or leave it out"],
  ])('refuses %s in %s', async (device, precision, code, message) => {
    await expect(openEngine(device as DeviceName, { precision: precision as Precision })).rejects.toMatchObject({ code, message });
  });

  it('auto passes over engines without the precision and says so', async () => {
    const opened = openEngine('auto', { precision: 'tf32' });
    // where there is a GPU, it has it
    await opened.then(
      ({ engine }) => expect(engine).toMatchObject({ name: 'cuda', precision: 'tf32' }),
      (error: unknown) =>
        expect(error).toMatchObject({
          code: 'ERR_TRACIN_ENGINE',
          message: expect.stringMatching(
            /^no engine here computes in tf32: not cuda: .*; not cpu: has no tf32.*; not reference: has no tf32/,
          ),
        }),
    );
  });

  it.each(['tpu', 'cpu:0', 'cpu,cpu', 'cuda:0,cuda:0', 'cuda:0,cpu', 'cuda:', 'cuda,'])('refuses device %s', async (device) => {
    await expect(openEngines(device as DeviceName)).rejects.toMatchObject({ code: 'ERR_TRACIN_USAGE' });
  });

  it('takes one device for work of one', async () => {
    await expect(openEngine('cuda:0,cuda:1')).rejects.toMatchObject({
      code: 'ERR_TRACIN_USAGE',
      message: 'device: cuda:0,cuda:1 are several, and this is work for one: name one of them',
    });
  });

  it.each([0, 1.5, NaN])('refuses %s threads', async (threads) => {
    await expect(openEngine('auto', { threads })).rejects.toMatchObject({ code: 'ERR_TRACIN_USAGE' });
  });
});

it('listDevices names every engine, with why one is missing', async () => {
  const devices = await listDevices();
  expect(devices.map(({ name }) => name.replace(/:.*/, '')).filter((name, i, all) => name !== all[i - 1])).toEqual([
    'cuda',
    'cpu',
    'reference',
  ]);
  for (const device of devices) expect(device.available ? device.description : device.reason).toMatch(new RegExp(`^${device.name}: `));
  expect(devices.find(({ name }) => name === 'cpu')?.available).toBe(cpu !== undefined);
});
