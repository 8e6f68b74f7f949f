/**
 * The one table of operators. A new operator is its entry here, lowered onto what engines run; a new kind of theirs is its line in
 * `lowered.ts`, its box rule in `boxes.ts` and one place in each engine.
 */
import { activations } from './activations';
import { arithmetic } from './arithmetic';
import { convolutions } from './convolution';
import { movements } from './movement';
import { normalisations } from './normalisation';
import type { OperatorEntry } from './operator';
import { pools } from './pooling';
import { products } from './products';
import { reductions } from './reduction';
import { resizes } from './resize';
import { selections } from './selection';
import { shapes } from './shapes';

export const OPERATORS: ReadonlyMap<string, OperatorEntry> = new Map(
  [activations, arithmetic, convolutions, movements, normalisations, pools, products, reductions, resizes, selections, shapes].flatMap(
    (part) => Object.entries(part),
  ),
);

const CONTROL = 'the network has control flow: export it without (tracing, not scripting; fixed numbers of steps)';
const QUANTISED = 'the network is quantised, and gradients need floating-point arithmetic: export it before quantisation';

/** Why some operators are not in the table. */
const REASONS: ReadonlyMap<string, string> = new Map([
  ...['If', 'Loop', 'Scan', 'SequenceMap'].map((name) => [name, CONTROL] as const),
  ...['QuantizeLinear', 'DequantizeLinear', 'DynamicQuantizeLinear', 'QLinearConv', 'QLinearMatMul', 'ConvInteger', 'MatMulInteger'].map(
    (name) => [name, QUANTISED] as const,
  ),
]);

/** Why an operator cannot be lowered, undefined where it can. @param domain '' for the standard one */
export function unsupported(name: string, domain: string): string | undefined {
  if (domain !== '') return `operators of the domain '${domain}' are not known: export the network with standard ones`;
  if (OPERATORS.has(name)) return undefined;
  return REASONS.get(name) ?? 'export the network with operators of the table in the guide';
}

/** @param domain '' for the standard one */
export function isSupported(name: string, domain: string): boolean {
  return unsupported(name, domain) === undefined;
}
