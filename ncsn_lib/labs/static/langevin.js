// Langevin dynamics and its annealed form: ncsn_lib/samplers, once more for the page. Noise is always handed in.

import { score } from "./mixtures.js";
import { langevinStepSizes } from "./schedules.js";

/** A step of Langevin dynamics, x + alpha/2 * score + sqrt(alpha) * noise (Song & Ermon 2019, Eq. 4), as a plan has it. */
function langevinStep(level, sigma, stepSize) {
  return { level, sigma, stepSize, drift: stepSize / 2, spread: Math.sqrt(stepSize) };
}

/** The plan of plain Langevin dynamics: every step at one level, with one step size. */
export function plainPlan(sigma, stepSize, numSteps) {
  return { length: numSteps, at: () => langevinStep(0, sigma, stepSize) };
}

/** The plan of Algorithm 1: `numSteps` steps at each level, with alpha_i = eps sigma_i^2 / sigma_L^2. */
export function annealedPlan(sigmas, eps, numSteps) {
  const stepSizes = langevinStepSizes(sigmas, eps);
  const at = (step) => {
    const level = Math.min(Math.floor(step / numSteps), sigmas.length - 1);
    return langevinStep(level, sigmas[level], stepSizes[level]);
  };
  return { length: sigmas.length * numSteps, at };
}

/**
 * Take the steps `from` ... `to` - 1 of a plan, in place.
 *
 * @param {Float64Array} points B chains; changed
 * @param {{length: number, at: (step: number) => {sigma: number, drift: number, spread: number}}} plan each step is
 *   x + drift * score + spread * noise; a list will do
 * @param {(sigma: number) => object} mixtureAt the density that is followed at a noise level
 * @param {(array: Float64Array) => Float64Array} fillNoise fills in the draws of one step
 */
export function runPlan(points, plan, mixtureAt, fillNoise, from = 0, to = plan.length) {
  const [noise, scratch] = [new Float64Array(points.length), new Float64Array(points.length)];
  let [mixture, sigmaOfMixture] = [null, NaN];
  for (let step = from; step < Math.min(to, plan.length); step++) {
    const { sigma, drift, spread } = plan.at(step);
    if (sigma !== sigmaOfMixture) [mixture, sigmaOfMixture] = [mixtureAt(sigma), sigma];
    score(mixture, points, scratch);
    if (spread) fillNoise(noise);
    for (let i = 0; i < points.length; i++) points[i] += drift * scratch[i] + spread * noise[i];
  }
  return points;
}

/** Chains on their way along a plan; a subclass says by `mixtureAt(sigma)` which density they follow. */
export class Walk {
  begin(points, plan, fillNoise) {
    Object.assign(this, { points, plan, fillNoise, step: 0 });
  }

  get ended() {
    return this.step >= this.plan.length;
  }

  /** The level at which the next step is taken, or the last one was. */
  get now() {
    return this.plan.at(Math.min(this.step, this.plan.length - 1));
  }

  advance(num) {
    const to = Math.min(this.step + num, this.plan.length);
    runPlan(this.points, this.plan, (sigma) => this.mixtureAt(sigma), this.fillNoise, this.step, to);
    this.step = to;
  }
}
