// The sampler lab: a trained network, sampled in the open. The network answers from elsewhere (asking.js): a worker on a
// page, Python in JupyterLab. The samplers' arithmetic stands in image_walk.js and flow.js, which know no page.

import { numbersOf, pack } from "./arrays.js";
import { Asker } from "./asking.js";
import { button, choice, element, format, frame, group, layout, numberBox, presets, Scope, slider, tasks, tick, wantsStillness } from "./controls.js";
import { ancestralPlan, eulerPlan, heunPlan } from "./flow.js";
import { consistentPlan, ImageWalk, langevinPlan, startImages } from "./image_walk.js";
import { ladderKnobs, ladderOf, walkKnobs } from "./ladder.js";
import { Loading } from "./loading.js";
import { makePicture, paint } from "./pictures.js";
import { normalFiller, uniformGenerator } from "./random.js";
import { makeSketch } from "./sketch.js";

/** How the recipe mnist_small_wide samples. */
const OWN = {
  sampler: "consistent",
  sigma_max: 12,
  sigma_min: 0.06,
  num_levels: 24,
  schedule: "geometric",
  keep: 0.3,
  denoise: true,
  eps: 0.0036,
  steps_per_level: 3,
};
/** The paper's relative step, eps / sigma_L^2 = 0.2, and its last level. */
const ALGORITHM_1 = { sampler: "langevin", sigma_min: 0.01, schedule: "geometric", eps: 2e-5, steps_per_level: 10, denoise: true };

const TASKS = [
  {
    title: "When is it decided?",
    words:
      "Run, and choose “what the network expects of it”. Go back step by step: at which σ has each image become its digit? " +
      "Why is the expected image at the largest σ nearly the same for all?",
  },
  {
    title: "Too few, too low",
    words:
      "Run, then lower the levels L until no digit can be read. Put L back and lower the first level σ₁ to 1: " +
      "which digits come too often over a few seeds?",
  },
  {
    title: "A stroke says a lot",
    words:
      "Draw a short vertical stroke in the middle. Predict which digits can hold it, then run a few seeds. " +
      "Then press a sample, free its lower half, and compare consistent sampling with Langevin dynamics at the seam.",
  },
  {
    title: "The same noise, fewer calls",
    words:
      "Choose “probability flow, Heun” and run. Lower the levels L to 5: how many digits change, and how many calls are saved? " +
      "Then choose ancestral sampling, which begins at the same noise: do the same digits come out?",
  },
];

/** Where the lab begins on a page. Python's SamplerLab has the same values for that network. */
export const DEFAULTS = {
  ...OWN,
  sigmas: [],
  image_shape: [1, 28, 28],
  data_mean: 0.5,
  num_images: 16,
  seed: 0,
  shown: "state",
  step: 0,
  running: false,
  given: null,
  samples: null,
};

const LADDER = ["sigma_max", "sigma_min", "num_levels", "schedule"];
const WALK = [...LADDER, "sampler", "keep", "denoise", "eps", "steps_per_level", "data_mean", "num_images", "seed"];
const QUIET_MS = 300; // of the knobs, before it samples anew

/** The plan of each sampler, for a ladder and the model's values. */
const PLANS = {
  consistent: (sigmas, model) => consistentPlan(sigmas, model.get("keep")),
  langevin: (sigmas, model) => langevinPlan(sigmas, model.get("eps"), model.get("steps_per_level"), model.get("denoise")),
  ancestral: ancestralPlan,
  euler: eulerPlan,
  heun: heunPlan,
};

/** The walk that a model asks for: its plan, its start, what is held. */
export function walkOf(model) {
  const plan = PLANS[model.get("sampler")](ladderOf(model), model);
  const fillNoise = normalFiller(uniformGenerator(model.get("seed")));
  const length = model.get("num_images") * model.get("image_shape").reduce((a, b) => a * b);
  return new ImageWalk(plan, startImages(length, model.get("data_mean"), plan[0].sigma, fillNoise), givenOf(model), fillNoise);
}

/** (D,) the pixels that are given, NaN where free; null where all are. */
function givenOf(model) {
  const given = model.get("given");
  const pixels = given && numbersOf(given.data, Float32Array);
  return pixels?.some((value) => !Number.isNaN(value)) ? pixels : null;
}

class SamplerLab {
  constructor(scope, el) {
    Object.assign(this, { scope, model: scope.model, asker: new Asker(scope), turn: 0, timer: 0, paused: true, own: false });
    this.shape = this.model.get("image_shape");
    this.dim = this.shape.reduce((a, b) => a * b);
    this.first = Object.fromEntries(Object.keys(OWN).map((name) => [name, this.model.get(name)]));
    this.runLabel = "Run";
    this.loading = new Loading(this.runLabel, (label) => {
      this.runLabel = label;
      this.showRun();
    });
    this.grid = element("div", { class: "samples" });
    this.scrub = slider(scope, { name: "step", label: "steps taken; go back and forth", min: 0, max: 1, step: 1 });
    this.place = element("p", { class: "place" });
    this.status = element("p", { role: "status", class: "status" });
    this.root = frame("sampler", "Sampler lab", layout(this.parts()), this.status);
    el.append(this.root);
    this.listen();
    this.loading.size(() => this.asker.ask("sizes"), ({ network }) => network);
    this.reset();
  }

