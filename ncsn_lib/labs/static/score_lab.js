// The score lab: two samplers, the same score, the same start. Plain Langevin dynamics on the left, annealed on the
// right; or the reverse-time stochastic equation and the probability flow, with paths. All it computes with stands in
// mixtures.js, langevin.js, flow.js, schedules.js and random.js, which know no page.

import { numbersOf, pack } from "./arrays.js";
import { button, choice, element, format, frame, group, layout, numberBox, presets, Scope, slider, tasks, tick, wantsStillness } from "./controls.js";
import { eulerPlan, reversePlan } from "./flow.js";
import { ladderKnobs, ladderOf, walkKnobs } from "./ladder.js";
import { annealedPlan, plainPlan, Walk } from "./langevin.js";
import { convolve, countLost, makeMixture, modeMass, nearestShares, replaceSpread } from "./mixtures.js";
import { addHandles, Plane } from "./plane.js";
import { normalFiller, uniformGenerator, uniformSquare } from "./random.js";

const FIG_3 = {
  samplers: "langevin",
  means: [[-5, -5], [5, 5]],
  stds: [1, 1],
  weights: [0.2, 0.8],
  num_chains: 1280,
  sigma: 0,
  step_size: 0.1,
  num_steps: 1000,
  sigma_max: 20,
  sigma_min: 1,
  num_levels: 10,
  schedule: "geometric",
  steps_per_level: 100,
  eps: 0.1,
  spread: "replaced",
};

/** Where the lab begins: the paper's Fig. 3. Python's ScoreLab has the same values. */
export const DEFAULTS = { ...FIG_3, sigmas: [], seed: 0, speed: 3, running: false, samples: null, plain_samples: null };

const TASKS = [
  {
    title: "Where does one half come from?",
    values: FIG_3,
    words:
      "On the left half of the chains end at each mode, whatever the weights. Predict the shares with a third mode, then press “Add a mode”. " +
      "Then raise the spreads until the shares on the left are right.",
  },
  {
    title: "The ladder that starts too low",
    values: FIG_3,
    words:
      "Move the first level σ₁ down to 3. The samples on the right look as good as before: which number shows that they are not? " +
      "How many steps a level correct that?",
  },
  {
    title: "The 10 → 0.1 blow-up",
    values: { ...FIG_3, sigma_max: 10, sigma_min: 0.1 },
    words:
      "On the right every chain is lost. Let the variances add: do the chains still diverge, and where? " +
      "Then lower the last step size ε: which is the largest that keeps all chains?",
  },
  {
    title: "One start, two runs",
    values: { ...FIG_3, samplers: "equations", stds: [1.5, 1.5], num_levels: 30, sigma_max: 14, sigma_min: 0.1, seed: 30 },
    words:
      "Each start is run twice. In which panel do the two runs end at different places? The shares are nearly exact in both panels: " +
      "how can that be? Then lower the levels L to 4: in which panel are the shares off by more?",
  },
];

/**
 * Parts of the lab, for the top of a chapter: which panels, which knobs, and what to do. Where `still` is set nothing walks,
 * and no chains are shown.
 */
export const SMALL = {
  field: {
    title: "The score of a mixture",
    panels: ["plain"],
    still: true,
    knobs: (scope) => [sigmaKnob(scope)],
    values: { means: [[-5, -4], [4, 5]], stds: [1.2, 2], weights: [0.4, 0.6] },
    words: "The arrows are the score of the density in blue. Drag a mode, then raise the noise level: at which σ do the two peaks become one?",
  },
  plain: {
    title: "Langevin dynamics on a mixture",
    panels: ["plain"],
    knobs: (scope) => [stepKnob(scope)],
    values: { means: [[-3, -3], [3, 3]], weights: [0.5, 0.5], stds: [1.5, 1.5], num_chains: 600, num_steps: 500 },
    words: "Points follow the arrows, with noise. Raise the step size α: how does the cloud change, and from which α on are the chains lost?",
  },
  shares: {
    title: "Plain and annealed Langevin dynamics",
    panels: ["plain", "annealed"],
    knobs: (scope) => [weightKnob(scope, 0), ladderKnobs(scope)[0]],
    values: { num_chains: 600 },
    words: "Black marks are the exact shares. Change the weight of mode 1: which of the two samplers follows? Then lower the first level σ₁.",
  },
  annealed: {
    title: "Annealed Langevin dynamics on a mixture",
    panels: ["annealed"],
    knobs: (scope) => [ladderKnobs(scope)[0], ladderKnobs(scope)[2]],
    values: { num_chains: 600, spread: "convolved" },
    words: "The chains walk down a ladder of noise levels, and the blue density narrows. Lower σ₁: from which σ₁ on do the shares miss their marks?",
  },
};

