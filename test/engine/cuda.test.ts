import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { locateAddon } from '../../lib/engine/addon';
import { cudaDevices, probeCuda } from '../../lib/engine/cuda';
import { canStandIn, standInGpus, standInLibrary } from '../support/stand-in-gpu';
import { cpu } from '../support/engines';

const withStandIns = cpu && canStandIn ? describe : describe.skip;

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tracin-cuda-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const built = cpu && join(dirname(locateAddon('cuda').file), 'libtracin-cuda.so');
(built && existsSync(built) ? describe : describe.skip)('the CUDA library as it was built', () => {
  it('answers: with its devices, or with what the driver lacks', async () => {
    const status = await probeCuda(locateAddon('cuda').file, built!);
    if ('devices' in status) expect(status.devices.every(({ description }) => description.includes('compute capability'))).toBe(true);
    else expect(status.reason).toMatch(/^the NVIDIA driver is (missing \(libcuda\.so\.1\)|too old: it knows CUDA)/);
  });
});

withStandIns('the CUDA library, tried in a process of its own', () => {
  const probe = (library: string, patience?: number) => probeCuda(locateAddon('cuda').file, library, patience);
  const entry = (body: string) => `extern "C" const void* tracin_cuda(int) { ${body} }`;

  it('tells the devices and what each has', async () => {
    const missing = { f32: '', tf32: '', bf16: '' };
    const old = 'compute capability 7.5 has no tf32 and bf16';
    await expect(probe(standInGpus(dir))).resolves.toEqual({
      devices: [
        { description: 'stand-in 0', missing },
        { description: 'stand-in 1', missing: { ...missing, tf32: old, bf16: old } },
      ],
    });
  });

  it.each([
    ['crashes when it is asked', entry('__builtin_trap();'), /ended its process \(SIG\w+\): check the driver/],
    [
      'crashes when it is opened',
      `__attribute__((constructor)) static void start() { *(volatile int*)0 = 1; }`,
      /ended its process \(SIGSEGV\)/,
    ],
    [
      'says why it ends',
      `#include <cstdio>\n#include <cstdlib>\n${entry('fputs("no memory for the driver\\n", stderr); exit(3);')}`,
      /\(status 3\): no memory for the driver: check/,
    ],
    ['is of another build', entry('return nullptr;'), /is of another build than the addon: build both again$/],
    ['is another library', 'int nothing;', /is of another build/],
  ])('survives one that %s', async (what, source, reason) => {
    const library = standInLibrary(dir, what.replaceAll(' ', '-'), source);
    await expect(probe(library)).resolves.toEqual({ reason: expect.stringMatching(reason) });
  });

  it('does not wait for one that hangs', async () => {
    const library = standInLibrary(dir, 'hangs', `#include <unistd.h>\n${entry('for (;;) pause();')}`);
    await expect(probe(library, 1500)).resolves.toEqual({
      reason: expect.stringMatching(/hangs\.so did not answer in 1\.5 s: check the driver/),
    });
  });

  describe('chosen by TRACIN_CUDA_LIBRARY', () => {
    const choose = (library: string) => (process.env.TRACIN_CUDA_LIBRARY = library);
    afterEach(() => delete process.env.TRACIN_CUDA_LIBRARY);

    it('says what is not there any longer and how to get it', async () => {
      const cudnn = standInLibrary(dir, 'cudnn', 'extern "C" int cudnn() { return 9; }', '-Wl,-soname,libcudnn.so.9');
      const library = standInLibrary(dir, 'needs-cudnn', `extern "C" int cudnn();\n${entry('return cudnn() ? nullptr : "";')}`, cudnn);
      choose(library);
      await expect(cudaDevices()).rejects.toMatchObject({
        code: 'ERR_TRACIN_ENGINE',
        message: expect.stringMatching(
          /^cuda: libcudnn\.so\.9: cannot open shared object file.*: cuDNN 9 is .*pip install nvidia-cudnn-cu13/,
        ),
      });
    });

    it('is asked once', async () => {
      choose(standInGpus(dir));
      const [first, second] = [cudaDevices(), cudaDevices()];
      expect(await first).toBe(await second);
    });

    it('is missing like any other', async () => {
      choose(join(dir, 'nowhere.so'));
      await expect(cudaDevices()).rejects.toMatchObject({
        message: expect.stringMatching(/^cuda: .*nowhere\.so: cannot open shared object file/),
      });
    });
  });
});
