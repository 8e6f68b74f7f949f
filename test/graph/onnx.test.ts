/** ONNX files read and written. */
import { createHash } from 'node:crypto';
import { mkdtemp, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { assertSameNetwork } from '../../lib/graph/checkpoint';
import type { Tensor } from '../../lib/graph/graph';
import { parseOnnx, readHashed, readOnnx, serialiseOnnx, writeOnnx } from '../../lib/graph/onnx';
import { decodeHalf, encodeHalf } from '../../lib/graph/onnx/half';
import { decodeModel } from '../../lib/graph/onnx/model';
import { MODEL, type ModelProto, type TensorProto } from '../../lib/graph/onnx/schema';
import { encode } from '../../lib/graph/onnx/wire';
import { buildNetwork } from '../../models/registry';
import { floats, graphOf, integers, node, ramp, runGraph } from './support';

const small = (): ReturnType<typeof buildNetwork> => buildNetwork({ network: 'attention-unet', width: 2, levels: 2 });

/** A valid model to break: image → Relu → Conv → logits. */
function model(change: (model: ModelProto & { graph: NonNullable<ModelProto['graph']> }) => void = () => undefined): Uint8Array {
  const graph = graphOf(
    [node('Relu', ['image'], ['r'], {}), node('Conv', ['r', 'k'], ['logits'], { kernel_shape: [1, 1] })],
    { k: floats([2, 1, 1, 1], [1, 2]), shape: integers([4, 4]) }, // prettier-ignore
  );
  const proto = decodeModel(serialiseOnnx(graph), 'test.onnx') as Parameters<typeof change>[0];
  change(proto);
  return Buffer.concat(encode(MODEL, proto).chunks);
}

const tensor = (proto: Partial<TensorProto>): TensorProto => ({
  dims: [],
  floatData: [],
  int32Data: [],
  int64Data: [],
  doubleData: [],
  externalData: [],
  ...proto,
});

describe('round trip', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tracin-onnx-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test('a written file reads back as the same network and numbers', async () => {
    const graph = { ...small(), metadata: new Map([['tracin.epoch', '3']]) };
    const path = join(folder, 'deep', 'network.onnx');
    await writeOnnx(path, graph);
    const again = await readOnnx(path);
    assertSameNetwork(graph, again);
    expect(again.initializers).toEqual(graph.initializers);
    expect(again.nodes).toEqual(graph.nodes.map((one) => ({ ...one, attributes: expect.any(Map) as unknown })));
    expect(again.metadata.get('tracin.epoch')).toBe('3');
    expect(serialiseOnnx({ ...again, source: graph.source })).toEqual(serialiseOnnx(again));
  });

  test('the numbers of a file are seen where they lie, whatever stands before them; bytes of others are left as they are', async () => {
    const path = join(folder, 'askew.onnx');
    const numbers = (count: number, seed: number): number[] => Array.from({ length: count }, (_, i) => Math.fround(Math.sin(seed + i)));
    for (let shift = 0; shift < 8; shift++) {
      const sized = (name: string, count: number): [string, Tensor] => [name, floats([count], numbers(count, shift))];
      const wide: Tensor = { type: 'float64', dims: [40], data: Float64Array.from(numbers(40, shift)) };
      const graph = {
        ...small(),
        name: 'n'.repeat(1 + shift),
        initializers: new Map<string, Tensor>([
          ...small().initializers,
          ...[1, 31, 32, 100].map((count) => sized(`t${count}`, count)),
          ['wide', wide],
          sized('after', 33),
        ]),
      };
      await writeOnnx(path, graph);
      const hash = createHash('sha256');
      const { initializers } = await readHashed(path, hash);
      expect(initializers).toEqual(graph.initializers);
      const bytes = await readFile(path);
      expect(hash.digest('hex')).toBe(createHash('sha256').update(bytes).digest('hex'));
      expect(
        new Set([...initializers.values()].filter(({ data }) => data.byteLength >= 128).map(({ data }) => data.buffer)).size,
      ).toBeLessThan(3);
      const before = Buffer.from(bytes);
      expect(parseOnnx(bytes, 'test.onnx').initializers).toEqual(graph.initializers);
      expect(bytes).toEqual(before);
    }
  });

  test('every element type, attribute kind and wiring survives', () => {
    const values = [1, -2, 0.5, 100];
    const ints = BigInt64Array.of(0n, 1n, 1n, 0n);
    const types = ['float32', 'float64', 'float16', 'bfloat16', 'int64', 'int32', 'int16', 'int8', 'uint8', 'bool'] as const;
    const tensors = types.map((type) => {
      const data = type === 'float64' ? Float64Array.from(values) : /^b?float/.test(type) ? Float32Array.from(values) : ints;
      return [type, { type, dims: [2, 2], data }] as const;
    });
    const graph = graphOf(
      [
        node('Constant', [], ['c'], { value: floats([], [3]) }),
        node('LeakyRelu', ['image'], ['logits'], {
          alpha: 1,
          axis: -1,
          mode: 'linear',
          names: ['a', 'b'],
          pads: [0, -3],
          value_floats: [1, 2],
        }),
      ],
      Object.fromEntries(tensors),
      { dims: ['N', 1, '', 7] },
    );
    const again = parseOnnx(serialiseOnnx(graph), 'test.onnx');
    expect(again).toEqual(graph);
  });

  test('an axis of −1 is a free one', () => {
    const bytes = model(({ graph }) => {
      graph.input[0]!.type!.tensorType!.shape!.dim = [{ dimValue: -1 }, { dimValue: 1 }, { dimValue: -1 }, { dimParam: 'W' }];
    });
    expect(parseOnnx(bytes, 'test.onnx').inputs[0]!.dims).toEqual(['', 1, '', 'W']);
  });

  test('numbers may be stored typed instead of raw', () => {
    const halves = [...encodeHalf('float16', [1.5, -2])];
    const stored: Record<string, Partial<TensorProto>> = {
      float32: { dataType: 1, floatData: [1.5, -2] },
      float64: { dataType: 11, doubleData: [1.5, -2] },
      float16: { dataType: 10, int32Data: halves },
      bfloat16: { dataType: 16, int32Data: [0x3fc0, 0xc000] },
    };
    for (const [type, proto] of Object.entries(stored)) {
      const graph = parseOnnx(
        model(({ graph: g }) => g.initializer.push(tensor({ name: 't', dims: [2], ...proto }))),
        'test.onnx',
      );
      expect(graph.initializers.get('t')).toMatchObject({ type, dims: [2] });
      expect([...(graph.initializers.get('t')!.data as Float32Array)]).toEqual([1.5, -2]);
    }
    const wide = model(({ graph: g }) =>
      g.initializer.push(tensor({ name: 't', dims: [2], dataType: 7, int64Data: [-1n, 2n ** 63n - 1n] })),
    );
    expect(parseOnnx(wide, 'test.onnx').initializers.get('t')!.data).toEqual(BigInt64Array.of(-1n, 2n ** 63n - 1n));
  });

  test('the written network gives the same numbers in onnxruntime after reading and writing', async () => {
    const graph = small();
    const image = ramp(4 * 8 * 8);
    const [first, second] = [
      await runGraph(graph, image, [1, 4, 8, 8]),
      await runGraph(parseOnnx(serialiseOnnx(graph), 'test.onnx'), image, [1, 4, 8, 8]),
    ];
    expect(second).toEqual(first);
    expect(first.dims).toEqual([1, 4, 8, 8]);
  });

  describe('external data', () => {
    const external = (entries: Record<string, string>): Uint8Array =>
      model(({ graph }) => {
        const externalData = Object.entries(entries).map(([key, value]) => ({ key, value }));
        graph.initializer[0] = tensor({ name: 'k', dims: [2, 1, 1, 1], dataType: 1, dataLocation: 1, externalData });
      });
    const readExternal = async (entries: Record<string, string>): Promise<Float32Array> => {
      const path = join(folder, 'model', 'external.onnx');
      await mkdir(join(folder, 'model', 'sub'), { recursive: true });
      await writeFile(path, external(entries));
      await writeFile(join(folder, 'model', 'sub', 'weights.bin'), Buffer.from(Float32Array.of(9, 5, 6, 7).buffer));
      return (await readOnnx(path)).initializers.get('k')!.data as Float32Array;
    };

    test('is read from its place', async () => {
      expect(await readExternal({ location: 'sub/weights.bin', offset: '4', length: '8' })).toEqual(Float32Array.of(5, 6));
      expect(await readExternal({ location: 'sub/weights.bin' })).toEqual(Float32Array.of(9, 5));
    });

    test.each([
      [{ location: '../secret.bin' }, 'outside the model'],
      [{ location: 'sub/../../secret.bin' }, 'outside the model'],
      [{ location: '/etc/hostname' }, 'outside the model'],
      [{ location: '' }, 'outside the model'],
      [{ location: 'link.bin' }, 'outside the model'],
      [{ location: 'absent.bin' }, 'cannot be opened'],
      [{ location: 'sub/weights.bin', length: '16' }, 'external length is 16'],
      [{ location: 'sub/weights.bin', offset: '12' }, 'which has 16'],
      [{ location: 'sub/weights.bin', offset: '-4' }, "offset '-4'"],
      [{ location: 'sub/weights.bin', offset: '99999999999999999999' }, 'must be a number of bytes'],
    ])('%j is refused', async (entries, message) => {
      await writeFile(join(folder, 'secret.bin'), Buffer.alloc(64));
      await mkdir(join(folder, 'model'), { recursive: true });
      await symlink(join(folder, 'secret.bin'), join(folder, 'model', 'link.bin')).catch(() => undefined);
      await expect(readExternal(entries)).rejects.toMatchObject({
        code: 'ERR_TRACIN_GRAPH',
        message: expect.stringContaining(message) as string,
      });
    });

    test('is not looked for when only bytes are given', () => {
      expect(() => parseOnnx(external({ location: 'weights.bin' }), 'bytes')).toThrow('another file');
    });
  });

  test('a file that is not there is named', async () => {
    await expect(readOnnx(join(folder, 'nothing.onnx'))).rejects.toMatchObject({ code: 'ERR_TRACIN_IO' });
  });
});