const MIXTURE = ["means", "stds", "weights"];
const LADDER = ["sigma_max", "sigma_min", "num_levels", "schedule", "steps_per_level", "eps", "spread"];
const WALK = [...LADDER, "samplers", "sigma", "step_size", "num_steps", "num_chains", "seed"];
const START = 8; // chains start in the square [-8, 8]^2, as in the paper's toy code
const MOST_MODES = 6;
const LOST = 4; // a chain farther out than so many windows counts as lost
const FRAME_MS = 24; // what a frame may spend on steps when it hurries
const TRACED = 4; // chains whose paths are drawn: two runs from each of two starts
const PACE = 4; // frames for each step of a path
const PAIRS = { langevin: ["plain", "annealed"], equations: ["sde", "ode"] };

/** The plan and the density of each of the two panels, from the model's values. */
const SAMPLERS = {
  plain: {
    title: "Langevin dynamics",
    samples: "plain_samples",
    plan: (model) => plainPlan(model.get("sigma"), model.get("step_size"), model.get("num_steps")),
    blur: () => convolve,
  },
  annealed: {
    title: "Annealed Langevin dynamics",
    samples: "samples",
    plan: (model) => annealedPlan(ladderOf(model), model.get("eps"), model.get("steps_per_level")),
    blur: (model) => (model.get("spread") === "replaced" ? replaceSpread : convolve),
  },
  sde: {
    title: "Reverse-time SDE",
    samples: "plain_samples",
    plan: (model) => reversePlan(ladderOf(model)),
    blur: () => convolve,
    traced: true,
  },
  ode: {
    title: "Probability-flow ODE",
    samples: "samples",
    plan: (model) => eulerPlan(ladderOf(model)),
    blur: () => convolve,
    traced: true,
  },
};

const mixtureOf = (model) => makeMixture(...MIXTURE.map((name) => model.get(name)));

/** Half the width of a window that holds a mixture, three and a half spreads around each mode. */
function windowOf({ means, stds }) {
  return means.reduce((half, mean, k) => Math.max(half, Math.max(...mean.map(Math.abs)) + 3.5 * stds[k]), 8.5);
}

/** Starts with noise of the first level around the mixture's mean, each of them twice. */
function startPairs(num, { means, weights }, sigma, fillNoise) {
  const centre = [0, 1].map((axis) => means.reduce((sum, mean, k) => sum + weights[k] * mean[axis], 0));
  const noise = fillNoise(new Float64Array(num + (num % 2)));
  return Float64Array.from({ length: 2 * num }, (_, i) => centre[i % 2] + sigma * noise[2 * (i >> 2) + (i % 2)]);
}

/** The chains of one panel: where they are, and how far along their plan; the first leave a trace if their paths are drawn. */
class Chains extends Walk {
  constructor(model, sampler) {
    super();
    Object.assign(this, { model, sampler });
    this.reset();
  }

  reset() {
    const uniform = uniformGenerator(this.model.get("seed"));
    const [num, plan, fillNoise] = [this.model.get("num_chains"), this.sampler.plan(this.model), normalFiller(uniform)];
    const points = this.sampler.traced
      ? startPairs(num, mixtureOf(this.model), plan[0].sigma, fillNoise)
      : uniformSquare(num, START, uniform);
    this.begin(points, plan, fillNoise);
  }

  begin(points, plan, fillNoise) {
    super.begin(points, plan, fillNoise);
    this.trace = [];
    this.leaveTrace();
  }

