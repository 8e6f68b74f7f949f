/** Progress on stderr: a bar on a terminal, plain lines elsewhere. */
import { Presets, SingleBar } from 'cli-progress';
import { formatSeconds, type OnProgress, type Progress } from '../progress';

/** Milliseconds between plain lines. */
const LINE_INTERVAL = 3000;

/** Reports that the time left is told from: the latest, for what was there already went by at once. */
const RECENT = 50;

/** What the reports of a stage say of the time it still takes. */
class Pace {
  #stage = '';
  #recent: { readonly time: number; readonly done: number }[] = [];

  /** `, 7 s left`; empty before a stage's second report, and at its end. */
  left({ stage, done, total }: Progress): string {
    if (stage !== this.#stage || done < (this.#recent.at(-1)?.done ?? 0)) this.#recent = [];
    this.#stage = stage;
    const time = Date.now();
    this.#recent.push({ time, done });
    if (this.#recent.length > RECENT) this.#recent.shift();
    const first = this.#recent[0]!;
    if (done <= first.done || done >= total) return '';
    return `, ${formatSeconds(((time - first.time) / (done - first.done) / 1000) * (total - done))} left`;
  }
}

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

abstract class Drawn implements Reporter {
  /** Of what is drawn; empty where nothing is. */
  protected stage = '';
  readonly #pace = new Pace();

  constructor(protected readonly stream: NodeJS.WriteStream) {}

  readonly onProgress: OnProgress = (progress) => this.draw(progress, this.#pace.left(progress));

  protected abstract draw(progress: Progress, left: string): void;

  note(line: string): void {
    this.stream.write(`${line}\n`);
  }

  stop(): void {
    this.stage = '';
  }
}

class Bar extends Drawn {
  #bar: SingleBar | undefined;

  protected draw({ stage, done, total }: Progress, left: string): void {
    if (!this.#bar || stage !== this.stage) {
      this.stop();
      this.stage = stage;
      this.#bar = new SingleBar(
        {
          stream: this.stream,
          format: '{stage} {bar} {value}/{total}{left}',
          linewrap: null,
          clearOnComplete: true,
        },
        Presets.shades_classic,
      );
      this.#bar.start(total, done, { stage, left });
    } else {
      this.#bar.setTotal(total);
      this.#bar.update(done, { left });
    }
  }

  override note(line: string): void {
    this.stop();
    super.note(line);
  }

  override stop(): void {
    super.stop();
    this.#bar?.stop();
    this.#bar = undefined;
  }
}

class Lines extends Drawn {
  #last = Date.now();

  protected draw({ stage, done, total }: Progress, left: string): void {
    const finished = done >= total && stage === this.stage;
    if (!finished && Date.now() - this.#last < LINE_INTERVAL) return;
    this.stage = finished ? '' : stage;
    this.#last = Date.now();
    this.stream.write(`${stage}: ${done}/${total}${left}\n`);
  }
}
