// Native inputs that are tied to a model as anywidget's is: get, set, save_changes, on, off. Each has a label, so
// that keyboard, touch and screen reader work without further ado.

/**
 * Make an element.
 *
 * @param {string} tag its name
 * @param {object} attributes `class`, `for`, `aria-...`; a function is a listener, false leaves an attribute out
 * @param {...(Node|string)} children what it holds
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  // JupyterLab would take arrow keys for itself from whatever has the focus and does not say this.
  if (tag === "input" || tag === "button") made.setAttribute("data-lm-suppress-shortcuts", "true");
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== false) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** A number as it is shown: at most three digits that count, powers of ten where it is very small or large. */
export function format(value) {
  if (!Number.isFinite(value)) return "not finite";
  const power = value ? Math.floor(Math.log10(Math.abs(value))) : 0;
  if (power > -4 && power < 7) return Number(value.toPrecision(3)).toLocaleString("en", { maximumSignificantDigits: 3 });
  const [digits, exponent] = value.toExponential(1).split("e").map(Number);
  return `${digits === 1 ? "" : `${digits}·`}10${[...String(exponent)].map((sign) => RAISED[sign]).join("")}`;
}

const RAISED = Object.fromEntries([..."-0123456789"].map((sign, i) => [sign, [..."⁻⁰¹²³⁴⁵⁶⁷⁸⁹"][i]]));

/** What a lab listens to, so that all of it ends when its view does. */
export class Scope {
  constructor(model) {
    this.model = model;
    this.ends = [];
  }

  /** Call `update` when one of the named values changes. */
  on(names, update) {
    for (const name of names) {
      this.model.on(`change:${name}`, update);
      this.ends.push(() => this.model.off(`change:${name}`, update));
    }
  }

  /** Call `update` now, and when one of the named values changes. */
  bind(names, update) {
    this.on(names, update);
    update();
  }

  /** Change values, and tell Python where there is one. */
  write(values) {
    for (const [name, value] of Object.entries(values)) this.model.set(name, value);
    this.model.save_changes();
  }

  end() {
    for (const end of this.ends.splice(0)) end();
  }
}

let lastId = 0;

/** An id for a label to point at. */
function newId() {
  lastId += 1;
  return `ncsn-lab-${lastId}`;
}

/**
 * A slider with its label and its value.
 *
 * @param {Scope} scope
 * @param {object} spec `label`, `min`, `max`, `step`; `log` for equal factors in place of equal steps, `whole` for whole
 *   numbers then, and `step` one of powers of ten, by default 0.05; either `name`, a value of the model, or `read()`, `write(value)` and `names`, the values of the model that it shows. A label may be
 *   a list of texts and nodes
 */
export function slider(scope, spec) {
  const { read, write, names } = access(scope, spec);
  const round = spec.whole ? Math.round : Number;
  const [there, back] = spec.log ? [Math.log10, (p) => round((10 ** p).toPrecision(2))] : [Number, Number];
  const id = newId();
  const range = element("input", {
    id,
    type: "range",
    min: there(spec.min),
    max: there(spec.max),
    step: spec.step ?? 0.05,
    name: spec.name ?? false,
    input: () => write(back(range.valueAsNumber)),
  });
  const shown = element("output", { for: id });
  scope.bind(names, () => {
    const text = format(read());
    range.value = there(read());
    range.setAttribute("aria-valuetext", text);
    shown.textContent = text;
  });
  return element("div", { class: "knob" }, element("label", { for: id }, ...[spec.label].flat()), shown, range);
}

/** A choice among few, as radio buttons; `options` are pairs of value and text. One of the value `told` is seen only while it holds. */
export function choice(scope, spec) {
  const { read, write, names } = access(scope, spec);
  const group = newId();
  const radios = spec.options.map(([value]) =>
    element("input", { type: "radio", id: `${group}-${value}`, name: group, value, change: () => write(value), disabled: value === spec.told && "" }),
  );
  const labels = spec.options.map(([value, text], i) =>
    element("label", { class: "option", for: `${group}-${value}` }, radios[i], text),
  );
  scope.bind(names, () =>
    radios.forEach((radio, i) => {
      radio.checked = spec.options[i][0] === read();
      labels[i].hidden = radio.disabled && !radio.checked;
    }),
  );
  const title = element("legend", {}, spec.label);
  return element("fieldset", { class: "choice" }, title, element("div", { class: "options" }, ...labels));
}

