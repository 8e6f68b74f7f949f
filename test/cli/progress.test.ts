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
  expect(lines).toEqual(['train: 30/100\n', 'train: 60/100\n', 'train: 90/100\n', 'train: 100/100\n']);
});

test('without a terminal: quick stages say nothing, notes are said at once', () => {
  const { stream, lines } = recorder();
  const reporter = createReporter(stream);
  for (const stage of ['index', 'regions']) for (let done = 1; done <= 5; done++) reporter.onProgress({ stage, done, total: 5 });
  reporter.note('engine reference');
  reporter.stop();
  expect(lines).toEqual(['engine reference\n']);
});
