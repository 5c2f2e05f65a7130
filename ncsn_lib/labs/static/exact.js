// The exact denoiser of a set of images: ncsn_lib's dataset_mixture(points).denoise, once more for the page.

/**
 * The mean of the clean image given a noisy one, where the data are these images and no others.
 *
 * Perturbed at sigma they are a mixture of Gaussians N(x_n, sigma^2 I), so the mean is sum_n w_n x_n with w the
 * softmax of -|x - x_n|^2 / (2 sigma^2).
 *
 * @param {Uint8Array} images (N, D) grey values from 0 to 255, which stand for 0 to 1
 * @param {Float32Array} x (D,) a noisy image
 * @param {number} sigma its noise level, above 0
 * @param {number} most how many of the likeliest images to name
 * @returns {{denoised: Float32Array, weights: Float64Array, best: number[], effective: number}} (D,) the mean; (N,) w; the
 *   likeliest images, likeliest first; exp of the entropy of w, how many images share the weight
 */
export function exactDenoiser(images, x, sigma, most = 5) {
  const [dim, num] = [x.length, images.length / x.length];
  const weights = squaredDistances(images, x).map((distance) => -distance / (2 * sigma * sigma));
  softmax(weights);
  const denoised = new Float64Array(dim);
  let entropy = 0;
  for (let n = 0; n < num; n++) {
    const weight = weights[n];
    if (weight < 1e-15) continue; // less than the mean's rounding
    entropy -= weight * Math.log(weight);
    for (let d = 0, at = n * dim; d < dim; d++, at++) denoised[d] += weight * images[at];
  }
  return {
    denoised: Float32Array.from(denoised, (grey) => grey / 255),
    weights,
    best: largest(weights, Math.min(most, num)),
    effective: Math.exp(entropy),
  };
}

/** (N,) squared distances of x from each image, in the units of x. */
function squaredDistances(images, x) {
  const dim = x.length;
  const scaled = Float64Array.from(x, (value) => 255 * value);
  return Float64Array.from({ length: images.length / dim }, (_, n) => {
    let sum = 0;
    for (let d = 0, at = n * dim; d < dim; d++, at++) sum += (scaled[d] - images[at]) ** 2;
    return sum / 255 ** 2;
  });
}

/** exp(v) / sum(exp(v)), in place. */
function softmax(values) {
  const top = values.reduce((a, b) => Math.max(a, b));
  let sum = 0;
  for (let n = 0; n < values.length; n++) sum += values[n] = Math.exp(values[n] - top);
  for (let n = 0; n < values.length; n++) values[n] /= sum;
}

/** The indices of the largest values, the largest first. */
function largest(values, count) {
  const best = [];
  for (let n = 0; n < values.length; n++) {
    if (best.length === count && values[n] <= values[best[count - 1]]) continue;
    best.push(n);
    best.sort((a, b) => values[b] - values[a]);
    best.length = Math.min(best.length, count);
  }
  return best;
}
