import { existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { refusal, tracin } from '../support/cli';

const dir = mkdtempSync(join(tmpdir(), 'tracin-usage-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const COMMANDS = [
  'phantom',
  'train',
  'predict',
  'inspect',
  'influence',
  'rank',
  'explain',
  'faithfulness',
  'stability',
  'audit',
  'report',
  'devices',
];

test.each(COMMANDS)('%s --help explains its flags and gives an example', async (command) => {
  const { status, stdout, stderr } = await tracin([command, '--help']);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout).toMatch(new RegExp(`^Usage: tracin-seg ${command} `));
  expect(stdout).toMatch(new RegExp(`Example:\n  tracin-seg ${command}`));
});

test('--help lists every command, --version is that of the package', async () => {
  const { status, stdout } = await tracin(['--help']);
  expect(status).toBe(0);
  for (const command of COMMANDS) expect(stdout).toMatch(new RegExp(`^  ${command} `, 'm'));
  const { version } = jest.requireActual<{ version: string }>('../../package.json');
  expect(await tracin(['--version'])).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' });
});

test('a command loads no other', async () => {
  const told = async (...words: string[]): Promise<string[]> => {
    const { stderr } = await tracin(words, { env: { NODE_OPTIONS: `--require ${join(__dirname, '../support/loaded-commands.js')}` } });
    return stderr.trimEnd().split(' ');
  };
  expect(await told('rank', '--help')).toEqual(['rank']);
  expect(await told('--debug', 'influence', '--help')).toEqual(['influence']);
  expect(await told('help', 'report')).toEqual(['report']);
  expect((await told('--help')).toSorted()).toEqual(['demo', ...COMMANDS].toSorted());
});

test('without a command: the help, on stderr, status 2', async () => {
  const { status, stdout, stderr } = await tracin([]);
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
  expect(stderr).toMatch(/^Usage: tracin-seg /);
});

test.each([
  [['fantom'], "unknown command 'fantom' (Did you mean phantom?)"],
  [['phantom'], "missing required argument 'dir'"],
  [['phantom', 'x', '--case', '3'], "unknown option '--case' (Did you mean --cases?)"],
  [
    ['phantom', 'x', '--cases', '0'],
    "option '--cases <n>' argument '0' is invalid. Expected a whole number of at least 1 and at most 100000.",
  ],
  [['phantom', ''], 'dir: is empty: give a value, or leave it out'],
  [['stability', 's', ''], 'study: is empty: give a value, or leave it out'],
  [['influence', '--run', 'r', '--out', ''], '--out <study>: is empty: give a value, or leave it out'],
  [['train', '--network', 'unet'], "required option '--run <dir>' not specified"],
  [['train', '--run', 'r', '--network', 'unet'], 'no data: name a folder with --data'],
  [
    ['train', '--run', 'r', '--data', 'd'],
    'no network: choose one with --network from unet, deepseg, resunet, attention-unet, or name an ONNX file (.onnx)',
  ],
  [
    ['train', '--run', 'r', '--data', 'd', '--network', 'unett'],
    'unknown network unett: choose from unet, deepseg, resunet, attention-unet, or name an ONNX file (.onnx)',
  ],
  [
    ['train', '--run', '/nowhere', '--resume'],
    '/nowhere holds no run to go on with: name the folder of one, or begin it with --data and --network',
  ],
  [
    ['train', '--run', 'r', '--shares', '0.5,0.1,0.2'],
    "option '--shares <a,b,c>' argument '0.5,0.1,0.2' is invalid. Expected three shares that sum to 1, such as 0.7,0.1,0.2.",
  ],
  [
    ['train', '--run', 'r', '--data', 'd', '--network', 'unet', '--spread', '2', '--slices', 'all'],
    '--spread chooses among slices with tumour: give --slices tumour:N with it, or leave it out',
  ],
  [['influence', '--out', 's'], 'no networks: name a run with --run, or ONNX files with --checkpoints and --learning-rates'],
  [
    ['influence', '--out', 's', '--checkpoints', 'a.safetensors', '--learning-rates', '1'],
    'checkpoint a.safetensors holds numbers alone: name the ONNX file of its network (--network)',
  ],
  [
    ['influence', '--out', 's', '--checkpoints', 'a.pth', '--learning-rates', '1'],
    'checkpoint a.pth is a pickle: save its state dict with safetensors.torch.save_file',
  ],
  [
    ['influence', '--out', 's', '--precision', 'f16'],
    "option '--precision <name>' argument 'f16' is invalid. Allowed choices are f32, tf32, bf16.",
  ],
  [
    ['influence', '--out', 's', '--device', 'gpu'],
    "option '--device <name>' argument 'gpu' is invalid. device: gpu is unknown; use auto, cuda, cuda:1, cpu or reference.",
  ],
  [
    ['influence', '--out', 's', '--memory', '4 G'],
    "option '--memory <amount>' argument '4 G' is invalid. Expected an amount of memory such as 512M or 4G.",
  ],
  [
    ['influence', '--out', 's', '--shard', '1/2', '--resume'],
    '--resume belongs to the call that joins the shards: leave it out of --shard ones',
  ],
  [
    ['influence', '--out', 's', '--slices', '9-3'],
    "option '--slices <rule>' argument '9-3' is invalid. Expected a range whose first number is not above its last.",
  ],
  [
    ['explain', 's', '--maps', '--test', 'a', '--class', 'ET', '--features', '--json'],
    '--json tells of one thing at a time: ask for --maps and for --features by themselves',
  ],
  [['predict', '--out', 'o'], 'name the network with either --run or --checkpoints'],
  [['rank', 's', '--class', 'ET'], "required option '--test <case[:slice]>' not specified"],
])('%j', async (words, message) => {
  expect(await refusal(words)).toBe(message);
});

test('a folder that is not there', async () => {
  expect(await refusal(['rank', '/nowhere/study', '--test', 'a', '--class', 'ET'])).toMatch(/^\/nowhere\/study holds no study/);
  const error = await refusal(['train', '--data', '/nowhere', '--network', 'unet', '--run', '/nowhere/run']);
  expect(error).toBe('cannot read /nowhere: it does not exist: check the path');
});

// /proc takes no folders and says that there is none of that name.
(existsSync('/proc/self') ? test : test.skip)('a folder that can hold no other', async () => {
  const error = await refusal(['phantom', '/proc/none', '--cases', '1', '--size', '16']);
  expect(error).toMatch(/^cannot write \/proc\/none\/.*: it does not exist: check the path$/);
});

test('a folder whose links lead in a circle', async () => {
  const [there, back] = ['there', 'back'].map((name) => join(dir, name)) as [string, string];
  symlinkSync(there, back);
  symlinkSync(back, there);
  const error = await refusal(['train', '--data', there, '--network', 'unet', '--run', join(dir, 'run')]);
  expect(error).toBe(`cannot read ${there}: its links lead in a circle: check the path`);
});

test('--debug prints the stack, before or after the command', async () => {
  for (const words of [
    ['--debug', 'influence', '--out', 's'],
    ['influence', '--out', 's', '--debug'],
  ]) {
    const { status, stderr } = await tracin(words);
    expect(status).toBe(2);
    expect(stderr).toMatch(/^error: no networks: .*\nTracinError: no networks: .*\n +at /);
  }
});

test('devices lists every engine and provider', async () => {
  const { status, stdout } = await tracin(['devices', '--json']);
  expect(status).toBe(0);
  const { engines, providers } = JSON.parse(stdout) as Record<'engines' | 'providers', { name: string; available: boolean }[]>;
  // each GPU that is here, or why there is none
  expect(engines.map(({ name }) => name).join()).toMatch(/^cuda(:\d+(,cuda:\d+)*)?,cpu,reference$/);
  expect(engines.find(({ name }) => name === 'reference')!.available).toBe(true);
  expect(providers.find(({ name }) => name === 'cpu')!.available).toBe(true);
  const table = (await tracin(['devices'])).stdout;
  for (const { name, available } of [...engines, ...providers])
    expect(table).toMatch(new RegExp(`^  ${name} +${available ? 'yes' : 'no'} `, 'm'));
});
