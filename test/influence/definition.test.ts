import { describeDefinition, needsPrediction, resolveDefinition, type DefinitionOptions } from '../../lib/influence/definition';

const refusal = (options: unknown): unknown => {
  try {
    resolveDefinition(options as DefinitionOptions);
  } catch (error) {
    return error;
  }
  return undefined;
};

describe('definition', () => {
  test('is the published text by default', () => {
    expect(resolveDefinition()).toEqual({
      loss: 'dice',
      region: 'predicted',
      target: 'truth',
      parameters: 'all',
      reduction: 'mean',
      learningRates: 'recorded',
    });
  });

  test('preset paper-code is the published code', () => {
    const paper = { loss: 'dice', region: 'slice', target: 'truth', parameters: 'head', reduction: 'mean', learningRates: 'one' };
    expect(resolveDefinition({ preset: 'paper-code' })).toEqual(paper);
    expect(resolveDefinition({ preset: 'paper-code', region: 'slice' })).toEqual(paper);
  });

  test('keeps what is given', () => {
    expect(resolveDefinition({ loss: 'cross-entropy', region: 'truth', reduction: 'sum', parameters: ['encoder.*'] })).toMatchObject({
      loss: 'cross-entropy',
      region: 'truth',
      reduction: 'sum',
      parameters: ['encoder.*'],
    });
  });

  test.each([
    [{ loss: 'focal' }, "loss must be dice or cross-entropy, not 'focal'"],
    [{ region: 'box' }, "region must be predicted, truth or slice, not 'box'"],
    [{ parameters: [] }, 'parameters must be all, head or a list of glob patterns over initializer names, not []'],
    [{ preset: 'paper' }, "preset must be paper-code, not 'paper'"],
    [{ regions: 'truth' }, 'unknown setting regions'],
    [{ preset: 'paper-code', region: 'truth' }, 'region truth contradicts preset paper-code (region slice)'],
    [{ loss: 'cross-entropy', region: 'slice' }, 'region slice has no meaning with loss cross-entropy'],
    [{ reduction: 'sum' }, 'reduction sum has no meaning with loss dice'],
  ])('refuses %j in one line', (options, message) => {
    const error = refusal(options);
    expect(error).toMatchObject({ code: 'ERR_TRACIN_USAGE', message: expect.stringContaining(message) as string });
    expect((error as Error).message).not.toContain('\n');
  });

  test('is told in words and formulas', () => {
    expect(
      describeDefinition(resolveDefinition({ loss: 'cross-entropy', region: 'truth', target: 'predicted', parameters: ['dec*'] })),
    ).toEqual([
      'loss of class c: L_c = 1/|m| Σ_m −log p_y, m = pixels labelled c',
      'targets y: for test slices the predicted labels, for training slices the labels',
      'gradients ∇L: with respect to the parameters matching dec*',
      "influence: T[i, j] = Σ_t η_t ∇L_i(θ_t, z'_i) · ∇L_j(θ_t, z_j), η_t the learning rate at checkpoint t",
    ]);
  });

  test('asks for predictions only where it uses them', () => {
    expect(needsPrediction(resolveDefinition())).toBe(true);
    expect(needsPrediction(resolveDefinition({ region: 'truth' }))).toBe(false);
    expect(needsPrediction(resolveDefinition({ region: 'slice', target: 'predicted' }))).toBe(true);
  });
});
