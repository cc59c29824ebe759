"use strict";
(() => {
  const { themes, figures } = JSON.parse(document.getElementById("charts").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const boxes = [...document.querySelectorAll(".chart")];
  const drawn = new Map(); // box -> what it was drawn with: {columns, labels, theme, view}
  let printing = false;

  // Names beside the plot take less than half of a narrow box, and the legend stands above the rest.
  const labelsOf = (box) => Math.min(themes.light.axis.labelLimit, Math.floor(box.clientWidth * 0.45));
  const columnsOf = (box) => Math.max(1, Math.floor((box.clientWidth * 0.55) / figures[box.dataset.chart].legend_px));
  const themeOf = () => (dark.matches && !printing ? "dark" : "light");

  async function draw(box) {
    const columns = columnsOf(box), labels = labelsOf(box), theme = themeOf(), before = drawn.get(box);
    if (before && before.columns === columns && before.labels === labels && before.theme === theme) return;
    const now = { columns, labels, theme };
    drawn.set(box, now);
    const { spec } = figures[box.dataset.chart];
    const looks = themes[theme];
    const axis = { ...looks.axis, labelLimit: labels };
    const config = { ...looks, axis, legend: { ...looks.legend, columns } };
    const options = { mode: "vega-lite", renderer: "svg", actions: false, tooltip: { theme }, config };
    const embedded = await vegaEmbed(box, spec, options);
    if (before?.embedded) before.embedded.finalize();
    now.embedded = embedded;
    box.style.minHeight = "0";
    box.dataset.drawn = theme;
  }

  const redraw = () => [...drawn.keys()].forEach(draw);
  // A study has hundreds of charts: each is drawn when it comes near the window, and all of them for paper.
  const near = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => draw(entry.target)),
    { rootMargin: "800px" },
  );
  boxes.forEach((box) => near.observe(box));
  dark.addEventListener("change", redraw);
  addEventListener("resize", redraw);
  addEventListener("beforeprint", () => { printing = true; boxes.forEach(draw); });
  addEventListener("afterprint", () => { printing = false; redraw(); });

  function sortBy(header, column) {
    const body = header.closest("table").tBodies[0];
    const isNumber = header.classList.contains("number");
    const first = isNumber ? "descending" : "ascending"; // the largest numbers are looked for first
    const other = isNumber ? "ascending" : "descending";
    const order = header.getAttribute("aria-sort") === first ? other : first;
    const sign = order === "ascending" ? 1 : -1;
    const key = (row) => row.cells[column].dataset.sort;
    const compare = (a, b) => {
      if (key(a) === "" || key(b) === "") return (key(a) === "") - (key(b) === ""); // what is not known comes last
      return sign * (isNumber ? Number(key(a)) - Number(key(b)) : key(a).localeCompare(key(b), undefined, { numeric: true }));
    };
    [...header.parentElement.cells].forEach((cell) => cell.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", order);
    body.append(...[...body.rows].sort(compare));
  }
  document.querySelectorAll("table.sortable").forEach((table) =>
    [...table.tHead.rows[0].cells].forEach((header, column) =>
      header.querySelector("button").addEventListener("click", () => sortBy(header, column))));

  // A row stays when it holds every word that is written; sorting leaves that as it is.
  function filter(rows, words, counter) {
    const kept = rows.filter((row) => {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      return !row.hidden;
    });
    counter.value = kept.length < rows.length ? `${kept.length} / ${rows.length}` : "";
  }
  document.querySelectorAll(".filter").forEach((line) => {
    const [input, counter] = line.children;
    const rows = [...line.parentElement.querySelector("table").tBodies[0].rows];
    line.hidden = false; // without this script there is nothing to write into
    input.addEventListener("input", () => filter(rows, input.value.toLowerCase().split(/\s+/), counter));
  });
})();
