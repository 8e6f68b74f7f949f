/** Gradients that a native program keeps: rows in the addon's memory, counted here. */
import { TracinError } from '../errors';
import type { BlockHandle } from './addon';
import type { Block, CallOptions, RegionBatch, RegionLoss, RegionNorms } from './engine';
import type { NativeProgram } from './native-program';

export class NativeBlock implements Block {
  readonly capacity: number;
  /** As its owner sees it: cleared at once, and appended to when the call has ended. */
  slices = 0;
  /** As a call finds it in its turn. */
  held = 0;
  /** How often it was cleared. */
  clearings = 0;
  #handle: BlockHandle | undefined;
  readonly #program: NativeProgram;

  constructor(program: NativeProgram, handle: BlockHandle, capacity: number) {
    this.#program = program;
    this.#handle = handle;
    this.capacity = capacity;
  }

  get handle(): BlockHandle {
    if (!this.#handle) throw new TracinError('ERR_TRACIN_USAGE', 'block: it is disposed; ask the program for another');
    return this.#handle;
  }

  isOf(program: NativeProgram): boolean {
    return program === this.#program;
  }

  async append(batch: RegionBatch, loss: RegionLoss, options: CallOptions = {}): Promise<RegionNorms> {
    return this.#program.append(this, batch, loss, options);
  }

  clear(): void {
    this.#program.clear(this);
    this.slices = 0;
    this.clearings++;
  }

  dispose(): void {
    if (this.#handle) this.#program.disposeBlock(this.#handle);
    this.#handle = undefined;
  }
}
