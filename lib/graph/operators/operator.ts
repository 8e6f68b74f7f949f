/** What an entry of the operator table is: how a node of ONNX becomes operations that engines run, or numbers known before. */
import type { Emitter } from '../lowering/emitter';
import type { Known, Term } from '../lowering/term';

/** A node as its entry sees it: checked attributes and inputs. Every method throws ERR_TRACIN_GRAPH naming file and node. */
export interface NodeView {
  readonly opset: number;
  readonly emit: Emitter;
  readonly inputCount: number;
  readonly outputCount: number;
  /** Dims [C, …spatial] of the first input, a feature map. */
  readonly image: readonly number[];
  /** An input that must be there. */
  term(index: number): Term;
  /** Undefined where an optional input is absent. */
  input(index: number): Term | undefined;
  /** Numbers of an input that must be known, undefined where it is absent or empty. */
  known(index: number): Known | undefined;
  /** Whole numbers: an input's since an opset, an attribute's before; undefined where there are none. */
  list(attribute: string, index: number): readonly number[] | undefined;
  has(attribute: string): boolean;
  int(attribute: string, fallback: number): number;
  float(attribute: string, fallback: number): number;
  string<S extends string>(attribute: string, allowed: readonly S[], fallback: S): S;
  text(attribute: string): string;
  ints(attribute: string, fallback: readonly number[]): readonly number[];
  /** A tensor attribute's numbers. */
  tensor(attribute: string): Known | undefined;
  floats(attribute: string): readonly number[] | undefined;
  /** An axis of a tensor of that rank, negative ones counted from the end. */
  axis(attribute: string, fallback: number, rank: number): number;
  /** As `axis`, for axes from elsewhere; each at most once. */
  axes(axes: readonly number[], rank: number): number[];
  readonly fail: (message: string) => never;
}

export interface OperatorEntry {
  /** Fewest and most inputs. */
  readonly inputs: readonly [number, number];
  /** Its outputs; those it leaves out are not supported. */
  lower(node: NodeView): Term | readonly Term[];
}

export const operator = (least: number, most: number, lower: OperatorEntry['lower']): OperatorEntry => ({ inputs: [least, most], lower });
