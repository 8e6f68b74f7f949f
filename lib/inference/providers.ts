/** Where onnxruntime can run here. */
import { coresHere } from '../cores';
import { TracinError } from '../errors';
import type { Graph } from '../graph/graph';
import { serialiseOnnx } from '../graph/onnx';
import { openSession } from './session';

/** Execution providers of onnxruntime that are asked for by name. */
export const PROVIDERS = ['cpu', 'cuda', 'webgpu'] as const;
/** What onnxruntime runs on. */
export type Provider = (typeof PROVIDERS)[number];

/** A provider, or an error; with `,cpu` the CPU where it is not available, which is told. */
export const PROVIDER_CHOICES = ['cpu', 'cuda', 'webgpu', 'cuda,cpu', 'webgpu,cpu'] as const;
/** A provider, or one and the CPU in its place where it is not available. */
export type ProviderChoice = (typeof PROVIDER_CHOICES)[number];

/** One line each: that it runs, or why it does not. */
export type ProviderStatus =
  | { readonly name: Provider; readonly available: true; readonly description: string }
  | { readonly name: Provider; readonly available: false; readonly reason: string };

/** The least network: a session of it opens where the provider works. */
const IDENTITY: Graph = {
  name: 'identity',
  opset: 17,
  producer: 'tracin-seg',
  inputs: [{ name: 'image', type: 'float32', dims: ['N', 1, 'H', 'W'] }],
  outputs: [{ name: 'logits', type: 'float32', dims: ['N', 1, 'H', 'W'] }],
  initializers: new Map(),
  nodes: [{ name: 'identity', operator: 'Identity', domain: '', inputs: ['image'], outputs: ['logits'], attributes: new Map() }],
  metadata: new Map(),
  source: 'the probe network',
};

/** Tries every provider by opening a session on it, which is the only way to know. */
export async function listProviders(): Promise<ProviderStatus[]> {
  const model = serialiseOnnx(IDENTITY);
  const statuses: ProviderStatus[] = [];
  for (const name of PROVIDERS) {
    try {
      const session = await openSession({ source: IDENTITY.source, model, provider: name, threads: 1, outputs: ['logits'] });
      await session.close();
      const cores = name === 'cpu' ? `, ${coresHere()} cores` : '';
      statuses.push({ name, available: true, description: `onnxruntime ${session.version}${cores}` });
    } catch (error) {
      if (!(error instanceof TracinError && error.code === 'ERR_TRACIN_ENGINE')) throw error;
      statuses.push({ name, available: false, reason: error.message });
    }
  }
  return statuses;
}
