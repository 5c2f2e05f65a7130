// Samplers by the reverse-time stochastic equation and the probability flow: sde.py and ode.py of ncsn_lib/samplers, once
// more for the page. Every step of every one of them is x + drift * score(x, sigma) + spread * noise, one call of the model.

/** A step from each level to the next and a last one to 0, where `spread(sigma, following)` is no longer asked. */
function planDown(sigmas, drift, spread) {
  return sigmas.map((sigma, level) => {
    const following = sigmas[level + 1] ?? 0;
    return { level, sigma, drift: drift(sigma, following), spread: following && spread(sigma, following), begins: true };
  });
}

const removed = (sigma, following) => sigma ** 2 - following ** 2; // the variance that a step takes away
const alongFlow = (sigma, following) => (sigma - following) * sigma;

/** The reverse-time stochastic equation by Euler and Maruyama's method (Song et al. 2021, Eq. 46). */
export function reversePlan(sigmas) {
  return planDown(sigmas, removed, (sigma, following) => Math.sqrt(removed(sigma, following)));
}

/** Ancestral sampling, DDPM's sampler (Song et al. 2021, Eq. 47). */
export function ancestralPlan(sigmas) {
  return planDown(sigmas, removed, (sigma, following) => following * Math.sqrt(1 - (following / sigma) ** 2));
}

/** The probability flow by Euler's method, which is DDIM (Song, Meng & Ermon 2021). */
export function eulerPlan(sigmas) {
  return planDown(sigmas, alongFlow, () => 0);
}

/**
 * The probability flow by Heun's method (Karras et al. 2022, Alg. 1): after each step of Euler's but the last, another
 * call at the level reached; the step then has the mean of both slopes. `previous` is by how much the score of the step
 * before is added to do so.
 */
export function heunPlan(sigmas) {
  return eulerPlan(sigmas).flatMap((step, level) => {
    if (level === sigmas.length - 1) return [{ ...step, begins: level === 0 }];
    const following = sigmas[level + 1];
    const half = (step.sigma - following) / 2;
    const corrected = { level: level + 1, sigma: following, drift: half * following, previous: -half * step.sigma, spread: 0, begins: true };
    return [{ ...step, begins: level === 0 }, corrected];
  });
}