  /** Begin at given points. */
  startFrom(points) {
    this.reset();
    this.begin(points, this.plan, this.fillNoise);
  }

  leaveTrace() {
    if (this.sampler.traced) this.trace.push(this.points.slice(0, 2 * TRACED));
  }

  advance(num) {
    if (!this.sampler.traced) return super.advance(num);
    for (; num > 0 && !this.ended; num--) {
      super.advance(1);
      this.leaveTrace();
    }
  }

  /** How far out a path has been. */
  get reach() {
    return this.trace.flatMap((points) => [...points].map(Math.abs)).filter(Number.isFinite).reduce((a, b) => Math.max(a, b), 0);
  }

  mixtureAt(sigma) {
    return this.sampler.blur(this.model)(mixtureOf(this.model), sigma);
  }
}

/** One panel: chains, the plane they are seen on, and what is read off. */
class Panel {
  constructor(scope, name, shown) {
    const sampler = SAMPLERS[name];
    Object.assign(this, { scope, shown, sampler, model: scope.model, chains: new Chains(scope.model, sampler) });
    const title = shown.chains ? sampler.title : "A density and its score";
    const drawn = `${shown.chains ? ", chains in orange" : ""}${sampler.traced ? ", some of their paths in green" : ""}`;
    this.plane = new Plane(scope, `${title}: density in blue, score as arrows${drawn}${shown.chains ? ". Numbers below" : ""}.`);
    this.plane.changed = () => this.draw();
    this.placeHandles = addHandles(this.plane, () => this.model.get("means"), (k, mean) => this.move(k, mean), sampler.samples === "plain_samples");
    this.rows = element("tbody");
    this.place = element("p", { class: "place" });
    const heads = ["mode", "share of the chains", "exact"].map((text) => element("th", { scope: "col" }, text));
    const table = element("table", {}, element("thead", {}, element("tr", {}, ...heads)), this.rows);
    const head = element("p", { class: "title" }, title);
    this.root = element("div", { class: "panel", role: "group", "aria-label": title }, head, this.plane.stage, this.place, table);
  }

  move(k, mean) {
    const means = this.model.get("means").map((old, i) => (i === k ? mean.map((at) => Number(at.toFixed(2))) : old));
    this.scope.write({ means });
  }

  /** Turn the window towards what the level and the paths of both panels fill, at once or in part. */
  zoom(part, reach) {
    const wanted = Math.max(windowOf(this.chains.mixtureAt(this.chains.now.sigma)), 1.05 * reach);
    const near = Math.abs(Math.log(wanted / this.plane.half)) < 0.004;
    this.plane.half = near ? wanted : this.plane.half * (wanted / this.plane.half) ** part;
    return !near;
  }

  draw() {
    if (!this.plane.colours) return;
    this.plane.draw(this.chains.points, this.chains.mixtureAt(this.chains.now.sigma), this.shown, this.chains.trace);
    this.placeHandles();
  }

  /** The exact shares of the density that is shown; anew where that changes. */
  wanted() {
    const mixture = this.chains.mixtureAt(this.chains.now.sigma);
    const key = JSON.stringify(mixture);
    if (key !== this.exact?.key) this.exact = { key, shares: nearestShares(mixture) };
    return this.exact.shares;
  }

  /** What is read off: shares, and how many chains are lost. */
  measure() {
    const { points } = this.chains;
    return { shares: modeMass(points, this.model.get("means")), lost: countLost(points, LOST * this.plane.half) };
  }

  report() {
    const { shares, lost } = this.measure();
    const { sigma, stepSize } = this.chains.now;
    const step = `step ${this.chains.step.toLocaleString("en")} of ${this.chains.plan.length.toLocaleString("en")}`;
    const words = [step, `σ = ${format(sigma)}`, ...(stepSize ? [`α = ${format(stepSize)}`] : [])];
    const gone = element("span", { class: lost ? "lost" : "" }, `${lost.toLocaleString("en")} chains lost`);
    this.place.replaceChildren(`${words.join(" · ")} · `, gone);
    const exact = this.wanted();
    this.rows.replaceChildren(...shares.map((share, k) => shareRow(k, share, exact[k])));
  }

