// What a reader sees of a download: how large it will be, how far it is, and in words what went wrong.

import { element } from "./controls.js";

export const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

/** A progress bar and a line for errors, both absent until there is something to say. */
export class Loading {
  /**
   * @param {string} action what the button that starts it says, where nothing is left to load
   * @param {(label: string) => void} setLabel takes what the button should say when that changes
   * @param {string} what is loaded
   */
  constructor(action, setLabel, what = "the network") {
    Object.assign(this, { action, setLabel, what });
    this.bar = element("progress", { "aria-label": `Loading ${what}` });
    this.words = element("span", { class: "hint" });
    this.progress = element("div", { class: "loading", hidden: "" }, this.bar, this.words);
    this.error = element("p", { role: "alert", class: "lost" });
    this.root = element("div", {}, this.progress, this.error);
  }

  label(bytes) {
    this.setLabel(bytes ? `Load the network (${megabytes(bytes)}) and ${this.action.toLowerCase()}` : this.action);
  }

  /** Let the button tell the size of what it will load. */
  async size(ask, bytesOf) {
    try {
      this.label(bytesOf(await ask()));
    } catch (error) {
      this.fail(error);
    }
  }

  /**
   * Load something, and show how far it is.
   *
   * @param {(tell: (progress: {loaded: number, total: number}) => void) => Promise} load
   * @returns {Promise} what was loaded; null where it failed, and the page says why
   */
  async load(load) {
    this.error.textContent = "";
    this.show({ loaded: 0, total: 0 });
    try {
      const loaded = await load((progress) => this.show(progress));
      this.label(0);
      return loaded;
    } catch (error) {
      this.fail(error);
      return null;
    } finally {
      this.progress.hidden = true;
    }
  }

  show({ loaded, total }) {
    this.progress.hidden = false;
    if (total) [this.bar.max, this.bar.value] = [total, loaded];
    else this.bar.removeAttribute("value");
    const words = loaded === total ? `preparing ${this.what}` : `${this.what}: ${megabytes(loaded)} of ${megabytes(total)}`;
    this.words.textContent = total ? words : "connecting";
  }

  fail(error) {
    this.error.textContent = error.message;
  }
}