test('float16 and bfloat16: every number decodes and encodes to itself', () => {
  const all = Uint16Array.from({ length: 65536 }, (_, i) => i);
  for (const type of ['float16', 'bfloat16'] as const) {
    const numbers = decodeHalf(type, all);
    const again = encodeHalf(type, numbers);
    all.forEach((half, i) => {
      if (!Number.isNaN(numbers[i]!) && again[i] !== half) throw new Error(`${type} ${half} became ${again[i]}`);
    });
  }
  expect(decodeHalf('float16', Uint16Array.of(0x3555, 0x7bff, 0x0001, 0x7c00))).toEqual(
    Float32Array.of(0.333251953125, 65504, 2 ** -24, Infinity),
  );
});

test('a number becomes the nearest half', () => {
  const float = fc.float({ noNaN: true, min: -60000, max: 60000 });
  fc.assert(
    fc.property(float, (x) => {
      const [half] = encodeHalf('float16', [x]);
      const error = Math.abs(decodeHalf('float16', Uint16Array.of(half!))[0]! - x);
      for (const neighbour of [half! - 1, half! + 1]) {
        const other = decodeHalf('float16', Uint16Array.of(neighbour & 0xffff))[0]!;
        if (Number.isFinite(other)) expect(error).toBeLessThanOrEqual(Math.abs(other - x));
      }
    }),
    { seed: 5 },
  );
});

