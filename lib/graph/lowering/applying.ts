/** When an operation on terms happens: at once where all is known, later where the checkpoint decides, else in the program. */
import type { ParameterKind } from '../lowered';
import type { Computed, Known, Term, Use, Weights } from './term';
import { Values } from './values';

export class Applying extends Values {
  /** A term as a parameter of that role (or what is computed from some), never a constant. */
  parameter(term: Term, role: ParameterKind): Computed {
    if (term.kind === 'computed') return this.fail(`computes its ${role} from the image, which is not supported`);
    if (term.kind === 'known') {
      const wanted = term.integer
        ? 'of whole numbers: export a network of floating-point weights'
        : 'a constant: store it as an initializer';
      return this.fail(`takes its ${role} from '${term.name}', which is ${wanted}`);
    }
    const made = term.realise({ role, arithmetic: false });
    return made.kind === 'computed' ? made : this.fail(`takes its ${role} from constants alone: store it as an initializer`);
  }

  /** A term for arithmetic: trainable numbers of the checkpoint become parameters of that role, or constants where there is none. */
  operand(term: Term, role: ParameterKind | undefined): Known | Computed {
    if (term.kind !== 'weights') return term;
    if (role) return term.realise({ role, arithmetic: true });
    const numbers = term.numbers();
    if (numbers.data.length > 1)
      this.notes.add(`'${numbers.name || this.node.output}' is used as constants by ${this.node.name}, not as parameters`);
    return numbers;
  }

  /** An operation on terms: folded where all are known, put off where the checkpoint decides, else emitted. */
  protected apply(
    operands: readonly Term[],
    dims: readonly number[],
    use: (outer: Use, operand: Term) => Use,
    fold: ((...operands: readonly Known[]) => Known) | undefined,
    emit: (...operands: readonly (Known | Computed)[]) => Term,
  ): Term {
    const now = operands.filter((operand) => operand.kind !== 'weights');
    if (now.some(({ kind }) => kind === 'computed')) {
      if (now.length < operands.length) return this.fail('combines parameters and values before it knows what they are');
      return emit(...now);
    }
    if (now.length === operands.length && fold) return fold(...(now as Known[]));
    const node = this.node;
    const made = new Map<string, Known | Computed>();
    const weights: Weights = {
      kind: 'weights',
      dims,
      numbers: () => {
        if (!fold) return node.fail('works on constants, which is not supported: fold them into an initializer');
        return fold(...operands.map((operand) => (operand.kind === 'weights' ? operand.numbers() : (operand as Known))));
      },
      realise: (outer) => {
        const key = `${outer.role} ${outer.arithmetic}`;
        const old = made.get(key);
        if (old) return old;
        const inner = operands.map((operand) => (operand.kind === 'weights' ? operand.realise(use(outer, operand)) : operand));
        const result = inner.some(({ kind }) => kind === 'computed') || !fold ? emit(...inner) : fold(...(inner as Known[]));
        if (result.kind === 'weights') return node.fail('is computed in a way that is not supported');
        made.set(key, result);
        return result;
      },
    };
    return weights;
  }
}
