// A worker that answers on a page what Python answers in JupyterLab (ncsn_lib/labs/network_lab.py): the network's
// score, the exact denoiser of the training images. What it needs it loads when it is first asked.

import { exactDenoiser } from "./exact.js";
import { download, loadNetwork } from "./network.js";

const FOLDER = new URL("./files/", import.meta.url);
const SIDE = [1, 28, 28]; // of the training images
const NO_DIGITS =
  "This copy of the book was built without MNIST's training images, so their exact denoiser is not here. Build it again with NCSN_DATA set to MNIST's folder.";
let listed = null; // what files.json says
let network = null;
let images = new Uint8Array(0);
let filesLoaded = 0; // of the training images

async function listing() {
  if (!listed) {
    const response = await fetch(new URL("files.json", FOLDER));
    if (!response.ok) throw new Error(`The list of the labs' files could not be loaded: the server says ${response.status}.`);
    listed = await response.json();
  }
  return listed;
}

const as32 = (buffer) => new Float32Array(buffer);

/** What can be asked: each takes what was said, its buffers and a teller of progress, and answers values and arrays. */
const ANSWERS = {
  /** How many bytes `prepare` and each ten thousand images would load. */
  async sizes() {
    const { runtimes, network: graph, digits } = await listing();
    return { network: runtimes.wasm.bytes + graph.bytes, digits: digits.map((part) => part.bytes) };
  },

  /** Load the network; `backend` may name "wasm" or "webgpu". */
  async prepare({ backend }, buffers, tell) {
    if (!network || (backend && backend !== network.backend)) network = await loadNetwork(await listing(), FOLDER, backend, tell);
    return { backend: { wasm: "WebAssembly", webgpu: "WebGPU" }[network.backend] };
  },

  /** The score (B, C, H, W) of `x` with (B,) levels. */
  async score({ shape }, [x, sigma]) {
    return { arrays: [await network.score(as32(x), as32(sigma), shape)] };
  },

  /** The exact denoiser of the first `num` training images, for one noisy image; and which images it is made of. */
  async exact({ num, sigma }, [x], tell) {
    const { digits } = await listing();
    if (digits.length === 0) throw new Error(NO_DIGITS);
    const dim = SIDE.reduce((a, b) => a * b);
    while (images.length < num * dim) await loadMoreImages(digits, tell);
    const known = images.subarray(0, num * dim);
    const { denoised, weights, best, effective } = exactDenoiser(known, as32(x), sigma);
    const pictures = best.map((n) => Float32Array.from(known.subarray(n * dim, (n + 1) * dim), (grey) => grey / 255));
    return { effective, best, weights: best.map((n) => weights[n]), arrays: [denoised, ...pictures] };
  },
};

/** Add the next file of training images. */
async function loadMoreImages(digits, tell) {
  const next = digits[filesLoaded];
  const [more] = await download([{ url: new URL(next.name, FOLDER), bytes: next.bytes }], tell);
  const all = new Uint8Array(images.length + more.length);
  all.set(images);
  all.set(more, images.length);
  images = all;
  filesLoaded += 1;
}

async function answer({ content: { id, ask, ...said }, buffers }) {
  const tell = (progress) => postMessage({ content: { id, progress }, buffers: [] });
  try {
    const { arrays = [], ...told } = await ANSWERS[ask](said, buffers, tell);
    postMessage({ content: { id, ...told }, buffers: arrays.map((array) => array.buffer) });
  } catch (error) {
    postMessage({ content: { id, error: error.message }, buffers: [] });
  }
}

let last = Promise.resolve(); // one answer after the other, as from Python

addEventListener("message", ({ data }) => {
  last = last.then(() => answer(data));
});
