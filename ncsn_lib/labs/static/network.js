// The trained network in a page: onnxruntime-web, loaded when it is asked for. Runs in the worker page_kernel.js.

const VENDOR = new URL("../vendor/onnxruntime-web/", import.meta.url);
const BUNDLES = { wasm: "ort.wasm.bundle.min.mjs", webgpu: "ort.jspi.bundle.min.mjs" };
const NO_WASM =
  "This browser has no WebAssembly, without which it cannot run the network (a strict privacy mode may have switched it off). " +
  "The same lab runs in JupyterLab, where Python computes.";
let failures = 0; // of loading something

/**
 * Unpack what a host sent: files lie there packed by gzip, and some hosts unpack them on the way.
 *
 * @param {Uint8Array} bytes
 * @returns {Promise<Uint8Array>}
 */
export async function unpackGzip(bytes) {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/**
 * Load something from the page's host; where that fails say what was wanted, from where, and what to do.
 *
 * @param {URL} url
 * @param {() => Promise} load
 */
export async function fromHost(url, load) {
  try {
    return await load();
  } catch {
    failures += 1;
    const name = url.pathname.split("/").at(-1);
    throw new Error(`${name} did not arrive from ${url.host}: check the connection and what may block that address, then press the button again.`);
  }
}

/** The answer of a host, which must be a good one. */
export async function fetchFrom(url) {
  const response = await fromHost(url, () => fetch(url));
  if (!response.ok) throw new Error(`${url.pathname} could not be loaded: the server says ${response.status}.`);
  return response;
}

/**
 * Fetch files one after the other, and tell how far it is.
 *
 * @param {{url: URL, bytes: number}[]} files with the sizes that they have when packed
 * @param {(progress: {loaded: number, total: number}) => void} tell
 * @returns {Promise<Uint8Array[]>} their contents, unpacked
 */
export async function download(files, tell) {
  const total = files.reduce((sum, file) => sum + file.bytes, 0);
  let before = 0;
  const contents = [];
  for (const { url, bytes } of files) {
    const response = await fetchFrom(url);
    const parts = [];
    let loaded = 0;
    for (const reader = response.body.getReader(); ; ) {
      const { done, value } = await fromHost(url, () => reader.read());
      if (done) break;
      parts.push(value);
      loaded += value.length;
      tell({ loaded: before + Math.min(loaded, bytes), total }); // a host that unpacks sends more than that
    }
    before += bytes;
    contents.push(await unpackGzip(new Uint8Array(await new Blob(parts).arrayBuffer())));
  }
  return contents;
}

/** "webgpu" where the browser has a graphics card for it and can wait for it inside WebAssembly, else "wasm". */
async function bestBackend() {
  if (!("gpu" in navigator && "Suspending" in WebAssembly)) return "wasm";
  const adapter = await navigator.gpu.requestAdapter();
  return adapter && !adapter.info?.isFallbackAdapter ? "webgpu" : "wasm"; // the fallback is the processor, but slower
}

/** A network, loaded. */
class Network {
  constructor(ort, session, backend) {
    Object.assign(this, { ort, session, backend });
  }

  /**
   * The score of a batch.
   *
   * @param {Float32Array} x (B, C, H, W) images
   * @param {Float32Array} sigma (B,) noise levels
   * @param {number[]} shape of `x`
   * @returns {Promise<Float32Array>} (B, C, H, W) scores
   */
  async score(x, sigma, shape) {
    const tensor = (data, dims) => new this.ort.Tensor("float32", data, dims);
    const { score } = await this.session.run({ x: tensor(x, shape), sigma: tensor(sigma, [sigma.length]) });
    const data = (await score.getData()).slice();
    score.dispose();
    return data;
  }
}

/**
 * Load runtime and network.
 *
 * @param {object} listed what files.json says: names and sizes
 * @param {URL} folder where it lies
 * @param {"wasm"|"webgpu"|undefined} wanted where to run; by default where it is fastest
 * @param {(progress: {loaded: number, total: number}) => void} tell
 * @returns {Promise<Network>}
 */
export async function loadNetwork(listed, folder, wanted, tell) {
  if (typeof WebAssembly !== "object") throw new Error(NO_WASM);
  const backend = wanted ?? (await bestBackend());
  const { [backend]: runtime } = listed.runtimes;
  const files = [
    { url: new URL(runtime.name, VENDOR), bytes: runtime.bytes },
    { url: new URL(listed.network.name, folder), bytes: listed.network.bytes },
  ];
  const [wasm, graph] = await download(files, tell);
  const bundle = new URL(BUNDLES[backend], VENDOR);
  if (failures) bundle.search = failures; // a browser would not ask again for a module that once failed
  const ort = await fromHost(bundle, () => import(bundle));
  Object.assign(ort.env.wasm, { wasmBinary: wasm.buffer, numThreads: 1 }); // more would need headers of the host
  ort.env.logLevel = "error";
  const session = await ort.InferenceSession.create(graph, { executionProviders: [backend], logSeverityLevel: 3 });
  return new Network(ort, session, backend);
}
