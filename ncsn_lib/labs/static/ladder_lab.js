// The ladder lab: what a ladder of noise levels does to data, to the loss, and to the sampler that walks it down. All it
// computes with stands in schedules.js and random.js, which know no page.

import { makeChart } from "./chart.js";
import { button, element, format, frame, group, layout, numberBox, presets, Scope, slider, tasks } from "./controls.js";
import { DIGITS } from "./digits.js";
import { ladderKnobs, ladderOf, walkKnobs } from "./ladder.js";
import { makePicture, paint } from "./pictures.js";
import { normalFiller, uniformGenerator } from "./random.js";
import { carriedNoise, langevinStepSizes, levelOverlap } from "./schedules.js";

const PAPER = { sigma_max: 1, sigma_min: 0.01, num_levels: 10, schedule: "geometric", eps: 2e-5, steps_per_level: 100 };
const PRESETS = {
  "2019, digits": { ...PAPER, dim: 64 },
  "2019, CIFAR-10": { ...PAPER, dim: 3072 },
  // The code of 2020 steps 6.2e-6 * score + sqrt(2 * 6.2e-6) * noise, which is eps = 1.24e-5.
  "2020, CIFAR-10": { ...PAPER, sigma_max: 50, num_levels: 232, eps: 1.24e-5, steps_per_level: 5, dim: 3072 },
};

const TASKS = [
  {
    title: "How many levels?",
    values: PRESETS["2019, digits"],
    words:
      "Ten levels hardly overlap in 64 dimensions. Raise the levels L until the overlap is a half. " +
      "Then predict the L for 3,072 dimensions before you look for it.",
  },
  {
    title: "Why not equal steps?",
    values: PRESETS["2019, digits"],
    words: "Choose the schedule “linear”. At which end of the ladder is the overlap lost? Which digit belongs to a level that overlaps with no neighbour?",
  },
  {
    title: "The fewest calls",
    values: PRESETS["2019, digits"],
    words:
      "Lower the steps a level T until the noise carried is no longer near 1. Then raise the last step size ε until it is near 1 again. " +
      "How few calls of the network are enough?",
  },
];

/** Where the lab begins: the ladder of the paper, on digits. Python's LadderLab has the same values. */
export const DEFAULTS = { ...PAPER, sigmas: [], dim: 64, digit: 3, seed: 0 };

/** A part of the lab, for the top of a chapter. */
export const SMALL = {
  overlap: {
    title: "A ladder of noise levels",
    values: {},
    words: "Each picture is one level of the ladder. Raise L until the noise of neighbouring levels overlaps by a half; then raise the dimensions D.",
  },
};

const NAMES = ["sigma_max", "sigma_min", "num_levels", "schedule", "sigmas", "eps", "steps_per_level", "dim", "digit", "seed"];
const SIDE = 8; // pixels of a digit along each side
const MOST_PICTURES = 10;
const MOST_LEVELS = 300;
const QUIET_MS = 500; // of the knobs, before the line for the screen reader changes

/** All that a ladder says: what the charts, the table and the read-outs show. */
export function describe(sigmas, { dim, eps, numSteps }) {
  return {
    sigmas,
    weights: sigmas.map((sigma) => sigma ** 2),
    overlap: levelOverlap(sigmas, dim),
    stepSizes: langevinStepSizes(sigmas, eps),
    carried: carriedNoise(sigmas, eps, numSteps),
    relativeStep: eps / sigmas[sigmas.length - 1] ** 2,
    calls: sigmas.length * numSteps,
  };
}

/** At most `most` indices among `num`, evenly, with both ends. */
export function spreadOut(num, most) {
  const count = Math.min(num, most);
  return Array.from({ length: count }, (_, i) => Math.round((i * (num - 1)) / Math.max(count - 1, 1)));
}

class LadderLab {
  constructor(scope, el) {
    Object.assign(this, { scope, model: scope.model, waiting: false, timer: 0, frames: 0 });
    this.strip = element("div", { class: "strip" });
    this.charts = makeCharts();
    this.facts = element("dl", { class: "facts" });
    this.rows = element("tbody");
    this.status = element("p", { role: "status", class: "status hidden-text" });
    const small = SMALL[this.model.get("small")];
    this.root = small ? this.smallFrame(small) : this.wholeFrame();
    el.append(this.root);
    scope.on(NAMES, () => this.wake());
    scope.ends.push(() => clearTimeout(this.timer));
    this.draw();
  }

  wholeFrame() {
    const bar = [this.toolbar(), tasks(TASKS, ({ values }) => this.scope.write(values))];
    const seen = [this.strip, element("div", { class: "charts" }, ...Object.values(this.charts).map((chart) => chart.root))];
    const [first, last, levels, schedule] = ladderKnobs(this.scope, { most: MOST_LEVELS });
    const rest = [group("The ladder", first, last, schedule), group("The walk down", ...walkKnobs(this.scope))];
    const main = [levels, this.dimKnob(), this.facts];
    const parts = { bar, seen, main, rest: [element("div", { class: "knobs" }, ...rest)] };
    return frame("ladder", "Ladder lab", layout(parts), this.table(), this.status);
  }