  /** The result in a sentence, for the line that a screen reader speaks. */
  sentence() {
    const { shares, lost } = this.measure();
    const exact = this.wanted();
    const told = shares.map((share, k) => `${showShare(share)} near mode ${k + 1} (exact: ${showShare(exact[k])})`).join(", ");
    return `${this.sampler.title}: ${told}${lost ? `; ${lost} of ${this.chains.points.length / 2} chains lost` : ""}.`;
  }
}

/** A share, or that there is none: as soon as one chain is not finite. */
const showShare = (share) => (Number.isNaN(share) ? "NaN" : share.toFixed(2));

function shareRow(k, share, exact) {
  const style = `--share: ${share || 0}; --exact: ${exact}`;
  const bar = element("span", { class: "bar", style, "aria-hidden": "true" });
  const cells = [element("td", {}, element("span", { class: "share" }, showShare(share)), bar), element("td", {}, showShare(exact))];
  return element("tr", {}, element("th", { scope: "row" }, String(k + 1)), ...cells);
}

/** The whole lab: two panels that walk together, and what drives them. */
class ScoreLab {
  constructor(scope, el) {
    Object.assign(this, { scope, model: scope.model, frames: 0, hurry: false, waiting: false, stale: false });
    const small = SMALL[this.model.get("small")];
    this.still = Boolean(small?.still);
    this.shown = { density: true, score: true, chains: !this.still };
    const makePanels = (names) => names.map((name) => new Panel(scope, name, this.shown));
    const pairs = small ? { langevin: small.panels } : PAIRS;
    this.pairs = Object.fromEntries(Object.entries(pairs).map(([pair, names]) => [pair, makePanels(names)]));
    this.status = element("p", { role: "status", class: `status ${small ? "hidden-text" : ""}` });
    const seen = element("div", { class: "panels" });
    scope.bind(["samplers"], () => seen.replaceChildren(...this.panels.map((panel) => panel.root)));
    const parts = small ? this.smallParts(small) : this.parts();
    this.root = frame("score", small?.title ?? "Score lab", layout({ seen: [seen], ...parts }), this.status);
    this.root.classList.toggle("small", Boolean(small));
    this.root.classList.toggle("still", this.still);
    el.append(this.root);
    this.listen();
    this.begin();
  }

  /** The two that are seen, or the one of a small lab. */
  get panels() {
    return this.pairs[this.model.get("samplers")];
  }

  parts() {
    return { bar: [this.toolbar(), tasks(TASKS, ({ values }) => this.preset(values))], ...this.knobs() };
  }

  smallParts({ words, knobs }) {
    const buttons = element("div", { class: "buttons" }, this.runButton(), button("Start again", () => this.restart()));
    return { bar: [element("p", {}, words)], main: [...knobs(this.scope), ...(this.still ? [] : [buttons])] };
  }

  runButton() {
    const run = button("", () => (this.model.get("running") ? this.pause() : this.resume()), { class: "main" });
    this.scope.bind(["running"], () => (run.textContent = this.model.get("running") ? "Pause" : "Run"));
    return run;
  }

  toolbar() {
    return element(
      "div",
      { class: "toolbar", role: "group", "aria-label": "Run" },
      this.runButton(),
      button("Step", () => this.single()),
      button("To the end", () => this.finish()),
      button("Start again", () => this.restart()),
      numberBox(this.scope, { name: "seed", label: "seed", min: 0, max: 4294967295 }),
      presets(button("Fig. 3 of the paper", () => this.preset(FIG_3))),
    );
  }

