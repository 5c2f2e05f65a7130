// The denoiser lab: a drawing, noise on it, and two guesses at what is behind the noise: the network's, and the exact one
// of its training images. Both are answered from elsewhere (asking.js): by a worker on a page, by Python in JupyterLab.

import { numbersOf, pack } from "./arrays.js";
import { Asker } from "./asking.js";
import { button, choice, element, format, frame, group, layout, numberBox, onThemeChange, Scope, slider, tasks } from "./controls.js";
import { denoise, distance, perturb } from "./denoising.js";
import { drawingOf, DRAWINGS } from "./drawings.js";
import { Loading, megabytes } from "./loading.js";
import { colourOf, makePicture, paint, paintSigned } from "./pictures.js";
import { normalFiller, uniformGenerator } from "./random.js";
import { makeSketch } from "./sketch.js";

/** Where the lab begins on a page. Python's DenoiserLab has the same values for that network. */
export const DEFAULTS = {
  image_shape: [1, 28, 28],
  sigma_range: [0.05, 12],
  sigma: 1,
  seed: 0,
  num_known: 10000,
  image: null,
  noisy: null,
  score: null,
  denoised: null,
  exact: null,
};

/** A part of the lab, for the top of a chapter: no training image is loaded for it. */
export const SMALL = {
  guess: {
    title: "A network guesses what is behind the noise",
    values: { num_known: 0 },
    words: "Load the network, and raise the noise level σ: up to which σ does the guess keep the drawing, and what does the network guess beyond?",
  },
};

const TASKS = [
  {
    title: "When is the copy chosen?",
    drawing: "3",
    values: { sigma: 12, num_known: 100 },
    words:
      "The exact guess knows 100 images. Lower σ from 12: where does one image have nine tenths of the weight? " +
      "Predict whether that happens at a larger or a smaller σ with 60,000 images.",
  },
  {
    title: "Something that is no digit",
    drawing: "A face",
    values: { sigma: 6, num_known: 10000 },
    words: "What will both make of the face at σ = 3, at 1 and at 0.3? At which level does the network lose the eyes, and which digits appear in its guess?",
  },
  {
    title: "Better than perfect?",
    drawing: "7",
    values: { sigma: 6, num_known: 10000 },
    words: "Draw a digit of your own and let the exact guess know 60,000 images. At which σ is the network nearer to your drawing, and at which is it not?",
  },
];

const KNOWN = [100, 1000, 10000, 60000]; // training images
const NAMED = 5; // of them, with their weights
const FULL = 2.5; // the size of sigma * score that has the full colour; a perfect guess gives -z
const STEPS = 100; // of the slider, from end to end
const QUIET_MS = 500; // of the knobs, before the line for the screen reader changes

const count = (number) => number.toLocaleString("en");

/** A weight as it is shown. */
function percent(weight) {
  if (weight >= 0.995) return "100 %";
  return weight < 0.001 ? "< 0.1 %" : `${Number((100 * weight).toPrecision(2))} %`;
}

/** How many images a guess is made of, in words. */
function asIf(effective) {
  return effective < 1.005 ? "as if of one image" : `as if of ${format(effective)} images of equal weight`;
}

/** The bytes of the parts that hold the first `num` images. */
export function bytesOf(parts, num) {
  let [bytes, images] = [0, 0];
  for (const part of parts) {
    if (images >= num) break;
    bytes += part.bytes;
    images += part.images;
  }
  return bytes;
}

/** A picture under its title. */
class Panel {
  constructor(name, title, shape, label) {
    this.picture = makePicture(shape, label);
    this.stage = element("div", { class: "stage waiting" }, this.picture);
    this.caption = element("p", { class: "place" });
    this.root = panelAround(name, title, this.stage, this.caption);
  }

  show(draw) {
    this.stage.classList.remove("waiting");
    draw(this.picture);
  }
}

function panelAround(name, title, ...children) {
  return element("div", { class: `panel ${name}`, role: "group", "aria-label": title }, element("p", { class: "title" }, title), ...children);
}