describe('a damaged or unusual file is one line naming the file', () => {
  const relu = { name: 'again', opType: 'Relu', input: ['logits'], output: ['x'], attribute: [] };
  const cases: [string, Uint8Array, string][] = [
    ['empty', new Uint8Array(0), 'no graph'],
    ['text', Buffer.from('not an onnx file at all, only words'), 'not'],
    ['truncated', model().subarray(0, 150), 'not a whole ONNX file'],
    ['wrong raw length', model(({ graph: g }) => (g.initializer[0]!.rawData = new Uint8Array(7))), 'needs 8 bytes but has 7'],
    ['too few typed numbers', model(({ graph: g }) => (g.initializer[0] = tensor({ name: 'k', dataType: 1, dims: [2, 1, 1, 1], floatData: [1] }))), 'needs 2 numbers but has 1'],
    ['enormous dims', model(({ graph: g }) => (g.initializer[0]!.dims = [2 ** 40, 2 ** 40])), 'impossible dims'],
    ['dims larger than the file', model(({ graph: g }) => (g.initializer[0]!.dims = [2 ** 40])), 'but has 8'],
    ['negative dims', model(({ graph: g }) => (g.initializer[0]!.dims = [-2])), 'impossible dims'],
    ['unknown element type', model(({ graph: g }) => (g.initializer[0]!.dataType = 8)), 'element type 8'],
    ['two initializers of a name', model(({ graph: g }) => g.initializer.push(g.initializer[0]!)), "initializer 'k' is defined twice"],
    ['two values of a name', model(({ graph: g }) => g.node.push({ ...relu, output: ['r'] })), "'r' of Relu 'again' is defined twice"],
    ['a value over the image', model(({ graph: g }) => g.node.push({ ...relu, output: ['image'] })), 'is defined twice'],
    ['a missing input', model(({ graph: g }) => (g.node[1]!.input[0] = 'lost')), "reads 'lost', which nothing produces"],
    ['a cycle', model(({ graph: g }) => (g.node[0]!.input[0] = 'logits')), 'cycle'],
    ['a node reading itself', model(({ graph: g }) => (g.node[0]!.input[0] = 'r')), 'cycle'],
    ['a missing output', model(({ graph: g }) => (g.output[0]!.name = 'lost')), "output 'lost' is produced by nothing"],
    ['old opset', model((m) => (m.opsetImport[0]!.version = 8)), 'uses opset 8'],
    ['new opset', model((m) => (m.opsetImport[0]!.version = 99)), 'uses opset 99'],
    ['no opset', model((m) => (m.opsetImport = [])), 'no opset'],
    ['sparse initializer', model(({ graph: g }) => g.sparseInitializer.push(new Uint8Array(0))), 'sparse'],
    ['a sub-graph', model(({ graph: g }) => g.node.push({ ...relu, name: 'branch', opType: 'If', attribute: [{ name: 'then_branch', type: 5, g: new Uint8Array(0), floats: [], ints: [], strings: [] }] })), "If 'branch' holds a sub-graph"],
    ['an attribute twice', model(({ graph: g }) => g.node[1]!.attribute.push(g.node[1]!.attribute[0]!)), 'same attribute twice'],
    ['an attribute of tensors', model(({ graph: g }) => (g.node[1]!.attribute[0]!.type = 9)), 'attribute type 9'],
    ['an output that is no tensor', model(({ graph: g }) => delete g.output[0]!.type), "'logits' is not a tensor"],
  ]; // prettier-ignore
  test.each(cases)('%s', (_, bytes, message) => {
    let failure: unknown;
    try {
      parseOnnx(bytes, 'broken.onnx');
    } catch (error) {
      failure = error;
    }
    expect(failure).toMatchObject({ code: 'ERR_TRACIN_GRAPH', message: expect.stringContaining(message) as string });
    expect((failure as Error).message).toMatch(/^broken\.onnx: .+$/);
  });
});