  toolbar() {
    this.run = button("Run", () => (this.model.get("running") ? this.pause() : this.resume()), { class: "main" });
    this.scope.on(["running"], () => this.showRun());
    return element(
      "div",
      { class: "toolbar", role: "group", "aria-label": "Run" },
      this.run,
      button("Step", () => this.single()),
      button("Start again", () => this.restart()),
      numberBox(this.scope, { name: "seed", label: "seed", min: 0, max: 4294967295 }),
      presets(
        button("The network's own", () => this.preset(this.first)),
        button("Algorithm 1", () => this.preset(ALGORITHM_1)),
      ),
    );
  }

  showRun() {
    this.run.textContent = this.model.get("running") ? "Pause" : this.runLabel;
  }

  parts() {
    const panel = (title, ...children) =>
      element("div", { class: "panel", role: "group", "aria-label": title }, element("p", { class: "title" }, title), ...children);
    const shown = choice(this.scope, {
      name: "shown",
      label: "shown",
      options: [
        ["state", "the noisy state"],
        ["expected", "what the network expects of it"],
      ],
    });
    return {
      bar: [this.toolbar(), tasks(TASKS, () => this.setUp()), this.loading.root],
      seen: [panel("Samples", this.grid, this.place)],
      aside: [panel("What is given", ...this.sketch())],
      ...this.knobs(shown),
    };
  }

  sketch() {
    const read = () => (this.model.get("given") ? numbersOf(this.model.get("given").data, Float32Array) : new Float32Array(this.dim).fill(NaN));
    const write = (pixels) => this.scope.write({ given: pack(pixels, [1, ...this.shape]) });
    const [, height, width] = this.shape;
    const free = (isFree) => write(read().map((value, i) => (isFree(i % width, Math.floor(i / width) % height) ? NaN : value)));
    const label = "What every sample must have: nothing where it is patterned";
    return [
      makeSketch(this.scope, { label, shape: this.shape, tools: ["ink", "free", "blank"], read, write, names: ["given"] }),
      element(
        "div",
        { class: "buttons" },
        button("Free the right half", () => free((x) => x >= width / 2)),
        button("Free the lower half", () => free((x, y) => y >= height / 2)),
        button("Free all", () => this.scope.write({ given: null })),
      ),
      element("p", { class: "hint" }, "Draw a part, or press a sample to take it over; then free what the network shall find anew, and run."),
    ];
  }

  knobs(shown) {
    const { scope, model } = this;
    const [first, last, levels, schedule] = ladderKnobs(scope, { most: 60 });
    const sampler = choice(scope, {
      name: "sampler",
      label: "sampler",
      options: [
        ["consistent", "consistent annealed sampling"],
        ["langevin", "annealed Langevin dynamics"],
        ["ancestral", "ancestral sampling (DDPM)"],
        ["euler", "probability flow, Euler (DDIM)"],
        ["heun", "probability flow, Heun"],
      ],
    });
    const keep = slider(scope, { name: "keep", label: "noise kept from level to level", min: 0, max: 1, step: 0.05 });
    const langevin = [...walkKnobs(scope, { most: 20 }), tick(scope, { name: "denoise", label: "denoise at the end" })];
    scope.bind(["sampler"], () => {
      keep.hidden = model.get("sampler") !== "consistent";
      for (const knob of langevin) knob.hidden = model.get("sampler") !== "langevin";
    });
    const count = slider(scope, { name: "num_images", label: "images", min: 1, max: 36, step: 1 });
    const rest = element(
      "div",
      { class: "knobs" },
      group("The ladder", first, last, schedule),
      group("The walk down", sampler, keep, ...langevin, count),
    );
    return { main: [this.scrub, levels], rest: [shown, rest] };
  }

  listen() {
    this.scope.on(WALK, () => this.again());
    this.scope.on(["sigmas"], () => this.model.get("schedule") === "given" && this.again());
    this.scope.on(["given"], () => this.restart()); // and wait for Run: a drawing is more than its first stroke
    this.scope.on(["running"], () => this.model.get("running") && this.go());
    this.scope.on(["shown"], () => this.draw());
    this.scope.on(["step"], () => this.goTo());
    this.scope.ends.push(() => {
      clearTimeout(this.timer);
      this.turn += 1;
    });
  }

  resume() {
    if (this.walk.ended) this.reset();
    this.scope.write({ running: true });
  }

  pause() {
    clearTimeout(this.timer);
    this.paused = true;
    this.turn += 1;
    this.scope.write({ running: false });
    this.publish();
  }

  restart() {
    this.pause();
    this.reset();
  }

  /** One step, and no more. */
  async single() {
    this.pause();
    const turn = this.turn;
    if (!(await this.ready()) || turn !== this.turn || this.walk.ended) return;
    if (await this.advance(turn)) this.publish();
  }

