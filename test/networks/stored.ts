/** The networks that make_networks.py has written: their checkpoints, data and expectations. */
import { existsSync, readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Floats } from '../../lib/engine/engine';
import type { Graph } from '../../lib/graph/graph';
import { lower } from '../../lib/graph/lower';
import { readOnnx } from '../../lib/graph/onnx';
import { readStateDict } from '../../lib/graph/state-dict';
import { readNpy } from '../../lib/npy';
import { readSlices, type Definition, type Slices } from '../support/tracin';

export const NETWORK_NAMES: readonly string[] = readdirSync(__dirname).filter((name) => existsSync(join(__dirname, name, 'network.json')));

export const SIZE = [24, 32] as const;

export interface StoredNetwork {
  readonly learningRates: readonly number[];
  /** C */
  readonly classes: number;
  /** Trainable parameters as PyTorch counts them; the output does not depend on those not `used`. */
  readonly parameters: readonly { readonly name: string; readonly size: number; readonly used: boolean }[];
  /** PyTorch's names of the last layer's kernel. */
  readonly head: readonly string[];
}

export async function describeNetwork(name: string): Promise<StoredNetwork> {
  return JSON.parse(await readFile(join(__dirname, name, 'network.json'), 'utf8')) as StoredNetwork;
}

export function lastCheckpoint(name: string): Promise<Graph> {
  return readOnnx(join(__dirname, name, 'checkpoint-1.onnx'));
}

export async function checkpointsOf(name: string): Promise<Graph[]> {
  const last = await lastCheckpoint(name);
  const stateDict = join(__dirname, name, 'checkpoint-0.safetensors');
  if (!existsSync(stateDict)) return [await readOnnx(join(__dirname, name, 'checkpoint-0.onnx')), last];
  const { graph } = await readStateDict(stateDict, last, lower(last, SIZE), (initializer) => initializer);
  return [graph, last];
}

/** @param classes labels beyond them are background */
export async function slicesOf(role: 'train' | 'test', classes: number): Promise<Slices> {
  const slices = await readSlices(join(__dirname, 'data', `${role}_images.npy`), join(__dirname, 'data', `${role}_labels.npy`));
  return { ...slices, targets: slices.targets.map((label) => (label < classes ? label : 0)) };
}

/** Logits [tests, C, H, W] of the last checkpoint by onnxruntime. */
export async function expectedLogits(name: string): Promise<Float32Array> {
  return (await readNpy(join(__dirname, name, 'logits.npy'))).data as Float32Array;
}

export async function expectedInfluence(name: string, { loss, region, parameters }: Definition): Promise<Floats> {
  return (await readNpy(join(__dirname, name, `expected_${loss}_${region}_${parameters}.npy`))).data as Float64Array;
}
