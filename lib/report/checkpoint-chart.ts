/** How much each checkpoint adds to T, class by class. */
import { percent } from '../rounded';
import { chart, MARGIN, type Drawing, type Ink } from './charts';
import { html, type Html } from './html';
import type { CheckpointReport } from './model';

const SIZE = { width: 460, height: 260 };
const TICKS = 4;

export function drawCheckpoints(
  checkpoints: readonly CheckpointReport[],
  classes: readonly string[],
  { scaleLinear }: Drawing,
  ink: Ink,
): Html {
  const most = Math.max(0.01, ...checkpoints.flatMap(({ share }) => share.map((value) => value ?? 0)));
  const [bottom, right] = [SIZE.height - MARGIN.bottom, SIZE.width - MARGIN.right];
  const y = scaleLinear([0, most], [bottom, MARGIN.top]).nice(TICKS);
  const step = (right - MARGIN.left) / checkpoints.length;
  const bar = Math.min(34, (0.8 * step) / classes.length);
  // Every name as long as there is room for it.
  const every = Math.ceil((34 * checkpoints.length) / (right - MARGIN.left));
  const middle = (t: number): number => MARGIN.left + (t + 0.5) * step;
  const shareOf = (value: number | null): string => (value === null ? '–' : percent(value));
  const nameOf = ({ epoch }: CheckpointReport, t: number): string => String(epoch ?? t + 1);
  const bars = checkpoints.flatMap((one, t) =>
    one.share.map((value, k) => {
      const x = middle(t) + (k - classes.length / 2) * bar;
      const words = `${classes[k]!}, ${one.epoch === null ? 'checkpoint' : 'epoch'} ${nameOf(one, t)}: ${shareOf(value)}`;
      return html`<rect
        x="${x.toFixed(1)}"
        y="${y(value ?? 0).toFixed(1)}"
        width="${(bar - 1).toFixed(1)}"
        height="${(bottom - y(value ?? 0)).toFixed(1)}"
        fill="${ink.colour(k)}"
        stroke="${ink.text}"
        stroke-width="0.6"
        ><title>${words}</title></rect
      >`;
    }),
  );
  const isEpoch = checkpoints.every(({ epoch }) => epoch !== null);
  return chart(
    {
      ...SIZE,
      label: `Share of each checkpoint in the terms of T: ${checkpoints.map((one, t) => `${nameOf(one, t)}: ${one.share.map((value, k) => `${classes[k]!} ${shareOf(value)}`).join(', ')}`).join('; ')}`,
      title: 'Share of each checkpoint in Σ |η g′·g|, same class',
      x: {
        ticks: checkpoints.flatMap((one, t) => (t % every === 0 ? [{ at: middle(t), words: nameOf(one, t) }] : [])),
        label: isEpoch ? 'checkpoint after epoch' : 'checkpoint',
      },
      y: { ticks: y.ticks(TICKS).map((value) => ({ at: y(value), words: percent(value) })) },
      marks: bars,
    },
    ink,
  );
}
