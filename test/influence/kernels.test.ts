/** Kernels remembered on a machine and recorded in a study: whoever goes on with it, anywhere, computes the same bytes. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KernelTable } from '../../lib/engine/engine';
import { takeFastestKernels } from '../../lib/engine/kernels';
import type { Graph } from '../../lib/graph/graph';
import { writeOnnx } from '../../lib/graph/onnx';
import { computeInfluence, computeShard, type InfluenceOptions } from '../../lib/influence/run';
import { trainingBatch } from '../support/batches';
import { cpu } from '../support/engines';
import { contents } from '../support/folders';
import { GraphBuilder } from '../support/graphs';
import { memorySource } from '../support/memory-source';

const SIZE = [12, 16];
const CLASSES = 3;
const TRAININGS = 6;

let folder: string;
let file: string;
const before = process.env.XDG_CACHE_HOME;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tracin-kernels-'));
  file = join(folder, 'network.onnx');
  await writeOnnx(file, network());
});
afterAll(async () => {
  process.env.XDG_CACHE_HOME = before;
  await rm(folder, { recursive: true, force: true });
});

/** 3 × 3 convolutions of 16 and more channels, for which there are several kernels. */
function network(): Graph {
  const g = new GraphBuilder({ seed: 4 });
  const pads = [1, 1, 1, 1];
  const first = g.node('Relu', [g.conv('image', 'first', 3, 16, [3, 3], { pads })]);
  const second = g.node('Relu', [g.conv(first, 'second', 16, 32, [3, 3], { pads })]);
  return g.build(g.mix(second, 'head', 32, 4));
}

function source(count: number, seed: number) {
  const { images, targets } = trainingBatch({ slices: count, size: SIZE }, seed);
  return memorySource({ images, targets, count, size: SIZE }, CLASSES);
}

const settings = (out: string): InfluenceOptions => ({
  train: source(TRAININGS, 1),
  test: source(2, 2),
  networks: { checkpoints: [file], learningRates: [0.1] },
  definition: { region: 'truth' },
  engine: cpu!,
  batch: 1,
  out: join(folder, out),
});

/** From here on this is what the machine remembers. */
async function remember(name: string, content?: (remembered: string) => string): Promise<string> {
  process.env.XDG_CACHE_HOME = join(folder, name);
  const dir = join(folder, name, 'tracin-seg');
  await taken();
  const [cache] = await readdir(dir);
  const path = join(dir, cache!);
  if (content) await writeFile(path, content(await readFile(path, 'utf8')));
  return path;
}

/** What a program of the network takes now, and what was told. */
async function taken(): Promise<{ table: KernelTable; notices: string[] }> {
  const notices: string[] = [];
  const program = await cpu!.compile(network(), { size: SIZE });
  const table = await takeFastestKernels(program, cpu!, (line) => notices.push(line));
  program.dispose();
  return { table: table!, notices };
}

const allOf =
  (kernel: string) =>
  (remembered: string): string =>
    remembered.replace(/\b(winograd|direct|tiles)\b/g, kernel);

(cpu ? describe : describe.skip)('cpu', () => {
  it('measures once and remembers', async () => {
    const path = await remember('fresh');
    const { table, notices } = await taken();
    expect(Object.keys(table)).toEqual(['data 16 32', 'forward 16 32', 'weights 16 32']);
    // 12 × 16 positions: up to 32, up to 128, more
    for (const kernels of Object.values(table)) expect(kernels).toMatch(/^(winograd|direct)( (winograd|direct)){2}$/);
    expect((JSON.parse(await readFile(path, 'utf8')) as { kernels: unknown }).kernels).toEqual(table);
    expect(notices).toEqual([]);
    await remember('fresh', allOf('direct'));
    expect(Object.values((await taken()).table)).toEqual(Object.keys(table).map(() => 'direct direct direct'));
  });

  it.each([
    ['is cut short', (text: string) => text.slice(0, 40), 'is not valid JSON'],
    ['is something else', () => '{"kernels": 1}', 'formatVersion'],
    ['is of another version', (text: string) => text.replace('"formatVersion": 1', '"formatVersion": 9'), 'formatVersion 9'],
  ])('measures again where what was remembered %s', async (_, damage, why) => {
    const path = await remember('damaged', damage);
    const { table, notices } = await taken();
    expect(notices).toEqual([expect.stringContaining(why)]);
    expect(notices[0]).toMatch(/kernels are measured again|update tracin-seg/);
    expect((JSON.parse(await readFile(path, 'utf8')) as { kernels: unknown }).kernels).toEqual(table);
    expect((await taken()).notices).toEqual([]);
  });

  it('words it does not know are measured anew', async () => {
    await remember('unknown', allOf('abacus'));
    expect(Object.values((await taken()).table).join()).toMatch(/^[^b]*$/);
  });

  it('runs where nothing can be remembered', async () => {
    await writeFile(join(folder, 'a-file'), '');
    process.env.XDG_CACHE_HOME = join(folder, 'a-file');
    const { table } = await taken();
    expect(Object.keys(table)).toHaveLength(3);
  });

  it('a run gone on with where other kernels are remembered, or shared with such a machine, ends with the same bytes', async () => {
    await remember('one', allOf('winograd'));
    await remember('other', allOf('direct'));
    const on = (name: string): void => void (process.env.XDG_CACHE_HOME = join(folder, name));

    on('one');
    const whole = await computeInfluence(settings('whole'));
    expect(whole.record.kernels!['forward 16 32']).toBe('winograd winograd winograd');
    const expected = await contents(whole.dir);
    on('other');
    const { dir } = await computeInfluence(settings('elsewhere'));
    expect((await contents(dir))['scores.npy']).not.toBe(expected['scores.npy']);

    on('one');
    const stop = new AbortController();
    const onProgress: InfluenceOptions['onProgress'] = ({ stage, done }) => {
      if (stage === 'influence' && done >= 4) stop.abort();
    };
    await expect(computeInfluence({ ...settings('resumed'), signal: stop.signal, onProgress })).rejects.toMatchObject({
      code: 'ERR_TRACIN_ABORTED',
    });
    on('other');
    await computeInfluence({ ...settings('resumed'), resume: true });
    expect(await contents(join(folder, 'resumed'))).toEqual(expected);

    on('one');
    await computeShard(settings('sharded'), { index: 1, count: 2 });
    on('other');
    await computeShard(settings('sharded'), { index: 2, count: 2 });
    await computeInfluence({ ...settings('sharded'), resume: true });
    expect(await contents(join(folder, 'sharded'))).toEqual(expected);
  });
});
