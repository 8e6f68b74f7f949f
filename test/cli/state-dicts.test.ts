/** ONNX for the network, safetensors for its checkpoints: as someone who trains with PyTorch has them. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readOnnx } from '../../lib/graph/onnx';
import { openTiny, type Tiny } from '../influence/support/tiny';
import { refusal, tracin } from '../support/cli';
import { encodeSafetensors } from '../support/safetensors';

let tiny: Tiny;
let words: string[];
beforeAll(async () => {
  tiny = await openTiny();
  const files: string[] = [];
  for (const [t, file] of tiny.checkpoints.entries()) {
    const tensors = [...(await readOnnx(file)).initializers].map(([name, { dims, data }]) => {
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      return [name.replace('head', 'classifier'), { dtype: 'F32', shape: dims, bytes }] as const;
    });
    files.push(join(tiny.dir, `${t}.safetensors`));
    await writeFile(files[t]!, encodeSafetensors(Object.fromEntries(tensors)));
  }
  await writeFile(join(tiny.dir, 'map.json'), '[["^head", "classifier"]]');
  const data = ['train', 'test'].flatMap((role) =>
    ['images', 'labels'].flatMap((what) => [`--${role}-${what}`, join(tiny.dir, `${role}-${what}.npy`)]),
  );
  words = ['influence', '--checkpoints', files.join(','), '--learning-rates', '0.1,0.2', '--device', 'reference', ...data];
});
afterAll(() => tiny.close());

test('a study of state dicts', async () => {
  const map = ['--map', join(tiny.dir, 'map.json')];
  const { status, stdout, stderr } = await tracin([...words, '--network', tiny.checkpoints[0]!, ...map, '--out', join(tiny.dir, 'study')]);
  expect({ status, stderr }).toMatchObject({ status: 0 });
  expect(stdout).toContain('2 checkpoints, ');
});

test('what is missing is said in one line', async () => {
  const out = ['--out', join(tiny.dir, 'none')];
  expect(await refusal([...words, ...out])).toMatch(/0\.safetensors holds numbers alone: name the ONNX file of its network \(--network\)$/);
  expect(await refusal([...words, ...out, '--network', tiny.checkpoints[0]!])).toMatch(
    /0\.safetensors: has no tensor 'head\.weight' .* say what it is called with a map \(--map\); .*: classifier\.weight, classifier\.bias$/,
  );
  expect(await refusal([...words, ...out, '--network', tiny.checkpoints[0]!, '--output', 'aux'])).toContain('aux');
});
