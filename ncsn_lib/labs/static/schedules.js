// Noise levels and the step sizes that follow: ncsn_lib/schedules.py, once more for the page. Tests compare the two.

/**
 * The ladder sigma_1 > ... > sigma_L.
 *
 * @param {string} schedule "geometric" (a constant ratio, Song & Ermon 2019, Sec. 4.1) or "linear" (a constant step)
 * @param {number} sigmaMax sigma_1
 * @param {number} sigmaMin sigma_L, below sigma_1
 * @param {number} numLevels L, at least 2
 * @returns {number[]} (L,) levels
 */
export function makeLadder(schedule, sigmaMax, sigmaMin, numLevels) {
  const at = (i) => i / (numLevels - 1);
  const levels = {
    geometric: (i) => sigmaMax * (sigmaMin / sigmaMax) ** at(i),
    linear: (i) => sigmaMax + (sigmaMin - sigmaMax) * at(i),
  };
  return Array.from({ length: numLevels }, (_, i) => levels[schedule](i));
}

/** Step size of each level, alpha_i = eps sigma_i^2 / sigma_L^2 (Song & Ermon 2019, Alg. 1, line 3). */
export function langevinStepSizes(sigmas, eps) {
  const last = sigmas[sigmas.length - 1];
  return sigmas.map((sigma) => eps * (sigma / last) ** 2);
}

/**
 * Mass of level i+1's noise within three standard deviations of level i's (Song & Ermon 2020, Technique 2).
 *
 * @param {number[]} sigmas (L,) decreasing levels
 * @param {number} dim D, the dimensions of an example
 * @returns {number[]} (L - 1,) shares between 0 and 1
 */
export function levelOverlap(sigmas, dim) {
  return sigmas.slice(1).map((below, i) => {
    const ratio = sigmas[i] / below;
    const shift = Math.sqrt(2 * dim) * (ratio - 1);
    return (erfc((shift - 3 * ratio) / Math.SQRT2) - erfc((shift + 3 * ratio) / Math.SQRT2)) / 2;
  });
}

/**
 * Variance of the noise that is carried at the end of each level, over sigma_i^2 (Song & Ermon 2020, Prop. 3).
 *
 * One example, started with noise of sigma_1: with h = eps / sigma_L^2 and a = 1 - h/2 each level takes the v that
 * arrives to v' + a^(2T) (v - v'), v' = 1 / (1 - h/4). From h = 4 on it grows without end.
 *
 * @param {number[]} sigmas (L,) decreasing levels
 * @param {number} eps the step size at the last level
 * @param {number} numSteps T, steps a level
 * @returns {number[]} (L,) 1 where a sampler has as much noise as its level expects
 */
export function carriedNoise(sigmas, eps, numSteps) {
  const h = eps / sigmas[sigmas.length - 1] ** 2;
  const [decay, limit] = [(1 - h / 2) ** (2 * numSteps), 1 / (1 - h / 4)];
  let [carried, previous] = [1, sigmas[0]];
  return sigmas.map((sigma) => {
    carried = limit + decay * ((previous / sigma) ** 2 * carried - limit);
    previous = sigma;
    return carried;
  });
}

/**
 * The complementary error function, to 14 digits: its series near 0, its continued fraction (Lentz) beyond.
 *
 * Abramowitz and Stegun (1964), 7.1.6 and 7.1.14.
 */
export function erfc(x) {
  if (x < 0) return 2 - erfc(-x);
  return x < 2 ? 1 - erfSeries(x) : erfcFraction(x);
}

function erfSeries(x) {
  let term = x;
  let sum = x;
  for (let n = 1; term > 1e-17 * sum; n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

function erfcFraction(x) {
  let fraction = x;
  for (let n = 120; n > 0; n--) fraction = x + n / 2 / fraction;
  return Math.exp(-x * x) / Math.sqrt(Math.PI) / fraction;
}
