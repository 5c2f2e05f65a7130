// Brings the labs of a page to life where there is no kernel: each place that names a lab gets its module, the same
// that JupyterLab gets, and a model of its own. What a lab asks of Python is answered by a worker, one for the page.

let worker = null; // started by the first question
const models = [];

/** A model as anywidget hands one out, without a Python that listens. */
export class PageModel {
  constructor(values) {
    this.values = values;
    this.listeners = new Map();
    models.push(this);
  }

  get(name) {
    return this.values[name];
  }

  set(name, value) {
    if (Object.is(this.values[name], value)) return;
    this.values[name] = value;
    this.tell(`change:${name}`);
  }

  tell(event, ...told) {
    for (const listener of [...(this.listeners.get(event) ?? [])]) listener(...told);
  }

  on(event, listener) {
    this.listeners.set(event, [...(this.listeners.get(event) ?? []), listener]);
  }

  off(event, listener) {
    this.listeners.set(event, (this.listeners.get(event) ?? []).filter((other) => other !== listener));
  }

  save_changes() {}

  send(content, callbacks, buffers) {
    worker ??= startWorker();
    worker.postMessage({ content, buffers });
  }
}

/** The page's stand-in for Python; who asked knows an answer by its number, so every model hears all. */
function startWorker() {
  const started = new Worker(new URL("./page_kernel.js", import.meta.url), { type: "module" });
  started.addEventListener("message", ({ data: { content, buffers } }) => {
    const views = buffers.map((buffer) => new DataView(buffer));
    for (const model of models) model.tell("msg:custom", content, views);
  });
  return started;
}

/** Render the lab that a place names; its model becomes the place's `model`, for the console and the tests. */
export async function mount(place) {
  const { default: lab, DEFAULTS, SMALL } = await import(`./${place.dataset.lab}_lab.js`);
  place.replaceChildren();
  const { small } = place.dataset; // a part of the lab
  place.model = new PageModel({ ...structuredClone(DEFAULTS), ...SMALL?.[small]?.values, small });
  lab.render({ model: place.model, el: place });
}

for (const place of document.querySelectorAll("[data-lab]")) mount(place);
