/** Progress on stderr: a bar on a terminal, plain lines elsewhere. */
import { Presets, SingleBar } from 'cli-progress';
import type { OnProgress } from '../progress';

/** Milliseconds between plain lines. */
const LINE_INTERVAL = 3000;

export interface Reporter {
  readonly onProgress: OnProgress;
  /** A line of its own, above the bar if there is one. */
  note(line: string): void;
  /** Ends the bar; nothing more is drawn. */
  stop(): void;
}

export function createReporter(stream: NodeJS.WriteStream = process.stderr): Reporter {
  return stream.isTTY ? new Bar(stream) : new Lines(stream);
}

class Bar implements Reporter {
  readonly #stream: NodeJS.WriteStream;
  #bar: SingleBar | undefined;
  #stage = '';

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  readonly onProgress: OnProgress = ({ stage, done, total }) => {
    if (!this.#bar || stage !== this.#stage) {
      this.stop();
      this.#stage = stage;
      this.#bar = new SingleBar(
        {
          stream: this.#stream,
          format: '{stage} {bar} {value}/{total}, {eta_formatted} left',
          etaBuffer: 50,
          linewrap: null,
          clearOnComplete: true,
        },
        Presets.shades_classic,
      );
      this.#bar.start(total, done, { stage });
    } else {
      this.#bar.setTotal(total);
      this.#bar.update(done);
    }
  };

  note(line: string): void {
    this.stop();
    this.#stream.write(`${line}\n`);
  }

  stop(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }
}

class Lines implements Reporter {
  readonly #stream: NodeJS.WriteStream;
  #last = Date.now();
  /** The stage of the line written last. */
  #stage = '';

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  readonly onProgress: OnProgress = ({ stage, done, total }) => {
    const finished = done >= total && stage === this.#stage;
    if (!finished && Date.now() - this.#last < LINE_INTERVAL) return;
    this.#stage = finished ? '' : stage;
    this.#last = Date.now();
    this.#stream.write(`${stage}: ${done}/${total}\n`);
  };

  note(line: string): void {
    this.#stream.write(`${line}\n`);
  }

  stop(): void {
    this.#stage = '';
  }
}