class DenoiserLab {
  constructor(scope, el) {
    Object.assign(this, { scope, model: scope.model, asker: new Asker(scope), timer: 0, told: {}, most: scope.model.get("num_known") });
    Object.assign(this, { backend: null, known: 0, sizes: null, started: false, loading: false, asking: false, stale: false, ended: false });
    this.shape = this.model.get("image_shape");
    if (!this.model.get("image")) this.redraw("3");
    this.network = new Loading("", () => this.showMain());
    this.digits = new Loading("", () => this.showMain(), "the training images");
    this.status = element("p", { role: "status", class: "status hidden-text" });
    const small = SMALL[this.model.get("small")];
    const parts = this.parts();
    this.root = frame("denoiser", small?.title ?? "Denoiser lab", layout(small ? this.smallParts(small) : parts), this.status);
    this.root.classList.toggle("small", Boolean(small));
    el.append(this.root);
    this.listen();
    this.network.size(async () => (this.sizes = await this.asker.ask("sizes")), ({ network }) => network);
    this.changeNoise();
  }

  toolbar() {
    this.main = button("Start", () => this.start(), { class: "main" });
    return element("div", { class: "toolbar", role: "group", "aria-label": "Start" }, this.main);
  }

  sigmaKnob() {
    const [low, high] = this.model.get("sigma_range");
    const write = (sigma) => this.scope.write({ sigma: Math.min(high, Math.max(low, sigma)) });
    const step = Math.log10(high / low) / STEPS;
    const knob = slider(this.scope, { name: "sigma", label: "noise level σ", min: low, max: high, log: true, step, write });
    this.sigmaInput = knob.querySelector("input");
    return knob;
  }

  smallParts({ words }) {
    const seen = [element("div", { class: "guesses" }, this.noisy.root, this.guess.root)];
    return { bar: [element("p", {}, words), this.network.root], seen, main: [this.sigmaKnob(), this.main] };
  }

  parts() {
    const { shape } = this;
    this.noisy = new Panel("noisy", "Noisy, x̃ = x + σz", shape, "The drawing with noise");
    this.noisy.caption.replaceWith(numberBox(this.scope, { name: "seed", label: "seed of z", min: 0, max: 4294967295 }));
    this.score = new Panel("score", "σ · score", shape, "The network's score: where it would make the noisy image brighter or darker");
    this.score.caption.append(element("span", { class: "above" }, "brighter"), " or ", element("span", { class: "below" }, "darker"), ", says the network");
    this.guess = new Panel("guess", "The network's guess", shape, "The image that the network expects");
    this.call = element("span");
    this.guess.caption.append("x̃ + σ² · score", element("br"), this.call);
    this.exact = new Panel("exact", "The exact guess", shape, "The mean of the training images, weighted by how well they fit the noisy image");
    const panels = [this.noisy, this.score, this.guess, this.exact].map((panel) => panel.root);
    return {
      bar: [this.toolbar(), tasks(TASKS, (task) => this.setUp(task)), this.network.root, this.digits.root],
      seen: [element("div", { class: "guesses" }, ...panels)],
      main: [this.sigmaKnob(), this.knownChoice()],
      aside: [this.drawing()],
      rest: [element("div", { class: "knobs" }, this.distances(), this.madeOf())],
    };
  }

  drawing() {
    const [read, write] = [() => this.clean(), (pixels) => this.scope.write({ image: pack(pixels, [1, ...this.shape]) })];
    const pad = makeSketch(this.scope, { label: "Your drawing", shape: this.shape, tools: ["ink", "blank"], read, write, names: ["image"] });
    const ready = Object.keys(DRAWINGS).map((name) => button(name, () => this.redraw(name)));
    const clear = button("Clear", () => write(new Float32Array(this.clean().length)));
    return panelAround("drawing", "Your drawing x", pad, element("div", { class: "buttons", role: "group", "aria-label": "Ready drawings" }, ...ready, clear));
  }

