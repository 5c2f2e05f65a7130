// Where RequireJS finds the widget manager, and a courtesy to it.
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
})();
