// Mixtures of Gaussians in the plane, exact at every noise level: GaussianMixture of ncsn_lib/distributions.py, once
// more for the page. Points are Float64Arrays x, y, x, y, ... of B points.

const LOG_2PI = Math.log(2 * Math.PI);
const RAYS = 720;

/**
 * A mixture sum_k w_k N(mu_k, s_k^2 I) in the plane.
 *
 * @param {number[][]} means (K, 2)
 * @param {number[]} stds (K,) standard deviations
 * @param {number[]} weights (K,) made to sum to 1
 */
export function makeMixture(means, stds, weights) {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return { means, stds, weights: weights.map((weight) => weight / total) };
}

/** The mixture convolved with N(0, sigma^2 I): variances add. */
export function convolve(mixture, sigma) {
  return { ...mixture, stds: mixture.stds.map((std) => Math.hypot(std, sigma)) };
}

/** The authors' toy code: sigma in the place of every component's spread, where a convolution would add to it. */
export function replaceSpread(mixture, sigma) {
  return { ...mixture, stds: mixture.stds.map(() => sigma) };
}

/**
 * The log-density of a mixture.
 *
 * @param {Float64Array} points B points
 * @returns {Float64Array} (B,) natural logarithms
 */
export function logDensity(mixture, points) {
  const joint = new Float64Array(mixture.stds.length);
  const constants = logConstants(mixture);
  return Float64Array.from({ length: points.length / 2 }, (_, b) => {
    const largest = fillJoint(joint, mixture, constants, points[2 * b], points[2 * b + 1]);
    let sum = 0;
    for (const value of joint) sum += Math.exp(value - largest);
    return largest + Math.log(sum);
  });
}

/**
 * The score, sum_k r_k(x) (mu_k - x) / s_k^2, r_k the posterior weight of component k.
 *
 * @param {Float64Array} points B points
 * @param {Float64Array} out where the B scores are written; returned
 */
export function score(mixture, points, out = new Float64Array(points.length)) {
  const { means, stds } = mixture;
  const joint = new Float64Array(stds.length);
  const constants = logConstants(mixture);
  for (let b = 0; b < points.length; b += 2) {
    const [x, y] = [points[b], points[b + 1]];
    const largest = fillJoint(joint, mixture, constants, x, y);
    let [sum, along, up] = [0, 0, 0];
    for (let k = 0; k < joint.length; k++) {
      const posterior = Math.exp(joint[k] - largest);
      sum += posterior;
      along += (posterior * (means[k][0] - x)) / stds[k] ** 2;
      up += (posterior * (means[k][1] - y)) / stds[k] ** 2;
    }
    out[b] = along / sum;
    out[b + 1] = up / sum;
  }
  return out;
}

/**
 * Share of the points that lie nearest to each mean.
 *
 * @param {number[][]} means (K, 2)
 * @returns {number[]} (K,) shares that sum to 1; all NaN if a point is not finite
 */
export function modeMass(points, means) {
  const counts = means.map(() => 0);
  for (let b = 0; b < points.length; b += 2) {
    const distances = means.map(([x, y]) => (points[b] - x) ** 2 + (points[b + 1] - y) ** 2);
    counts[distances.indexOf(Math.min(...distances))] += 1; // -1 where a distance is NaN
  }
  const finite = points.every(Number.isFinite);
  return counts.slice(0, means.length).map((count) => (finite ? count / (points.length / 2) : NaN));
}

/**
 * Share of a mixture's own mass that lies nearest to each of its means: what `modeMass` of endlessly many samples would be.
 *
 * Along a ray from a component's mean the cell of a mean is an interval, and the component's mass in it is closed; what is
 * left is a mean over the rays' angles.
 *
 * @returns {number[]} (K,) shares that sum to 1
 */
export function nearestShares({ means, stds, weights }) {
  const shares = means.map(() => 0);
  for (let k = 0; k < means.length; k++) {
    const tail = (radius) => Math.exp(-0.5 * (radius / stds[k]) ** 2);
    for (let n = 0; n < RAYS; n++) {
      const angle = (2 * Math.PI * (n + 0.5)) / RAYS;
      const ray = [Math.cos(angle), Math.sin(angle)];
      for (let j = 0; j < means.length; j++) {
        const [near, far] = rayInCell(means, k, j, ray);
        if (near < far) shares[j] += (weights[k] / RAYS) * (tail(near) - tail(far));
      }
    }
  }
  return shares;
}

/** The radii, least and largest, between which a ray from mean k lies in the cell of mean j; of two means that coincide the first one has the cell. */
function rayInCell(means, k, j, ray) {
  const fromK = ([x, y]) => (x - means[k][0]) ** 2 + (y - means[k][1]) ** 2;
  let [near, far] = [0, Infinity];
  for (let i = 0; i < means.length; i++) {
    if (i === j) continue;
    const slope = 2 * (ray[0] * (means[i][0] - means[j][0]) + ray[1] * (means[i][1] - means[j][1]));
    const room = fromK(means[i]) - fromK(means[j]); // mean j is nearer where slope * radius < room
    if (slope > 0) far = Math.min(far, room / slope);
    else if (slope < 0) near = Math.max(near, room / slope);
    else if (room < 0 || (room === 0 && i < j)) far = 0;
  }
  return [near, far];
}

/** How many points are not finite, or farther than `bound` from the centre along an axis. */
export function countLost(points, bound) {
  let lost = 0;
  for (let b = 0; b < points.length; b += 2) {
    const inside = Math.abs(points[b]) <= bound && Math.abs(points[b + 1]) <= bound; // false for NaN, too
    if (!inside) lost += 1;
  }
  return lost;
}

function logConstants({ stds, weights }) {
  return weights.map((weight, k) => Math.log(weight) - LOG_2PI - 2 * Math.log(stds[k]));
}

/** Fill in log(w_k N(x; mu_k, s_k^2 I)) for each component, and return the largest. */
function fillJoint(joint, { means, stds }, constants, x, y) {
  let largest = -Infinity;
  for (let k = 0; k < joint.length; k++) {
    const squared = (x - means[k][0]) ** 2 + (y - means[k][1]) ** 2;
    joint[k] = constants[k] - squared / (2 * stds[k] ** 2);
    if (joint[k] > largest) largest = joint[k];
  }
  return largest;
}