  distances() {
    this.facts = element("dl", { class: "facts" });
    return element("div", { class: "read" }, group("Distances, root mean square over pixels", this.facts));
  }

  knownChoice() {
    const own = this.model.get("num_known");
    const options = [...new Set([...KNOWN, own])].sort((a, b) => a - b).map((number) => [number, count(number)]);
    return choice(this.scope, { name: "num_known", label: "training images that it knows", options });
  }

  madeOf() {
    this.parts = Array.from({ length: NAMED }, () => new Part(this.shape));
    const strip = element("div", { class: "parts" }, ...this.parts.map((part) => part.root));
    this.sentence = element("p", { class: "place" });
    return element("div", { class: "made" }, group("What the exact guess is made of", strip, this.sentence));
  }

  listen() {
    this.scope.on(["seed"], () => this.changeNoise());
    this.scope.on(["image", "sigma"], () => this.changeNoisy());
    this.scope.on(["num_known"], () => this.learn());
    onThemeChange(this.scope, () => this.showScore());
    this.scope.ends.push(() => {
      clearTimeout(this.timer);
      this.ended = true;
    });
  }

  /** (D,) the drawing. */
  clean() {
    return numbersOf(this.model.get("image").data, Float32Array);
  }

  redraw(name) {
    this.scope.write({ image: pack(drawingOf(name, this.shape), [1, ...this.shape]) });
  }

  /** A task's drawing and knobs, as far as there are such levels and so many images. */
  setUp({ drawing, values: { sigma, num_known } }) {
    this.redraw(drawing);
    this.scope.write({ sigma: Math.min(sigma, this.model.get("sigma_range")[1]), num_known: Math.min(num_known, this.most) });
  }

  changeNoise() {
    this.z = normalFiller(uniformGenerator(this.model.get("seed")))(new Float32Array(this.clean().length));
    this.changeNoisy();
  }

  changeNoisy() {
    const [clean, sigma] = [this.clean(), this.model.get("sigma")];
    this.now = { clean, sigma, noisy: perturb(clean, sigma, this.z) };
    this.noisy.show((picture) => paint(picture, this.now.noisy));
    this.follow();
  }

  /** The button, until all that is wanted is there. */
  showMain() {
    const done = Boolean(this.backend) && this.known >= this.model.get("num_known");
    if (done && this.main.matches(":focus")) this.sigmaInput.focus();
    this.main.hidden = done;
    this.main.setAttribute("aria-disabled", this.loading); // not `disabled`, which would drop the focus
    this.main.textContent = this.label();
  }

  label() {
    if (this.loading) return "Loading";
    if (this.started) return "Try again";
    const { network, digits } = this.sizes ?? { network: 0, digits: [] };
    if (!network) return "Start";
    const num = this.model.get("num_known");
    const more = digits.length && num ? ` and ${count(num)} digits` : "";
    return `Load the network${more} (${megabytes(network + bytesOf(digits, num))})`;
  }

  /** Load network and images. Where one fails the page says why, and the other works without it. */
  async start() {
    if (this.loading) return;
    [this.started, this.loading] = [true, true];
    this.showMain();
    this.backend ??= await this.network.load((tell) => this.asker.prepare(tell));
    this.loading = false;
    this.follow();
    await this.learn();
  }

  /** Have as many images as are wanted; until then the exact guess is made of those that are there. */
  async learn() {
    this.showMain();
    this.follow();
    if (!this.started || this.loading) return;
    this.loading = true;
    this.digits.error.textContent = "";
    for (let num; (num = this.model.get("num_known")) > this.known && !this.ended; this.known = num) {
      this.showMain();
      const there = await this.digits.load((tell) => this.asker.ask("images", { num }, [], tell));
      if (!there) break;
    }
    this.loading = false;
    this.showMain();
    this.follow();
  }

  /** Ask for guesses, one question at a time; what changes meanwhile is asked next, and only its newest values. */
  async follow() {
    this.stale = true;
    if (this.asking) return;
    this.asking = this.root.dataset.asking = true;
    while (this.stale && !this.ended) {
      this.stale = false;
      await this.guessBoth(this.now);
    }
    if (!this.ended) this.publish();
    this.asking = this.root.dataset.asking = false;
  }

