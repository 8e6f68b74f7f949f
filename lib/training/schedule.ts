/**
 * The learning rate of an epoch as a share of the base rate.
 *  constant  1
 *  step      factor ^ floor((epoch − 1) / every)
 *  poly      (1 − (epoch − 1) / epochs) ^ power, as in DeepLab (Chen et al. 2017) and nnU-Net (Isensee et al. 2021)
 * Every rate is above 0, which influence needs: a checkpoint with η = 0 would count for nothing.
 */
export type Schedule =
  | { readonly kind: 'constant' }
  | { readonly kind: 'step'; readonly every: number; readonly factor: number }
  | { readonly kind: 'poly'; readonly power: number };

/** η in force in an epoch, counted from 1. */
export function learningRateAt(schedule: Schedule, base: number, epoch: number, epochs: number): number {
  switch (schedule.kind) {
    case 'constant':
      return base;
    case 'step':
      return base * schedule.factor ** Math.floor((epoch - 1) / schedule.every);
    case 'poly':
      return base * (1 - (epoch - 1) / epochs) ** schedule.power;
  }
}