  knobs() {
    const { scope, model } = this;
    const samplers = choice(scope, {
      name: "samplers",
      label: "samplers",
      options: [
        ["langevin", "Langevin dynamics"],
        ["equations", "SDE and ODE, with paths"],
      ],
    });
    const spread = choice(scope, {
      name: "spread",
      label: "σ and the spread",
      options: [
        ["replaced", "σ replaces it (authors)"],
        ["convolved", "variances add"],
      ],
    });
    const [first, ...ladder] = ladderKnobs(scope);
    const stepSize = stepKnob(scope);
    const plain = group(
      "Langevin dynamics",
      slider(scope, { name: "num_steps", label: "steps", min: 100, max: 5000, step: 100 }),
      sigmaKnob(scope),
    );
    const walk = [...walkKnobs(scope), spread];
    const speed = slider(scope, { name: "speed", label: "steps a frame", min: 1, max: 30, step: 1 });
    scope.bind(["samplers"], () => {
      for (const knob of [stepSize, plain, ...walk, speed]) knob.hidden = model.get("samplers") !== "langevin";
    });
    const view = group(
      "Chains and view",
      slider(scope, { name: "num_chains", label: "chains", min: 20, max: 4000, step: 20 }),
      speed,
      element("div", { class: "options" }, ...Object.keys(this.shown).map((part) => this.showTick(part))),
    );
    const rest = element("div", { class: "knobs" }, element("div", { class: "column" }, plain, view), group("The ladder", ...ladder, ...walk), this.mixtureKnobs());
    return { main: [stepSize, first, samplers], rest: [rest] };
  }

  showTick(part) {
    const read = () => this.shown[part];
    const write = (value) => {
      this.shown[part] = value;
      this.wake();
    };
    return tick(this.scope, { label: part, read, write, names: [] });
  }

  /** Weight and spread of each mode; where it lies is dragged. Built anew where their number changes. */
  mixtureKnobs() {
    const modes = element("div", { class: "modes" });
    const more = button("Add a mode", () => this.addMode());
    const fewer = button("Remove the last", () => this.removeMode());
    let inner = new Scope(this.model);
    this.scope.ends.push(() => inner.end());
    this.scope.bind(["weights"], () => {
      const count = this.model.get("weights").length;
      [more.disabled, fewer.disabled] = [count >= MOST_MODES, count <= 1];
      if (modes.children.length === count) return;
      inner.end();
      inner = new Scope(this.model);
      modes.replaceChildren(...Array.from({ length: count }, (_, k) => modeKnobs(inner, k)));
    });
    const hint = element("p", { class: "hint" }, "Drag the numbered handles, or move them by the arrow keys.");
    const why = element("p", { class: "hint" }, "The spreads change the left panel alone: on the right σ replaces them. Choose “variances add” to see them there.");
    const replaced = () => this.model.get("samplers") === "langevin" && this.model.get("spread") === "replaced";
    this.scope.bind(["spread", "samplers"], () => (why.hidden = !replaced()));
    return group("Mixture", hint, why, modes, element("div", { class: "buttons" }, more, fewer));
  }

  addMode() {
    const { means, stds, weights } = Object.fromEntries(MIXTURE.map((name) => [name, this.model.get(name)]));
    const angle = 2.4 * means.length; // the golden angle: each new mode beside the others
    const mean = [6 * Math.cos(angle), 6 * Math.sin(angle)].map((at) => Number(at.toFixed(1)));
    this.scope.write({ means: [...means, mean], stds: [...stds, 1], weights: [...weights, 0.5] });
  }

  removeMode() {
    this.scope.write(Object.fromEntries(MIXTURE.map((name) => [name, this.model.get(name).slice(0, -1)])));
  }

  listen() {
    this.scope.on([...WALK, ...MIXTURE], () => this.again());
    this.scope.on(["sigmas"], () => this.model.get("schedule") === "given" && this.again());
    this.scope.on(["running"], () => this.wake());
    for (const panel of Object.values(this.pairs).flat()) {
      this.scope.on([panel.sampler.samples], () => this.take(panel));
    }
  }