  async guessBoth({ clean, noisy, sigma }) {
    const told = { clean, noisy, sigma };
    try {
      if (this.backend) Object.assign(told, await this.askNetwork(noisy, sigma));
    } catch (error) {
      this.network.fail(error);
    }
    try {
      if (this.known) Object.assign(told, await this.askExact(noisy, sigma));
    } catch (error) {
      this.digits.fail(error);
    }
    this.told = told;
    this.showFacts();
  }

  async askNetwork(noisy, sigma) {
    const begun = performance.now();
    const score = await this.asker.score(noisy, Float32Array.of(sigma), this.shape);
    this.call.textContent = `${this.backend}, ${Math.round(performance.now() - begun)} ms`;
    const denoised = denoise(noisy, sigma, score);
    this.scaled = score.map((value) => sigma * value);
    this.showScore();
    this.guess.show((picture) => paint(picture, denoised));
    return { score, denoised };
  }

  showScore() {
    if (!this.scaled) return;
    const colours = { above: colourOf(this.root, "model"), below: colourOf(this.root, "data") };
    this.score.show((picture) => paintSigned(picture, this.scaled, FULL, colours));
  }

  async askExact(noisy, sigma) {
    const num = Math.min(this.known, this.model.get("num_known"));
    const { arrays, best, weights, effective } = await this.asker.ask("exact", { num, sigma }, [noisy]);
    const [exact, ...images] = arrays;
    this.exact.show((picture) => paint(picture, exact));
    this.exact.caption.textContent = `of ${count(num)} training images`;
    this.parts.forEach((part, i) => part.show(images[i], best[i], weights[i]));
    this.sentence.textContent = asIf(effective);
    return { exact, effective, num };
  }

  showFacts() {
    const { clean, denoised, exact } = this.told;
    const apart = (a, b) => (a && b ? format(distance(a, b)) : "–");
    const facts = [
      ["from your drawing to the network's guess", apart(denoised, clean)],
      ["from your drawing to the exact guess", apart(exact, clean)],
      ["between the two guesses", apart(denoised, exact)],
    ];
    this.facts.replaceChildren(...facts.flatMap(([name, text]) => [element("dt", {}, name), element("dd", {}, text)]));
  }

  /** Hand what is seen to who listens, and say it to a screen reader once the knobs are at rest. */
  publish() {
    const { noisy, score, denoised, exact, clean, sigma, effective, num } = this.told;
    const packed = (array) => (array ? pack(array, [1, ...this.shape]) : null);
    this.scope.write({ noisy: packed(noisy), score: packed(score), denoised: packed(denoised), exact: packed(exact) });
    const words = [`Noise of ${format(sigma)}.`];
    if (denoised) words.push(`The network's guess is ${format(distance(denoised, clean))} from the drawing.`);
    if (exact) words.push(`The exact guess of ${count(num)} images is ${format(distance(exact, clean))} from it, ${asIf(effective)}.`);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => (this.status.textContent = words.join(" ")), QUIET_MS);
  }
}

/** One of the training images that the exact guess is made of. */
class Part {
  constructor(shape) {
    this.picture = makePicture(shape, "A training image");
    this.words = element("figcaption", {}, "–");
    this.root = element("figure", {}, element("div", { class: "stage waiting" }, this.picture), this.words);
  }

  /** Show an image with its number and weight; or none. */
  show(image, number, weight) {
    this.root.hidden = !image;
    if (!image) return;
    this.picture.parentElement.classList.remove("waiting");
    paint(this.picture, image);
    this.picture.setAttribute("aria-label", `Training image ${count(number + 1)}`);
    this.words.textContent = percent(weight);
  }
}

/** Draw the lab; returns what ends it. */
function render({ model, el }) {
  const scope = new Scope(model);
  new DenoiserLab(scope, el);
  return () => scope.end();
}

export default { render };
