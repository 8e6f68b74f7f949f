import { lower, sizesOf } from '../../lib/graph/lower';
import { parseOnnx, serialiseOnnx } from '../../lib/graph/onnx';
import { GraphBuilder } from '../../lib/graph/builder';
import { buildNetwork, NETWORKS, type NetworkName } from '../../models/registry';
import { ramp, runGraph } from '../graph/support';

/** Of the papers' sizes with 4 modalities and 4 classes, as the docstrings state. */
const COUNTS: Record<NetworkName, number> = { unet: 31_038_404, deepseg: 7_763_428, resunet: 8_219_012, 'attention-unet': 32_433_928 };
const STRIDES: Record<NetworkName, number> = { unet: 16, deepseg: 16, resunet: 8, 'attention-unet': 16 };

describe.each(NETWORKS)('%s', (network) => {
  test("at the paper's size has the parameters its docstring states, and its stride", () => {
    const graph = buildNetwork({ network });
    const { parameters, values, head, operations } = lower(graph, [192, 192]);
    expect(parameters.reduce((sum, { size }) => sum + size, 0)).toBe(COUNTS[network]);
    expect(operations[head]!.name).toBe('head');
    expect(sizesOf(graph).stride).toEqual([STRIDES[network], STRIDES[network]]);
    const statistics = values.filter(({ kind }) => kind === 'statistic').length;
    const settings = [...graph.initializers.keys()].filter((name) => name.startsWith('upsample.')).length;
    expect(parameters.length + statistics + settings).toBe(graph.initializers.size);
  });

  test.each([
    [{ width: 4, levels: 2, modalities: 4, classes: 4 }, [6, 10]],
    [{ width: 3, levels: 4, modalities: 1, classes: 2 }, [16, 24]],
  ])('with %j runs in onnxruntime and gives logits of the right shape', async (options, size) => {
    const graph = buildNetwork({ network, ...options });
    const ran = await runGraph(graph, ramp(2 * options.modalities * size[0]! * size[1]!), [2, options.modalities, ...size]);
    expect(ran.dims).toEqual([2, options.classes, ...size]);
    expect(ran.data.every(Number.isFinite)).toBe(true);
    expect(new Set(ran.data).size).toBeGreaterThan(ran.data.length / 2);
    const lowered = lower(graph, size);
    expect(lowered.values[lowered.logits]!.dims).toEqual([options.classes, ...size]);
    expect(lowered.values[lowered.input]).toMatchObject({ name: 'image', dims: [options.modalities, ...size] });
  });

  test('same seed, same bytes; another seed, other kernels', () => {
    const bytes = (seed: number): Uint8Array => serialiseOnnx(buildNetwork({ network, width: 4, levels: 3, seed }));
    expect(bytes(3)).toEqual(bytes(3));
    expect(bytes(3)).not.toEqual(bytes(4));
    expect(parseOnnx(bytes(3), network).metadata.get('tracin.network')).toBe(network);
  });
});

test('kernels start as He et al. 2015 say, normalisations as 1, 0, 0, 1', () => {
  const { initializers } = buildNetwork({ network: 'unet', width: 32, levels: 2 });
  for (const [name, fanIn] of [
    ['encoder.1.conv2.kernel', 64 * 9],
    ['decoder.0.up.kernel', 64],
  ] as const) {
    // prettier-ignore
    const data = initializers.get(name)!.data as Float32Array;
    const mean = data.reduce((sum, x) => sum + x) / data.length;
    const deviation = Math.sqrt(data.reduce((sum, x) => sum + (x - mean) ** 2, 0) / data.length);
    const expected = Math.sqrt(2 / fanIn);
    expect(Math.abs(mean)).toBeLessThan((4 * expected) / Math.sqrt(data.length));
    expect(deviation / expected).toBeCloseTo(1, 1);
    const within = data.filter((x) => Math.abs(x) < expected).length / data.length;
    expect(within).toBeCloseTo(0.683, 1);
  }
  for (const [part, value] of Object.entries({ scale: 1, shift: 0, mean: 0, variance: 1 })) {
    expect(new Set(initializers.get(`encoder.0.norm1.${part}`)!.data as Float32Array)).toEqual(new Set([value]));
  }
});

test.each([
  [{ network: 'vnet' as NetworkName }, "network is 'vnet': give one of unet, deepseg, resunet, attention-unet"],
  [{ network: 'toString' as NetworkName }, 'give one of unet'],
  [{ network: 'unet' as const, width: 0 }, 'width is 0: give'],
  [{ network: 'unet' as const, levels: 1 }, 'levels is 1: give'],
  [{ network: 'unet' as const, classes: 1 }, 'classes is 1: give'],
  [{ network: 'unet' as const, modalities: 1.5 }, 'modalities is 1.5: give'],
  [{ network: 'unet' as const, seed: -1 }, 'seed is -1: give'],
])('%j is refused', (options, message) => {
  expect(() => buildNetwork(options)).toThrow(
    expect.objectContaining({ code: 'ERR_TRACIN_USAGE', message: expect.stringContaining(message) as string }) as Error,
  );
});

test.each([1, 3])('the builder makes networks of %i spatial axes', async (axes) => {
  const builder = new GraphBuilder({ name: 'small', modalities: 2, axes });
  const x = builder.relu(
    'relu',
    builder.batchNormalization('norm', builder.conv('conv', builder.image, { channels: 3, kernel: 3, bias: false })),
  );
  const up = builder.convTranspose('up', builder.maxPool('pool', x, 2), { channels: 3, stride: 2 });
  const graph = builder.build(builder.conv('head', builder.concat('concat', [x, up]), { channels: 2, kernel: 1 }));
  const size = [4, 6, 8].slice(0, axes);
  const lowered = lower(graph, size);
  const ran = await runGraph(graph, ramp(2 * size.reduce((a, b) => a * b)), [1, 2, ...size]);
  expect(ran.dims).toEqual([1, ...lowered.values[lowered.logits]!.dims]);
  expect(ran.dims).toEqual([1, 2, ...size]);
});
