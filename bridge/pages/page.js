"use strict";

// Tables sort by a click on a heading: numbers by data-order, texts as a reader expects them (conv2 before conv10).
function sortBy(heading) {
  const table = heading.closest("table"), body = table.tBodies[0], column = heading.cellIndex;
  const descending = heading.getAttribute("aria-sort") === "ascending";
  for (const other of heading.parentNode.children) other.setAttribute("aria-sort", "none");
  heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const value = (row) => {
    const cell = row.cells[column], order = cell.dataset.order;
    return order === undefined ? cell.textContent : order === "inf" ? Infinity : Number(order);
  };
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? (a < b ? -1 : a > b ? 1 : 0) : String(a).localeCompare(String(b), "en", { numeric: true });
  const rows = Array.from(body.rows, (row) => [value(row), row]);
  rows.sort(([a], [b]) => (descending ? -1 : 1) * compare(a, b));
  body.append(...rows.map(([, row]) => row));
}

// A row stays if it holds every word of the filter, and every flag that is ticked. Layers of the graph fade instead.
function filter(form) {
  const words = form.querySelector("[type=search]").value.toLowerCase().split(/\s+/).filter(Boolean);
  const flags = Array.from(form.querySelectorAll("[data-flag]:checked"), (box) => box.dataset.flag);
  const fits = (element) =>
    flags.every((flag) => element.classList.contains(flag)) && words.every((word) => element.textContent.toLowerCase().includes(word));
  const rows = Array.from(document.getElementById(form.dataset.table).tBodies[0].rows);
  for (const row of rows) row.hidden = !fits(row);
  form.querySelector("output").textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length}`;
  if (form.dataset.also) for (const element of document.querySelectorAll(form.dataset.also)) element.classList.toggle("faded", !fits(element));
}

for (const heading of document.querySelectorAll("th")) heading.querySelector("button").addEventListener("click", () => sortBy(heading));
for (const form of document.querySelectorAll("form.tools")) {
  form.addEventListener("input", () => filter(form));
  form.addEventListener("submit", (event) => event.preventDefault());
}

// The first divergence comes into view in the box of the graph, without moving the page.
for (const layer of document.querySelectorAll(".graph .first")) {
  const box = layer.closest(".box");
  box.scrollTop += layer.getBoundingClientRect().top - box.getBoundingClientRect().top - box.clientHeight / 3;
}

// Points of charts tell what the row they lead to says.
for (const link of document.querySelectorAll(".chart a")) {
  const row = document.getElementById(link.getAttribute("href").slice(1));
  if (!row) continue;
  const title = document.createElementNS(link.namespaceURI, "title");
  title.textContent = Array.from(row.cells, (cell) => cell.textContent).filter(Boolean).slice(0, 4).join("  ");
  link.prepend(title);
}
