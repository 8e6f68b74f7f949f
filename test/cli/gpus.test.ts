/** The command line on GPUs: two that the cpu engine stands in for. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readNpy } from '../../lib/npy';
import { LEARNING_RATES, openTiny, type Tiny } from '../influence/support/tiny';
import { cpu } from '../support/engines';
import { tracin, type Outcome } from '../support/cli';
import { canStandIn, standInGpus } from '../support/stand-in-gpu';
import { contents } from '../support/folders';
import { relativeError } from '../support/numbers';

let dir: string;
let tiny: Tiny;
let env: Record<string, string>;

(cpu && canStandIn ? describe : describe.skip)('with two GPUs', () => {
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'tracin-gpus-'));
    tiny = await openTiny(3, 40);
    env = { TRACIN_CUDA_LIBRARY: standInGpus(dir) };
  });
  afterAll(async () => {
    await tiny.close();
    await rm(dir, { recursive: true, force: true });
  });

  function influence(out: string, ...words: string[]): Promise<Outcome> {
    const arrays = (['train', 'test'] as const).flatMap((role) =>
      ['images', 'labels'].flatMap((what) => [`--${role}-${what}`, join(tiny.dir, `${role}-${what}.npy`)]),
    );
    const networks = ['--checkpoints', tiny.checkpoints.join(), '--learning-rates', LEARNING_RATES.join()];
    return tracin(['influence', ...networks, ...arrays, '--region', 'truth', '--out', join(dir, out), ...words], { env });
  }

  async function arrays(out: string): Promise<Record<string, string>> {
    const files = await contents(join(dir, out));
    return Object.fromEntries(Object.entries(files).filter(([name]) => name.endsWith('.npy')));
  }

  it('devices lists both', async () => {
    const { stdout } = await tracin(['devices', '--json'], { env });
    const { engines } = JSON.parse(stdout) as { engines: { name: string; description: string }[] };
    expect(engines.slice(0, 2)).toEqual([
      { name: 'cuda:0', available: true, description: 'cuda:0: stand-in 0' },
      { name: 'cuda:1', available: true, description: 'cuda:1: stand-in 1' },
    ]);
  });

  it('influence has the same bytes on one and on both, and nearly those of the cpu', async () => {
    const outcomes = await Promise.all([
      influence('cpu', '--device', 'cpu'),
      influence('auto'),
      influence('both', '--device', 'cuda:1,cuda:0'),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual([0, 0, 0]);
    expect(outcomes[1].stderr).toContain('engine cuda:0: stand-in 0 (picked by auto)');
    expect(outcomes[2].stderr).toMatch(/engine cuda:1: stand-in 1\n.*engine cuda:0: stand-in 0\n/s);
    expect(outcomes[2].stderr).toMatch(/memory of each of 2 devices: .* of 921\.6 MiB/);
    const one = await arrays('auto');
    expect(Object.keys(one)).toContain('scores.npy');
    expect(await arrays('both')).toEqual(one);
    // The cpu engine works in boxes of its own, so its sums run in another order.
    const [own, stoodIn] = await Promise.all(['cpu', 'auto'].map((out) => readNpy(join(dir, out, 'scores.npy'))));
    expect(stoodIn!.shape).toEqual(own!.shape);
    expect(relativeError(stoodIn!.data as Float32Array, own!.data as Float32Array)).toBeLessThan(1e-5);
    const { engine } = JSON.parse(await readFile(join(dir, 'both', 'study.json'), 'utf8')) as { engine: object };
    expect(engine).toEqual({
      name: 'cuda',
      description: 'cuda:1: stand-in 1; cuda:0: stand-in 0',
      device: 'cuda:1,cuda:0',
      precision: 'f32',
    });
  });

  it.each([
    [['--device', 'cuda:2'], 'cuda: there is no cuda:2, the last one is cuda:1'],
    [['--device', 'cuda:0,cuda:1', '--precision', 'bf16'], 'cuda:1: compute capability 7.5 has no tf32 and bf16'],
    [['--device', 'cuda:0', '--precision', 'tf32'], 'cuda: the stand-in has no operator Conv in this precision'],
  ])('%j is refused', async (words, message) => {
    const { status, stderr } = await influence('refused', ...words);
    expect(stderr.trimEnd().split('\n').at(-1)).toBe(`error: ${message}`);
    expect(status).toBe(1);
  });
});
