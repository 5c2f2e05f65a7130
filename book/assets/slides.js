// A deck: sets the mathematics, shrinks what is too tall for a slide, and hands over to reveal.js.

import Reveal from "./vendor/reveal/reveal.mjs";
import Notes from "./vendor/reveal/notes.mjs";

const WIDTH = 1280;
const HEIGHT = 720;
const SMALLEST = 18; // px, of type

/** The speaker's window has no MathJax, but every browser reads MathML. */
function notesAsMathML() {
  for (const formula of document.querySelectorAll(".notes .math")) {
    const display = formula.tagName === "DIV";
    const tex = formula.textContent.match(/\\[([]([\s\S]*)\\[)\]]/)?.[1];
    if (tex) formula.innerHTML = MathJax.tex2mml(tex, { display });
    formula.classList.remove("math");
  }
}

/** Whether a slide holds more than its page shows. */
function overflows(slide) {
  const { paddingLeft, paddingBottom } = getComputedStyle(slide);
  const room = slide.clientWidth - 2 * parseFloat(paddingLeft);
  const bottom = slide.getBoundingClientRect().top + HEIGHT - parseFloat(paddingBottom);
  const wide = [...slide.querySelectorAll("mjx-math, table, pre")].some((one) => {
    const numbered = one.closest("div.math")?.querySelector(".eqno")?.offsetWidth ?? 0;
    return Math.max(one.offsetWidth, one.scrollWidth) + numbered > room;
  });
  return wide || [...slide.children].some((one) => one.getBoundingClientRect().bottom > bottom);
}

/** Let the type of a slide shrink until all of it is seen. */
function fit(slide) {
  let size = parseFloat(getComputedStyle(slide).fontSize);
  while (overflows(slide) && size > SMALLEST) slide.style.fontSize = `${(size -= 1)}px`;
}

const onPaper = new URLSearchParams(location.search).has("print-pdf");
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => (document.documentElement.dataset.theme = dark.matches && !onPaper ? "dark" : "light");
follow();
dark.addEventListener("change", follow);
await new Promise((ready) => {
  if (document.readyState === "complete") ready();
  else addEventListener("load", ready);
});
await MathJax.startup.promise;
notesAsMathML();
await MathJax.typesetPromise([...document.querySelectorAll(".slides .math")]);
await document.fonts.ready;
await Promise.all([...document.images].map((image) => image.decode().catch(() => {})));
document.querySelectorAll(".slides > section > section").forEach(fit);
await new Reveal({
  width: WIDTH,
  height: HEIGHT,
  margin: 0.02,
  hash: true,
  center: false,
  navigationMode: "linear",
  slideNumber: "c/t",
  transition: "none",
  pdfSeparateFragments: false,
  plugins: [Notes],
}).initialize();
if (onPaper) document.querySelectorAll(".slides section").forEach((slide) => slide.removeAttribute("aria-hidden"));
document.documentElement.dataset.deck = "ready";