  /** Start when it is first seen; show the end at once to who asked for less motion. */
  begin() {
    this.paused = this.still;
    this.wake();
    if (this.still) return;
    if (wantsStillness()) return this.finish();
    const observer = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      if (!this.paused) this.resume();
    });
    observer.observe(this.root);
    this.scope.ends.push(() => observer.disconnect());
  }

  resume() {
    if (this.panels.every((panel) => panel.chains.ended)) this.reset();
    this.paused = false;
    if (wantsStillness()) return this.finish();
    this.scope.write({ running: true });
  }

  pause() {
    this.paused = true;
    this.hurry = false;
    this.scope.write({ running: false });
    this.publish();
  }

  single() {
    this.pause();
    for (const panel of this.panels) panel.chains.advance(1);
    this.publish();
    this.wake();
  }

  finish() {
    this.hurry = true;
    this.paused = false;
    this.scope.write({ running: true });
  }

  reset() {
    for (const panel of this.panels) panel.chains.reset();
    this.wake();
  }

  restart() {
    this.reset();
    this.pause();
  }

  /** A knob was turned: begin again with the next frame, unless the reader has paused. */
  again() {
    this.stale = true;
    this.wake();
  }

  preset(values) {
    this.paused = false;
    this.scope.write(values);
    this.again();
  }

  /** Chains that Python put somewhere go on from there. */
  take(panel) {
    const given = this.model.get(panel.sampler.samples);
    if (!given || given === panel.published || !this.panels.includes(panel)) return;
    panel.chains.startFrom(numbersOf(given.data, Float64Array));
    this.wake();
  }

  /** Hand the chains to who listens, with a sentence for the screen reader. */
  publish() {
    for (const panel of this.panels) {
      const { points } = panel.chains;
      panel.published = pack(points, [points.length / 2, 2]);
      this.model.set(panel.sampler.samples, panel.published);
    }
    this.model.save_changes();
    this.status.textContent = this.panels.map((panel) => panel.sentence()).join(" ");
  }

  /** Ask for a frame, if none is asked for. */
  wake() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => this.frame());
  }

  frame() {
    this.waiting = false;
    if (this.stale) this.refresh();
    if (this.model.get("running")) this.walk();
    const still = wantsStillness();
    if (this.model.get("running") && this.hurry && still) return this.wake(); // nothing moves before the end
    const reach = Math.max(...this.panels.map((panel) => panel.chains.reach));
    const zooming = this.panels.map((panel) => panel.zoom(still || this.hurry ? 1 : 0.12, reach)).some(Boolean);
    for (const panel of this.panels) panel.draw();
    this.frames += 1;
    this.root.dataset.frames = this.frames;
    if (this.frames % 6 === 1 || !this.model.get("running")) for (const panel of this.panels) panel.report();
    if (zooming || this.model.get("running")) this.wake();
  }

  refresh() {
    this.stale = false;
    this.reset();
    if (this.paused) return;
    this.hurry = wantsStillness();
    this.scope.write({ running: true });
  }

  /** Take the steps of one frame, and end the run when both panels are through. */
  walk() {
    const begun = performance.now();
    const { traced } = this.panels[0].sampler;
    if (traced && !this.hurry && this.frames % PACE) return;
    const num = this.hurry ? 5 : traced ? 1 : this.model.get("speed");
    do {
      for (const { chains } of this.panels) chains.advance(num);
    } while (this.hurry && performance.now() - begun < FRAME_MS);
    if (!this.panels.every((panel) => panel.chains.ended)) return;
    this.hurry = false;
    this.scope.write({ running: false });
    this.publish();
  }
}

const sigmaKnob = (scope) => slider(scope, { name: "sigma", label: "noise level σ", min: 0, max: 20, step: 0.1 });
const stepKnob = (scope) => slider(scope, { name: "step_size", label: "step size α", min: 0.001, max: 20, log: true });
const weightKnob = (scope, k) => modeKnob(scope, k, "weights", "weight", 0.05, 1);
const modeKnobs = (scope, k) => element("div", { class: "mode" }, weightKnob(scope, k), modeKnob(scope, k, "stds", "spread", 0.2, 3));

/** A knob of one mode. */
function modeKnob(scope, k, name, label, min, max) {
  return slider(scope, {
    label: `${label} ${k + 1}`,
    min,
    max,
    step: 0.05,
    names: [name],
    read: () => scope.model.get(name)[k] ?? min,
    write: (value) => scope.write({ [name]: scope.model.get(name).map((old, i) => (i === k ? value : old)) }),
  });
}

/** Draw the lab; returns what ends it. */
function render({ model, el }) {
  const scope = new Scope(model);
  new ScoreLab(scope, el);
  return () => scope.end();
}

export default { render };