  preset(values) {
    this.paused = false;
    this.scope.write(values);
    this.again();
  }

  /** Everything as at the beginning, and at rest: a task says when to run. */
  setUp() {
    this.scope.write({ ...this.first, shown: "state", given: null });
    this.restart();
  }

  /** A knob was turned: start anew; once the knobs rest, sample again if it had sampled and nobody paused it. */
  again() {
    this.turn += 1;
    this.reset();
    clearTimeout(this.timer);
    if (this.paused || !this.backend) return;
    this.timer = setTimeout(() => (this.model.get("running") ? this.go() : this.scope.write({ running: true })), QUIET_MS);
  }

  reset() {
    this.turn += 1;
    this.walk = walkOf(this.model);
    this.states = [{ x: this.walk.x, expected: null }];
    [this.spent, this.calls] = [0, 0];
    this.follow();
    this.draw();
  }

  /** Whether the network is there; loads it if it is not. */
  async ready() {
    if (!this.backend) this.backend = await this.loading.load((tell) => this.asker.prepare(tell));
    return Boolean(this.backend);
  }

  /** Sample to the end, or until something stops it. */
  async go() {
    clearTimeout(this.timer); // two runs would take their steps of one walk
    this.turn += 1;
    const turn = this.turn;
    this.paused = false;
    if (!(await this.ready())) return this.scope.write({ running: false });
    while (turn === this.turn && !this.walk.ended) if (!(await this.advance(turn))) break;
    if (turn !== this.turn) return;
    this.scope.write({ running: false });
    this.draw();
    this.publish();
    const { calls, spent } = this;
    this.status.textContent = `${this.model.get("num_images")} images after ${calls} calls of the network, in ${format(spent / 1000)} seconds.`;
  }

  /** Take one step; false where it failed, or where it is no longer wanted. */
  async advance(turn) {
    const begun = performance.now();
    const { walk } = this;
    try {
      await walk.advance((x, sigma) => this.asker.score(x, sigma, this.shape), this.model.get("num_images"));
    } catch (error) {
      this.loading.fail(error);
      return false;
    }
    if (turn !== this.turn) return false;
    this.spent += performance.now() - begun;
    this.calls += 1;
    this.states.push({ x: walk.x, expected: walk.expected });
    this.follow();
    if (!wantsStillness() || !this.model.get("running")) this.draw(); // nothing moves before the end, if so asked
    return true;
  }

  /** Show the newest state. */
  follow() {
    const input = this.scrub.querySelector("input");
    input.max = this.walk.plan.length;
    this.own = true;
    this.model.set("step", this.states.length - 1);
    this.own = false;
  }

  /** The reader, or Python, chose a step: as far as the run has come. */
  goTo() {
    if (this.own) return;
    if (this.model.get("running")) this.pause();
    if (this.model.get("step") > this.states.length - 1) this.follow();
    this.draw();
  }

  draw() {
    const step = Math.min(this.model.get("step"), this.states.length - 1);
    const { x, expected } = this.states[step];
    const pixels = (this.model.get("shown") === "expected" && expected) || x;
    this.placeSamples(x.length / this.dim);
    this.pictures.forEach((canvas, n) => paint(canvas, pixels.subarray(n * this.dim, (n + 1) * this.dim)));
    const { plan } = this.walk;
    const words = [`step ${step} of ${plan.length}`, `σ = ${format(plan[Math.min(step, plan.length - 1)].sigma)}`];
    if (this.calls) words.push(`${this.backend}, ${Math.round(this.spent / this.calls)} ms a call`);
    this.place.textContent = words.join(" · ");
    this.root.dataset.step = step;
  }

  /** A button with a picture for each sample; built anew where their number changes. */
  placeSamples(num) {
    if (this.pictures?.length === num) return;
    this.grid.style.setProperty("--columns", Math.ceil(Math.sqrt(num)));
    this.pictures = Array.from({ length: num }, (_, n) => makePicture(this.shape, `Sample ${n + 1}`));
    const take = (n) => {
      const { x } = this.states[Math.min(this.model.get("step"), this.states.length - 1)];
      const image = x.slice(n * this.dim, (n + 1) * this.dim).map((value) => Math.min(1, Math.max(0, value)));
      this.pause();
      this.scope.write({ given: pack(image, [1, ...this.shape]) });
    };
    const buttons = this.pictures.map((canvas, n) =>
      element("button", { type: "button", class: "sample", click: () => take(n), "aria-label": `Sample ${n + 1}: take it over as what is given` }, canvas),
    );
    this.grid.replaceChildren(...buttons);
  }

  /** Hand the states to who listens. */
  publish() {
    const { x } = this.walk;
    this.model.set("samples", pack(x, [x.length / this.dim, ...this.shape]));
    this.model.save_changes();
  }
}

/** Draw the lab; returns what ends it. */
function render({ model, el }) {
  const scope = new Scope(model);
  new SamplerLab(scope, el);
  return () => scope.end();
}

export default { render };
