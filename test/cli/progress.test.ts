import { createReporter } from '../../lib/cli/progress';

function recorder(): { stream: NodeJS.WriteStream; lines: string[] } {
  const lines: string[] = [];
  const stream = { isTTY: false, write: (text: string) => lines.push(text) > 0 } as unknown as NodeJS.WriteStream;
  return { stream, lines };
}

beforeEach(() => jest.useFakeTimers({ now: 0 }));
afterEach(() => jest.useRealTimers());

test('without a terminal: plain lines, three seconds apart, and the end of a stage that was told of', () => {
  const { stream, lines } = recorder();
  const { onProgress } = createReporter(stream);
  for (let done = 0; done <= 100; done++) {
    onProgress({ stage: 'train', done, total: 100 });
    jest.advanceTimersByTime(100);
  }
  expect(lines).toEqual(['train: 30/100, 7 s left\n', 'train: 60/100, 4 s left\n', 'train: 90/100, 1 s left\n', 'train: 100/100\n']);
});

test('without a terminal: quick stages say nothing, notes are said at once', () => {
  const { stream, lines } = recorder();
  const reporter = createReporter(stream);
  for (const stage of ['index', 'regions']) for (let done = 1; done <= 5; done++) reporter.onProgress({ stage, done, total: 5 });
  reporter.note('engine reference');
  reporter.stop();
  expect(lines).toEqual(['engine reference\n']);
});

test('the time left is told from the latest reports, and anew where a stage begins again', () => {
  const { stream, lines } = recorder();
  const { onProgress } = createReporter(stream);
  const report = (done: number, seconds: number): void => {
    jest.advanceTimersByTime(seconds * 1000);
    onProgress({ stage: 'maps', done, total: 1000 });
  };
  report(0, 0);
  report(1, 10); // the first pass
  for (let done = 2; done <= 900; done++) report(done, 0); // what was there already
  report(901, 3);
  for (let done = 902; done <= 960; done++) report(done, 3);
  report(0, 3);
  report(1, 4);
  expect(lines.slice(0, 2)).toEqual(['maps: 1/1000, 2 h 47 min left\n', 'maps: 901/1000, 6 s left\n']);
  expect(lines.slice(-3)).toEqual(['maps: 960/1000, 2 min left\n', 'maps: 0/1000\n', 'maps: 1/1000, 67 min left\n']);
});

test('on a terminal: a bar with the time left', () => {
  const shown: string[] = [];
  const stream = {
    isTTY: true,
    columns: 100,
    write: (text: string) => shown.push(text) > 0,
    on: () => stream,
    removeListener: () => stream,
  };
  const reporter = createReporter(stream as unknown as NodeJS.WriteStream);
  reporter.onProgress({ stage: 'maps', done: 0, total: 10 });
  expect(shown.join('')).toMatch(/^[^,]*maps ░+ 0\/10[^,]*$/);
  jest.advanceTimersByTime(2000);
  reporter.onProgress({ stage: 'maps', done: 1, total: 10 });
  jest.advanceTimersByTime(1000);
  expect(shown.join('')).toContain('1/10, 18 s left');
  reporter.stop();
});
