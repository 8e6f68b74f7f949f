import type { ParameterKind } from '../../graph/lowered';
import type { Optimiser } from '../engine';

/** Slots by name: `velocity/NAME` (sgd), `m/NAME` and `v/NAME` (adam). */
export type Slots = Map<string, Float64Array>;

/** Weight decay is for what multiplies activations, not for what shifts or scales them. */
function decays(role: ParameterKind): boolean {
  return role === 'kernel' || role === 'matrix';
}

/** Moves θ in place by one step against its gradient g, as `Optimiser` documents it; missing slots begin at 0. */
export function update(
  optimiser: Optimiser,
  parameter: { readonly name: string; readonly role: ParameterKind },
  theta: Float64Array,
  g: Float64Array,
  slots: Slots,
): void {
  const slot = (kind: string): Float64Array => {
    const name = `${kind}/${parameter.name}`;
    const found = slots.get(name) ?? new Float64Array(theta.length);
    slots.set(name, found);
    return found;
  };
  const decay = decays(parameter.role) ? optimiser.weightDecay : 0;
  if (optimiser.kind === 'sgd') {
    const velocity = slot('velocity');
    for (let i = 0; i < theta.length; i++) {
      velocity[i] = optimiser.momentum * velocity[i]! + (g[i]! + decay * theta[i]!);
      theta[i]! -= optimiser.learningRate * velocity[i]!;
    }
    return;
  }
  const { beta1, beta2, epsilon, step, learningRate } = optimiser;
  const m = slot('m');
  const v = slot('v');
  for (let i = 0; i < theta.length; i++) {
    const gradient = g[i]! + decay * theta[i]!;
    m[i] = beta1 * m[i]! + (1 - beta1) * gradient;
    v[i] = beta2 * v[i]! + (1 - beta2) * gradient ** 2;
    theta[i]! -= (learningRate * (m[i]! / (1 - beta1 ** step))) / (Math.sqrt(v[i]! / (1 - beta2 ** step)) + epsilon);
  }
}
