"""Writes scipy.json beside itself: inputs and the values scipy and numpy give for them. Run: python3 scipy_values.py"""
import json
import os
import numpy as np
import scipy
from scipy import stats

rng = np.random.default_rng(7)
cases = []
for n, ties in ((3, False), (10, False), (25, True), (200, True), (201, False)):
    x = rng.normal(size=n)
    y = 0.4 * x + rng.normal(size=n)
    if ties:
        x, y = np.round(2 * x), np.round(2 * y)
    cases.append({
        'x': x.tolist(), 'y': y.tolist(),
        'pearson': stats.pearsonr(x, y).statistic,
        'spearman': stats.spearmanr(x, y).statistic,
        'kendall': stats.kendalltau(x, y).statistic,
        'ranks': stats.rankdata(x).tolist(),
        'quantiles': np.quantile(x, [0, 0.025, 0.5, 0.95, 1]).tolist(),
    })
tests = []
for a, b, ties in ((8, 8, False), (30, 45, False), (12, 40, True), (50, 20, True)):
    x, y = rng.normal(0.5, 1, a), rng.normal(0, 1, b)
    if ties:
        x, y = np.round(2 * x), np.round(2 * y)
    found = stats.mannwhitneyu(x, y, alternative='two-sided', method='asymptotic', use_continuity=True)
    tests.append({'x': x.tolist(), 'y': y.tolist(), 'u': found.statistic, 'p': found.pvalue})
json.dump({'scipy': scipy.__version__, 'numpy': np.__version__, 'correlations': cases, 'mannWhitney': tests},
          open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'scipy.json'), 'w'))