  smallFrame({ title, words }) {
    const bar = [element("p", {}, words), this.strip];
    const main = [ladderKnobs(this.scope, { most: MOST_LEVELS })[2], this.dimKnob()];
    const root = frame("ladder", title, layout({ bar, seen: [this.charts.overlap.root], main }), this.status);
    root.classList.add("small");
    return root;
  }

  toolbar() {
    const ladders = Object.entries(PRESETS).map(([name, values]) => button(name, () => this.scope.write(values)));
    const digit = slider(this.scope, { name: "digit", label: "digit", min: 0, max: 9, step: 1 });
    const seed = numberBox(this.scope, { name: "seed", label: "seed", min: 0, max: 4294967295 });
    return element("div", { class: "toolbar", role: "group", "aria-label": "Data and presets" }, digit, seed, presets(...ladders));
  }

  dimKnob() {
    return slider(this.scope, { name: "dim", label: "dimensions D", min: 2, max: 20000, log: true, whole: true });
  }

  table() {
    const heads = ["level", "σ", "weight σ²", "overlap", "step size α", "carried v"];
    const head = element("thead", {}, element("tr", {}, ...heads.map((text) => element("th", { scope: "col" }, text))));
    const summary = element("summary", {}, "All numbers");
    const scroll = element("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "All numbers" });
    scroll.append(element("table", {}, head, this.rows));
    return element("details", {}, summary, scroll);
  }

  /** Draw with the next frame; many values may change before it. */
  wake() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.waiting = false;
    const [dim, eps, numSteps] = ["dim", "eps", "steps_per_level"].map((name) => this.model.get(name));
    const told = describe(ladderOf(this.model), { dim, eps, numSteps });
    this.drawStrip(told.sigmas);
    this.charts.sigmas.update(told.sigmas, 1);
    this.charts.weights.update(told.weights, 1);
    this.charts.overlap.update(told.overlap, 2);
    this.charts.stepSizes.update(told.stepSizes, 1);
    this.charts.carried.update(told.carried, 1);
    const facts = factsOf(told);
    this.facts.replaceChildren(...facts.flatMap(([name, text]) => [element("dt", {}, name), element("dd", {}, text)]));
    this.rows.replaceChildren(...told.sigmas.map((_, i) => levelRow(told, i)));
    this.tell(facts.map(([name, text]) => `${name}: ${text}`).join(". "));
    this.frames += 1;
    this.root.dataset.frames = this.frames;
  }

  /** Say it to a screen reader once the knobs are at rest. */
  tell(sentence) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => (this.status.textContent = sentence), QUIET_MS);
  }

  /** The digit with the noise of some levels: the same draw at each, so that only its size differs. */
  drawStrip(sigmas) {
    const clean = DIGITS[this.model.get("digit")].map((ink) => ink / 16);
    const noise = normalFiller(uniformGenerator(this.model.get("seed")))(new Float64Array(clean.length));
    const pictures = spreadOut(sigmas.length, MOST_PICTURES).map((level) => {
      const canvas = makePicture([1, SIDE, SIDE], `The digit ${this.model.get("digit")} with noise of ${format(sigmas[level])}`);
      paint(canvas, clean.map((ink, i) => ink + sigmas[level] * noise[i]));
      return element("figure", {}, canvas, element("figcaption", {}, `${level ? "" : "σ = "}${format(sigmas[level])}`));
    });
    this.strip.replaceChildren(...pictures);
  }
}

function makeCharts() {
  return {
    sigmas: makeChart({ title: "Noise level σ", log: true }),
    weights: makeChart({ title: "Weight in the loss, λ = σ²", log: true }),
    overlap: makeChart({ title: "Overlap with the level above", ends: [0, 1], mark: 0.5, markName: "advice of 2020" }),
    stepSizes: makeChart({ title: "Step size α", log: true }),
    carried: makeChart({ title: "Noise carried, v", log: true, mark: 1, markName: "what the level expects" }),
  };
}

function factsOf({ sigmas, overlap, relativeStep, carried, calls }) {
  const ratio = sigmas.slice(1).map((below, i) => sigmas[i] / below);
  const stable = relativeStep < 4 ? "stable, below 4" : "unstable: 4 or more";
  return [
    ["ratio of neighbours", range(ratio)],
    ["overlap", range(overlap)],
    ["relative step h = ε/σ² of the last level", `${format(relativeStep)}, ${stable}`],
    ["noise carried at the end", `${format(carried.at(-1))} σ²`],
    ["calls of the network", calls.toLocaleString("en")],
  ];
}

/** The least and the largest of some values, or one of them where they are shown alike. */
function range(values) {
  const [low, high] = [format(Math.min(...values)), format(Math.max(...values))];
  return low === high ? low : `${low} to ${high}`;
}

function levelRow({ sigmas, weights, overlap, stepSizes, carried }, i) {
  const values = [sigmas[i], weights[i], i ? overlap[i - 1] : null, stepSizes[i], carried[i]];
  const cells = values.map((value) => element("td", {}, value === null ? "–" : format(value)));
  return element("tr", {}, element("th", { scope: "row" }, String(i + 1)), ...cells);
}

/** Draw the lab; returns what ends it. */
function render({ model, el }) {
  const scope = new Scope(model);
  new LadderLab(scope, el);
  return () => scope.end();
}

export default { render };
