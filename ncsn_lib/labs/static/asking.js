// Questions to the other side of a model: Python in JupyterLab, a worker on a page. Both answer alike.

import { numbersOf } from "./arrays.js";

let asked = 0;

/** What is asked for a view, and the answers that come back. */
export class Asker {
  constructor(scope) {
    Object.assign(this, { model: scope.model, waiting: new Map(), rate: Infinity, free: 0 });
    const hear = (content, buffers) => this.hear(content, buffers);
    this.model.on("msg:custom", hear);
    scope.ends.push(() => this.model.off("msg:custom", hear));
  }

  /**
   * Ask, and wait for the answer.
   *
   * @param {string} what "sizes", "prepare", "images", "score" or "exact"
   * @param {object} said what goes with it
   * @param {Float32Array[]} arrays likewise
   * @param {(progress: {loaded: number, total: number}) => void} tell hears how far a download is
   * @returns {Promise<object>} the answer; its `arrays` are Float32Arrays. An error that was answered is thrown
   */
  ask(what, said = {}, arrays = [], tell = () => {}) {
    asked += 1;
    const id = `${asked}.${Math.random()}`; // two views of one model hear each other's answers
    const answer = new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject, tell }));
    this.model.send({ id, ask: what, ...said }, undefined, arrays.map((array) => array.slice().buffer));
    return answer;
  }

  hear({ id, error, progress, ...told }, buffers) {
    const asker = this.waiting.get(id);
    if (!asker) return;
    if (progress) return asker.tell(progress);
    this.waiting.delete(id);
    if (error) return asker.reject(new Error(error));
    asker.resolve({ ...told, arrays: buffers.map((view) => numbersOf(view, Float32Array)) });
  }

  /** Make the network ready; Python may say how many bytes a second its answers may have. */
  async prepare(tell) {
    const { backend, bytes_per_second: rate } = await this.ask("prepare", {}, [], tell);
    this.rate = rate ?? Infinity;
    return backend;
  }

  /** The score of images `x` (B, C, H, W), each at its level of `sigma` (B,), not sooner than the rate allows. */
  async score(x, sigma, shape) {
    const wait = this.free - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    this.free = Math.max(this.free, performance.now()) + (1000 * x.byteLength) / this.rate;
    const { arrays } = await this.ask("score", { shape: [sigma.length, ...shape] }, [x, sigma]);
    return arrays[0];
  }
}
