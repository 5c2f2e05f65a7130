// Where RequireJS finds the widget manager, and two courtesies to it.
(() => {
  const vendor = document.documentElement.dataset.content_root + "_static/vendor/";
  require.config({ paths: { "@jupyter-widgets/html-manager/dist": vendor + "html-manager" } });
  addEventListener("load", () => {
    // html-manager still speaks to MathJax 2: translate its one call.
    const mathjax = window.MathJax;
    if (mathjax && !mathjax.Hub) {
      mathjax.Hub = { Queue: (call) => mathjax.typesetPromise && mathjax.typesetPromise([call[2]]) };
    }
  });
  // widgets.Image has no alt text; its tooltip (a title) is what a screen reader should say.
  new MutationObserver(() => {
    for (const image of document.querySelectorAll("img.widget-image[title]:not([alt])")) {
      image.alt = image.title;
      image.removeAttribute("title");
    }
  }).observe(document.documentElement, { childList: true, subtree: true, attributeFilter: ["title"] });
})();