/** A box for a whole number. */
export function numberBox(scope, spec) {
  const { read, write, names } = access(scope, spec);
  const id = newId();
  const keep = () => box.checkValidity() && box.value !== "" && write(box.valueAsNumber);
  const box = element("input", { id, type: "number", min: spec.min, max: spec.max, step: 1, change: keep });
  scope.bind(names, () => (box.value = read()));
  return element("div", { class: "box" }, element("label", { for: id }, spec.label), box);
}

/** A box to tick. */
export function tick(scope, spec) {
  const { read, write, names } = access(scope, spec);
  const box = element("input", { type: "checkbox", change: () => write(box.checked) });
  scope.bind(names, () => (box.checked = read()));
  return element("label", { class: "option" }, box, spec.label);
}

/** A button. */
export function button(label, press, attributes = {}) {
  return element("button", { type: "button", click: press, ...attributes }, label);
}

/** Buttons that set several knobs at once, at the end of a toolbar. */
export function presets(...buttons) {
  return element("span", { class: "presets" }, ...buttons);
}

/** Knobs that belong together, under a title. */
export function group(title, ...children) {
  return element("fieldset", { class: "group" }, element("legend", {}, title), ...children);
}

/** How a control reads and writes: its own functions, or the value of the model that it names. */
function access(scope, spec) {
  return {
    read: spec.read ?? (() => scope.model.get(spec.name)),
    write: spec.write ?? ((value) => scope.write({ [spec.name]: value })),
    names: spec.names ?? [spec.name],
  };
}

/** The frame of a lab. */
export function frame(name, title, ...children) {
  return element("section", { class: `ncsn-lab ${name}-lab`, "aria-label": title }, ...children);
}

/**
 * Buttons under "Try this", each of which sets a task up and says it.
 *
 * @param {{title: string, words: string}[]} list
 * @param {(task: object) => void} set turns the knobs to where a task begins
 */
export function tasks(list, set) {
  const words = element("p", { class: "words", "aria-live": "polite" });
  const begin = (task, pressed) => {
    set(task);
    words.textContent = task.words;
    for (const other of buttons) other.setAttribute("aria-pressed", other === pressed);
  };
  const buttons = list.map((task) => button(task.title, (event) => begin(task, event.currentTarget), { "aria-pressed": "false" }));
  return element("div", { class: "tasks", role: "group", "aria-label": "Try this" }, element("span", {}, "Try this:"), ...buttons, words);
}

/**
 * A lab's parts in their places. Where there is room the knobs stand beside the picture; on a phone the picture stays in
 * view, the main knobs below it, and the rest waits behind a button.
 *
 * @param {object} parts lists of nodes: `bar`, what runs it; `seen`, the picture; `main`, the main knobs; `rest`, other knobs;
 *   `aside`, what stands beside the picture
 */
export function layout({ bar, seen, main, rest = [], aside = [] }) {
  const id = newId();
  const knobs = element("div", { class: "rest", id }, ...rest);
  const more = button("More", () => more.setAttribute("aria-expanded", knobs.classList.toggle("open")), {
    class: "more",
    "aria-controls": id,
    "aria-expanded": "false",
  });
  const place = (name, ...nodes) => (nodes.length ? [element("div", { class: name }, ...nodes)] : []);
  const places = [place("driving", ...bar), place("seen", ...seen), place("main-knobs", ...main), place("aside", ...aside)];
  return element("div", { class: "layout" }, ...places.flat(), ...(rest.length ? [more, knobs] : []));
}

/** Whether the reader asked for less motion. */
export function wantsStillness() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** Call `update` when the page turns dark or light: the book and JupyterLab say so in attributes. */
export function onThemeChange(scope, update) {
  const observer = new MutationObserver(update);
  const attributeFilter = ["data-theme", "data-jp-theme-light"];
  for (const root of [document.documentElement, document.body]) observer.observe(root, { attributes: true, attributeFilter });
  scope.ends.push(() => observer.disconnect());
}
