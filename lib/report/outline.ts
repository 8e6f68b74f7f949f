/** The border of a region as an SVG path along the edges of its pixels. */

export interface Bounds {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** What the largest loop of a path of {@link outlinePath} lies within, in pixels: specks far off do not count. Undefined for an empty path. */
export function largestLoop(path: string): Bounds | undefined {
  const loops = [...path.matchAll(/M(\d+) (\d+)([^M]*)z/g)].map(([, startX, startY, steps]): Bounds => {
    let [x, y] = [Number(startX), Number(startY)];
    let [left, top, right, bottom] = [x, y, x, y];
    for (const [, verb, length] of steps!.matchAll(/([hv])(-?\d+)/g)) {
      if (verb === 'h') x += Number(length);
      else y += Number(length);
      [left, top, right, bottom] = [Math.min(left, x), Math.min(top, y), Math.max(right, x), Math.max(bottom, y)];
    }
    return { x: left, y: top, width: right - left, height: bottom - top };
  });
  return loops.sort((a, b) => b.width * b.height - a.width * a.height)[0];
}

/** Steps right, down, left, up. */
const DX = [1, 0, -1, 0] as const;
const DY = [0, 1, 0, -1] as const;
const VERBS = ['h', 'v', 'h', 'v'] as const;

/**
 * @param labels [height, width], rows from the top
 * @returns closed loops in pixels, holes included (fill them by the even-odd rule); empty where no pixel has the label
 */
export function outlinePath(labels: Uint8Array, width: number, height: number, label: number): string {
  const inside = (x: number, y: number): boolean => x >= 0 && y >= 0 && x < width && y < height && labels[y * width + x] === label;
  // The pixel to the right hand of a step in each direction from the corner (x, y) is inside, the one to its left hand is not.
  const isBorder = (x: number, y: number, direction: number): boolean => {
    const [right, left] = [
      [[x, y], [x, y - 1]],
      [[x - 1, y], [x, y]],
      [[x - 1, y - 1], [x - 1, y]],
      [[x, y - 1], [x - 1, y - 1]],
    ][direction]!; // prettier-ignore
    return inside(right![0]!, right![1]!) && !inside(left![0]!, left![1]!);
  };
  const walked = new Uint8Array((width + 1) * (height + 1));
  let path = '';
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      // Every loop has a step to the right along the top of a pixel.
      if (isBorder(x, y, 0) && !walked[y * (width + 1) + x]) path += loopFrom(x, y, width, walked, isBorder);
    }
  }
  return path;
}

function loopFrom(
  startX: number,
  startY: number,
  width: number,
  walked: Uint8Array,
  isBorder: (x: number, y: number, direction: number) => boolean,
): string {
  let [x, y, direction] = [startX, startY, 0];
  let path = `M${x} ${y}`;
  let length = 0;
  do {
    if (direction === 0) walked[y * (width + 1) + x] = 1;
    x += DX[direction]!;
    y += DY[direction]!;
    length++;
    // Turning right first keeps pixels that only touch at a corner in loops of their own.
    const next = [1, 0, 3].map((turn) => (direction + turn) % 4).find((candidate) => isBorder(x, y, candidate))!;
    if (next !== direction) {
      path += `${VERBS[direction]}${length * (DX[direction]! + DY[direction]!)}`;
      length = 0;
      direction = next;
    }
  } while (x !== startX || y !== startY || direction !== 0);
  return `${path}z`;
}
