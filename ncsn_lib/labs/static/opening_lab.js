// The opening: annealed Langevin dynamics from noise to the book's letters, with the exact score of a mixture whose
// means lie along their strokes. It walks again and again, unless the reader pauses it, and never while it is not seen.

import { button, element, format, frame, Scope, wantsStillness } from "./controls.js";
import { annealedPlan, Walk } from "./langevin.js";
import { letterMeans } from "./letters.js";
import { convolve, makeMixture } from "./mixtures.js";
import { Plane } from "./plane.js";
import { normalFiller, uniformGenerator } from "./random.js";
import { makeLadder } from "./schedules.js";

/**
 * Where it begins. `half` is half the width of the window, in which the letters reach to 3.5; the step size is 0.3 of the
 * last level's variance; where a walk ended stands in `samples`.
 */
export const DEFAULTS = {
  half: 4.1,
  num_chains: 700,
  std: 0.06,
  sigma_max: 2.5,
  sigma_min: 0.03,
  num_levels: 48,
  eps: 0.3 * 0.03 ** 2,
  steps_per_level: 10,
  seed: 0,
  running: false,
  samples: null,
};

const RATE = 60; // steps a second
const LONGEST_MS = 50; // that a frame counts for: a slow machine takes longer, it does not jump
const HURRY_MS = 12; // what a frame may spend on steps when it hurries
const HOLD_MS = 3000; // for which the letters stay
const LABEL =
  "Annealed Langevin dynamics: orange points begin as noise spread over the picture, follow the score, grey arrows, down a " +
  "ladder of noise levels, and come to lie along the strokes of the letters N, C, S, N.";

/** The chains, from noise of the largest level to the letters. */
class LetterWalk extends Walk {
  constructor(model) {
    super();
    this.model = model;
    const means = letterMeans();
    this.letters = makeMixture(means, means.map(() => model.get("std")), means.map(() => 1));
    this.reset();
  }

  reset() {
    const [max, min, levels, eps, steps] = ["sigma_max", "sigma_min", "num_levels", "eps", "steps_per_level"].map((name) => this.model.get(name));
    const fillNoise = normalFiller(uniformGenerator(this.model.get("seed")));
    const points = fillNoise(new Float64Array(2 * this.model.get("num_chains"))).map((noise) => max * noise);
    this.begin(points, annealedPlan(makeLadder("geometric", max, min, levels), eps, steps), fillNoise);
  }

  mixtureAt(sigma) {
    return convolve(this.letters, sigma);
  }
}

/** The opening: the walk, the plane it is seen on, and what drives it. */
class Opening {
  constructor(scope, el) {
    Object.assign(this, { scope, model: scope.model, walk: new LetterWalk(scope.model), frames: 0, waiting: false, seen: false });
    Object.assign(this, { hold: 0, due: 0, then: 0 }); // the timer, steps not taken yet, the time of the last frame
    this.plane = new Plane(scope, LABEL, { arrows: 32, dots: 130 });
    this.plane.half = this.model.get("half");
    this.plane.changed = () => this.draw();
    this.place = element("p", { class: "place" });
    this.pauseButton = button("", () => this.turn(!this.model.get("running")));
    const again = button("Start again", () => this.restart());
    const line = element("div", { class: "toolbar", role: "group", "aria-label": "The walk" }, this.place, this.pauseButton, again);
    this.root = frame("opening", "Annealed Langevin dynamics draws the letters NCSN", this.plane.stage, line);
    el.append(this.root);
    scope.bind(["running"], () => (this.pauseButton.textContent = this.model.get("running") ? "Pause" : "Go on"));
    scope.on(["seed"], () => this.walk.reset());
    this.listen();
    this.turn(true);
  }

  listen() {
    const observer = new IntersectionObserver((entries) => {
      this.seen = entries.at(-1).isIntersecting;
      this.wake();
    });
    observer.observe(this.root);
    const wake = () => this.wake();
    document.addEventListener("visibilitychange", wake);
    this.scope.ends.push(() => {
      this.turn(false);
      observer.disconnect();
      document.removeEventListener("visibilitychange", wake);
    });
  }

  /** Whether there is something to move, and somebody who sees it. */
  get moving() {
    return this.model.get("running") && this.seen && !document.hidden;
  }

  /** Walk, from the beginning if the letters stand, or stand still. */
  turn(running) {
    clearTimeout(this.hold);
    if (running && this.walk.ended) return this.restart();
    this.scope.write({ running });
    this.report();
    this.wake();
  }

  /** Begin again with the next seed. */
  restart() {
    this.scope.write({ seed: this.model.get("seed") + 1 });
    this.turn(true);
  }

  /** Ask for a frame, if none is asked for and one is wanted. */
  wake() {
    if (this.waiting || !this.moving) return;
    this.waiting = true;
    requestAnimationFrame((now) => this.frame(now));
  }

  frame(now) {
    this.waiting = false;
    if (!this.moving) return;
    if (wantsStillness()) return this.hurry();
    this.due += (RATE * Math.min(now - this.then, LONGEST_MS)) / 1000;
    this.then = now;
    const steps = Math.round(this.due);
    this.due -= steps;
    this.walk.advance(steps);
    if (steps) this.draw();
    if (!this.walk.ended) return this.wake();
    this.publish();
    this.hold = setTimeout(() => this.restart(), HOLD_MS);
  }

  /** Nothing moves for who asked for that: the whole walk is taken, some steps a frame, and its end drawn. */
  hurry() {
    const begun = performance.now();
    while (!this.walk.ended && performance.now() - begun < HURRY_MS) this.walk.advance(1);
    if (!this.walk.ended) return this.wake();
    this.draw();
    this.publish();
    this.turn(false);
  }

  draw() {
    if (!this.plane.colours || (wantsStillness() && !this.walk.ended)) return;
    this.plane.draw(this.walk.points, this.walk.mixtureAt(this.walk.now.sigma), { density: false, score: true, chains: true });
    if (this.frames % 6 === 0) this.report();
    this.frames += 1;
    this.root.dataset.frames = this.frames;
  }

  publish() {
    this.scope.write({ samples: this.walk.points.slice() });
    this.report();
  }

  /** The line below the picture. */
  report() {
    const { walk } = this;
    this.place.textContent = `σ = ${format(walk.now.sigma)} · step ${walk.step} of ${walk.plan.length}`;
    this.pauseButton.hidden = wantsStillness();
  }
}

/** Draw the opening; returns what ends it. */
function render({ model, el }) {
  const scope = new Scope(model);
  new Opening(scope, el);
  return () => scope.end();
}

export default { render };
