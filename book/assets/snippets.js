// What a search finds is shown as plain text: formulas by their letters, where the pages hold TeX.

const LETTERS = {
  alpha: "α", beta: "β", gamma: "γ", delta: "δ", epsilon: "ε", eta: "η", theta: "θ", lambda: "λ", mu: "μ", nu: "ν", pi: "π", rho: "ρ",
  sigma: "σ", varsigma: "ς", tau: "τ", phi: "φ", psi: "ψ", omega: "ω", Gamma: "Γ", Delta: "Δ", Phi: "Φ", Sigma: "Σ", Lambda: "Λ",
  nabla: "∇", partial: "∂", sum: "Σ", int: "∫", sqrt: "√", infty: "∞", cdot: "·", times: "×", pm: "±", to: "→", sim: "~", approx: "≈", propto: "∝",
  le: "≤", leq: "≤", ge: "≥", geq: "≥", ne: "≠", ll: "≪", gg: "≫", in: "∈", mid: "|", lVert: "‖", rVert: "‖", dots: "…", ldots: "…", cdots: "…", top: "ᵀ", star: "*",
};
const ACCENTS = { tilde: "\u0303", hat: "\u0302", bar: "\u0304" };
const DROPPED = /\\(?:begin|end|label|tag)\{[^}]*\}|\\(?:left|right|[bB]igg?[lr]?|math(?:bb|cal|rm|bf)|operatorname|text|displaystyle|quad|qquad|[()[\]{},;:!])|\\\\|&/g;

/** A formula in TeX, as text. */
function plainFormula(tex) {
  return tex
    .replace(/\\\|/g, "‖")
    .replace(DROPPED, " ")
    .replace(/\\[td]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}/g, "$1/$2")
    .replace(/\\(tilde|hat|bar)\s*\{?(\w)\}?/g, (_, accent, letter) => letter + ACCENTS[accent])
    .replace(/\\([a-zA-Z]+)/g, (_, name) => LETTERS[name] ?? name)
    .replace(/[{}\\]/g, "")
    .replace(/\s+/g, " ")
    .trim();
}

const htmlToText = Search.htmlToText;
Search.htmlToText = (page, anchor) => {
  const found = new DOMParser().parseFromString(page, "text/html");
  for (const formula of found.querySelectorAll(".math")) formula.textContent = ` ${plainFormula(formula.textContent)} `;
  for (const left of found.querySelectorAll(".place-in-book, .question")) left.remove();
  return htmlToText(found.documentElement.outerHTML, anchor);
};