test('nodes out of order are put in order, nodes in order stay', () => {
  const shuffled = parseOnnx(
    model(({ graph: g }) => g.node.reverse()),
    'test.onnx',
  );
  expect(shuffled.nodes.map(({ operator }) => operator)).toEqual(['Relu', 'Conv']);
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(), fc.nat()), { minLength: 1, maxLength: 30 }), fc.infiniteStream(fc.nat()), (links, stream) => {
      const nodes = links.map(([a, b], i) => node('Add', [i === 0 ? 'image' : `v${a % i}`, i === 0 ? 'image' : `v${b % i}`], [`v${i}`]));
      const graph = graphOf([...nodes, node('Relu', [`v${nodes.length - 1}`], ['logits'])], {});
      expect(parseOnnx(serialiseOnnx(graph), 'test.onnx').nodes).toEqual(graph.nodes);
      const mixed = graph.nodes.map((one) => ({ one, key: stream.next().value as number })).sort((a, b) => a.key - b.key);
      const sorted = parseOnnx(serialiseOnnx({ ...graph, nodes: mixed.map(({ one }) => one) }), 'test.onnx').nodes;
      const place = new Map(sorted.map((one, i) => [one.outputs[0], i]));
      sorted.forEach((one, i) => one.inputs.forEach((input) => expect(place.get(input) ?? -1).toBeLessThan(i)));
    }),
    { seed: 6, numRuns: 60 },
  );
});

test('tensors an exporter stored once and shared by Identity get names of their own', () => {
  const graph = graphOf(
    [
      node('Identity', ['scale'], ['norm2.scale']),
      node('Identity', ['norm2.scale'], ['variance']),
      node('BatchNormalization', ['image', 'norm2.scale', 'shift', 'shift', 'variance'], ['logits']),
    ],
    { scale: floats([1], [1]), shift: floats([1], [0]) },
  );
  const read = parseOnnx(serialiseOnnx(graph), 'test.onnx');
  expect([...read.initializers.keys()]).toEqual(['scale', 'shift', 'norm2.scale', 'variance']);
  expect(read.nodes.map(({ operator }) => operator)).toEqual(['BatchNormalization']);
});

test('an older file lists its initializers as inputs', () => {
  const bytes = model(({ graph: g }) => g.input.push({ name: 'k', type: { tensorType: { elemType: 1 } } }));
  expect(parseOnnx(bytes, 'test.onnx').inputs.map(({ name }) => name)).toEqual(['image']);
});
