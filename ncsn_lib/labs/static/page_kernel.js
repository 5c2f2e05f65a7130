// A worker that answers on a page what Python answers in JupyterLab (ncsn_lib/labs/network_lab.py): the network's
// score, the exact denoiser of the training images. What it needs it loads when it is first asked.

import { exactDenoiser } from "./exact.js";
import { download, fetchFrom, loadNetwork } from "./network.js";

const FOLDER = new URL("./files/", import.meta.url);
const DIM = 28 * 28; // pixels of a training image
const NO_DIGITS =
  "This copy of the book was built without MNIST's training images, so their exact denoiser is not here. Build it again: they are in book/mnist.";
let listed = null; // what files.json says
let network = null;
let images = new Uint8Array(0);
let loads = Promise.resolve(); // of training images, one after the other

async function listing() {
  listed ??= await (await fetchFrom(new URL("files.json", FOLDER))).json();
  return listed;
}

const as32 = (buffer) => new Float32Array(buffer);

/** What can be asked: each takes what was said, its buffers and a teller of progress, and answers values and arrays. */
const ANSWERS = {
  /** How many bytes `prepare` would load, and each part of the training images, with how many it holds. */
  async sizes() {
    const { runtimes, network: graph, digits } = await listing();
    return { network: runtimes.wasm.bytes + graph.bytes, digits: digits.map(({ bytes, images }) => ({ bytes, images })) };
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

  /** Load the first `num` training images; meanwhile other questions are answered. */
  async images({ num }, buffers, tell) {
    await loadImages(num, tell);
    return {};
  },

  /** The exact denoiser of the first `num` training images, for one noisy image; and which images it is made of. */
  async exact({ num, sigma }, [x], tell) {
    await loadImages(num, tell);
    const known = images.subarray(0, num * DIM);
    const { denoised, weights, best, effective } = exactDenoiser(known, as32(x), sigma);
    const pictures = best.map((n) => Float32Array.from(known.subarray(n * DIM, (n + 1) * DIM), (grey) => grey / 255));
    return { effective, best, weights: best.map((n) => weights[n]), arrays: [denoised, ...pictures] };
  },
};

/** Have at least the first `num` training images. */
async function loadImages(num, tell) {
  if (num * DIM <= images.length) return;
  const loaded = loads.then(() => loadMissingImages(num, tell));
  loads = loaded.catch(() => {}); // who asked hears of it; who asks next tries anew
  await loaded;
}

async function loadMissingImages(num, tell) {
  const { digits } = await listing();
  if (digits.length === 0) throw new Error(NO_DIGITS);
  const missing = [];
  let end = 0; // of the part, in images
  for (const part of digits) {
    if (end < num && end * DIM >= images.length) missing.push({ url: new URL(part.name, FOLDER), bytes: part.bytes });
    end += part.images;
  }
  if (end < num) throw new Error(`There are ${end} training images, and ${num} were asked for.`);
  const parts = [images, ...(await download(missing, tell))];
  images = new Uint8Array(await new Blob(parts).arrayBuffer());
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
  if (data.content.ask === "images") answer(data);
  else last = last.then(() => answer(data));
});
